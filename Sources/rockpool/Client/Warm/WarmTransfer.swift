import CCurl

/// One request for a URL to the node; its body is read and dropped.
///
/// Each has a libcurl handle of its own: before libcurl 8.1.0 a handle that is used again takes a folded
/// header line for the rest of a line of its last answer, which is freed by then. Connections are kept by the
/// multi handle all the same.
final class WarmTransfer {
    private static let connectMilliseconds = 5_000
    /// A body that gets no byte further in this time has broken off.
    private static let stallSeconds = 60

    let easy: UnsafeMutableRawPointer
    private let fields: UnsafeMutablePointer<curl_slist>?
    private let place: UnsafeMutablePointer<curl_slist>?
    let url: WarmURL
    private(set) var bodyBytes: Int64 = 0
    private var cacheStatus: [String] = []
    private var proxyStatus: [String] = []

    /// - Parameters:
    ///   - url: what to ask for.
    ///   - node: the data listener, `http://127.0.0.1:8080`.
    ///   - fields: request fields, each `Name: value`.
    init?(_ url: WarmURL, node: String, fields: [String]) {
        guard let easy = curl_easy_init() else { return nil }
        self.easy = easy
        self.url = url
        let scheme = node.prefix { $0 != ":" }
        let address = node.dropFirst(scheme.count + 3)
        let hasPort = address.last != "]" && address.contains(":")
        // Whatever host a URL names, the connection goes to the node.
        place = curl_slist_append(nil, "::" + address + (hasPort ? "" : scheme == "https" ? ":443" : ":80"))
        var list: UnsafeMutablePointer<curl_slist>?
        for field in fields { list = curl_slist_append(list, Self.line(field)) }
        self.fields = list
        _ = rockpool_setopt_text(easy, CURLOPT_URL, "\(scheme)://\(url.authority)\(url.target)")
        _ = rockpool_setopt_list(easy, CURLOPT_CONNECT_TO, place)
        _ = rockpool_setopt_list(easy, CURLOPT_HTTPHEADER, list)
        _ = rockpool_setopt_text(easy, CURLOPT_USERAGENT, "rockpool-warm/\(Version.number)")
        _ = rockpool_setopt_text(easy, CURLOPT_PROTOCOLS_STR, "http,https")
        _ = rockpool_setopt_text(easy, CURLOPT_PROXY, "")
        _ = rockpool_setopt_long(easy, CURLOPT_NOSIGNAL, 1)
        _ = rockpool_setopt_long(easy, CURLOPT_PATH_AS_IS, 1)
        _ = rockpool_setopt_long(easy, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        _ = rockpool_setopt_long(easy, CURLOPT_CONNECTTIMEOUT_MS, Self.connectMilliseconds)
        _ = rockpool_setopt_long(easy, CURLOPT_LOW_SPEED_LIMIT, 1)
        _ = rockpool_setopt_long(easy, CURLOPT_LOW_SPEED_TIME, Self.stallSeconds)
        let user = Unmanaged.passUnretained(self).toOpaque()
        _ = rockpool_setopt_pointer(easy, CURLOPT_PRIVATE, user)
        _ = rockpool_setopt_pointer(easy, CURLOPT_WRITEDATA, user)
        _ = rockpool_setopt_data(easy, CURLOPT_WRITEFUNCTION) { _, size, count, user in
            guard let user else { return 0 }
            Unmanaged<WarmTransfer>.fromOpaque(user).takeUnretainedValue().bodyBytes += Int64(size * count)
            return size * count
        }
        _ = rockpool_setopt_pointer(easy, CURLOPT_HEADERDATA, user)
        _ = rockpool_setopt_data(easy, CURLOPT_HEADERFUNCTION) { bytes, size, count, user in
            guard let bytes, let user else { return 0 }
            let line = UnsafeRawBufferPointer(start: bytes, count: size * count)
            Unmanaged<WarmTransfer>.fromOpaque(user).takeUnretainedValue().take(line)
            return size * count
        }
    }

    deinit {
        curl_easy_cleanup(easy)
        curl_slist_free_all(fields)
        curl_slist_free_all(place)
    }

    /// libcurl takes `Name;` for a field without a value, and `Name:` for none.
    private static func line(_ field: String) -> String {
        let parts = field.split(separator: ":", maxSplits: 1)
        let isEmpty = parts.count < 2 || parts[1].allSatisfy { $0 == " " || $0 == "\t" }
        return isEmpty ? parts[0] + ";" : field
    }

    private func take(_ bytes: UnsafeRawBufferPointer) {
        let line = String(decoding: bytes, as: UTF8.self)
        if line.hasPrefix("HTTP/") {
            // The head after an interim one.
            cacheStatus = []
            proxyStatus = []
        }
        guard let colon = line.firstIndex(of: ":") else { return }
        let value = line[line.index(after: colon)...].prefix { !$0.isNewline }
        switch line[..<colon].lowercased() {
        case "cache-status": cacheStatus.append(String(value))
        case "proxy-status": proxyStatus.append(String(value))
        default: break
        }
    }

    /// What came of it, once libcurl is done with `result`.
    func outcome(_ result: CURLcode) -> WarmOutcome {
        guard result == CURLE_OK else {
            let why = String(cString: curl_easy_strerror(result))
            switch result {
            case CURLE_PARTIAL_FILE, CURLE_RECV_ERROR:
                return WarmOutcome(.failed, "the answer broke off (\(why))")
            default: return WarmOutcome(.failed, why)
            }
        }
        var status = 0
        _ = rockpool_getinfo_long(easy, CURLINFO_RESPONSE_CODE, &status)
        return WarmOutcome(status: status, cacheStatus: cacheStatus, proxyStatus: proxyStatus)
    }
}
