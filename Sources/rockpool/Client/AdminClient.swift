import CCurl
import EdgeConfig
import Foundation

/// Asks a node's admin API over libcurl, one request at a time, within a deadline.
struct AdminClient {
    /// Why there is no answer, in one line.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private static let deadlineMilliseconds = 5_000

    let base: String
    let token: String?

    /// - Parameters:
    ///   - admin: the admin listener's URL; without one `ROCKPOOL_ADMIN`, else http://127.0.0.1:8081.
    ///   - tokenFile: the file with the token; without one `ROCKPOOL_ADMIN_TOKEN`, else what `serve` wrote to the
    ///     default cache directory.
    init(admin: String?, tokenFile: String?) throws {
        let environment = ProcessInfo.processInfo.environment
        let url = admin ?? environment["ROCKPOOL_ADMIN"] ?? "http://127.0.0.1:8081"
        base = url.hasSuffix("/") ? String(url.dropLast()) : url
        if let tokenFile {
            token = try Self.read(tokenFile)
        } else if let token = environment["ROCKPOOL_ADMIN_TOKEN"] {
            self.token = token
        } else {
            token = try? Self.read("./rockpool-cache/admin.token")
        }
    }

    private static func read(_ path: String) throws -> String {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw Failure(description: "token file \(path): cannot be read")
        }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// GET of `path`; the body of a 200.
    func get(_ path: String) throws -> Data {
        guard let easy = curl_easy_init() else { throw Failure(description: "libcurl cannot be used") }
        defer { curl_easy_cleanup(easy) }
        var fields: UnsafeMutablePointer<curl_slist>?
        defer { curl_slist_free_all(fields) }
        if let token { fields = curl_slist_append(nil, "Authorization: Bearer \(token)") }
        _ = rockpool_setopt_text(easy, CURLOPT_URL, base + path)
        _ = rockpool_setopt_list(easy, CURLOPT_HTTPHEADER, fields)
        _ = rockpool_setopt_long(easy, CURLOPT_TIMEOUT_MS, Self.deadlineMilliseconds)
        _ = rockpool_setopt_long(easy, CURLOPT_NOSIGNAL, 1)
        let body = NSMutableData()
        _ = rockpool_setopt_pointer(easy, CURLOPT_WRITEDATA, Unmanaged.passUnretained(body).toOpaque())
        _ = rockpool_setopt_data(easy, CURLOPT_WRITEFUNCTION) { bytes, size, count, user in
            guard let bytes, let user else { return 0 }
            Unmanaged<NSMutableData>.fromOpaque(user).takeUnretainedValue().append(
                bytes, length: size * count)
            return size * count
        }
        let result = withExtendedLifetime(body) { curl_easy_perform(easy) }
        guard result == CURLE_OK else {
            throw Failure(description: "\(base): \(String(cString: curl_easy_strerror(result)))")
        }
        var status = 0
        _ = rockpool_getinfo_long(easy, CURLINFO_RESPONSE_CODE, &status)
        switch status {
        case 200: return body as Data
        case 401:
            throw Failure(
                description:
                    "\(base): the token is missing or wrong; give --token-file or ROCKPOOL_ADMIN_TOKEN")
        default:
            let text = String(decoding: body as Data, as: UTF8.self).prefix(200)
            throw Failure(description: "\(base)\(path): \(status) \(text)")
        }
    }
}
