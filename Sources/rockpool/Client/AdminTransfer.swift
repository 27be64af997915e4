import CCurl
import Foundation

/// One request to the admin API on a libcurl handle of its own, to be performed at once or within a multi handle.
final class AdminTransfer {
    private static let largestAnswerBytes = 64 << 20

    let easy: UnsafeMutableRawPointer
    private let base: String
    private let path: String
    private var fields: UnsafeMutablePointer<curl_slist>?
    private var body = Data()

    /// - Parameters:
    ///   - base: the admin listener's URL, without a slash at the end.
    ///   - path: path and query, percent-encoded.
    ///   - token: the bearer token.
    ///   - json: the body of a POST; nil: a GET.
    ///   - deadlineMilliseconds: for the whole exchange.
    init(base: String, path: String, token: String?, json: String?, deadlineMilliseconds: Int) throws {
        guard let easy = curl_easy_init() else { throw ClientFailure.refused("libcurl cannot be used") }
        self.easy = easy
        self.base = base
        self.path = path
        if let token { fields = curl_slist_append(fields, "Authorization: Bearer \(token)") }
        if let json {
            fields = curl_slist_append(fields, "Content-Type: application/json")
            fields = curl_slist_append(fields, "Expect:")
            _ = rockpool_setopt_text(easy, CURLOPT_COPYPOSTFIELDS, json)
        }
        _ = rockpool_setopt_text(easy, CURLOPT_URL, base + path)
        _ = rockpool_setopt_list(easy, CURLOPT_HTTPHEADER, fields)
        _ = rockpool_setopt_text(easy, CURLOPT_PROTOCOLS_STR, "http,https")
        // A token goes to the node and to nobody else.
        _ = rockpool_setopt_text(easy, CURLOPT_PROXY, "")
        _ = rockpool_setopt_long(easy, CURLOPT_TIMEOUT_MS, deadlineMilliseconds)
        _ = rockpool_setopt_long(easy, CURLOPT_NOSIGNAL, 1)
        _ = rockpool_setopt_pointer(easy, CURLOPT_WRITEDATA, Unmanaged.passUnretained(self).toOpaque())
        _ = rockpool_setopt_data(easy, CURLOPT_WRITEFUNCTION) { bytes, size, count, user in
            guard let bytes, let user else { return 0 }
            return Unmanaged<AdminTransfer>.fromOpaque(user).takeUnretainedValue().append(bytes, size * count)
        }
    }

    deinit {
        curl_easy_cleanup(easy)
        curl_slist_free_all(fields)
    }

    private func append(_ bytes: UnsafeMutablePointer<CChar>, _ count: Int) -> Int {
        guard body.count + count <= Self.largestAnswerBytes else { return 0 }
        body.append(UnsafeRawBufferPointer(start: bytes, count: count).bindMemory(to: UInt8.self))
        return count
    }

    func perform() throws(ClientFailure) -> Data { try outcome(curl_easy_perform(easy)) }

    /// The body of a 2xx answer, once the transfer ended with `result`.
    func outcome(_ result: CURLcode) throws(ClientFailure) -> Data {
        let why = String(cString: curl_easy_strerror(result))
        switch result {
        case CURLE_OK: break
        case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL:
            throw .wrongUsage("\(Printable.text(base)): not the http URL of an admin listener")
        case CURLE_COULDNT_CONNECT:
            throw .unreachable("\(base): no node answers there (nothing listens, or it cannot be reached)")
        case CURLE_OPERATION_TIMEDOUT: throw .unreachable("\(base): the node does not answer in time")
        case CURLE_WRITE_ERROR: throw .refused("\(base): the answer is too long")
        case CURLE_COULDNT_RESOLVE_HOST: throw .unreachable("\(base): no such host")
        default: throw .unreachable("\(base): \(why)")
        }
        var status = 0
        _ = rockpool_getinfo_long(easy, CURLINFO_RESPONSE_CODE, &status)
        switch status {
        case 200...299: return body
        case 401:
            throw .unauthorized(
                "\(base): the admin token is missing or wrong; give --token-file FILE, ROCKPOOL_ADMIN_TOKEN or "
                    + "./rockpool-cache/admin.token"
            )
        case 429:
            // The node is tired of wrong tokens; the right one is never refused so.
            throw .unauthorized(
                "\(base): " + ProblemDocument.text(status: status, body: body)
                    + "; the admin token is missing or wrong")
        default:
            let isJSON = (try? JSONSerialization.jsonObject(with: body)) != nil
            throw .refused(
                "\(base): " + ProblemDocument.text(status: status, body: body), answer: isJSON ? body : nil)
        }
    }
}
