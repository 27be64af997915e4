import CCurl
import EdgeHTTP

/// Makes libcurl handles ready for a pull, and keeps used ones: a handle that only ever did plain GETs of one server
/// needs a new target and new fields, nothing else.
final class EasyHandles {
    /// By the server that they ask.
    private var idle: [ObjectIdentifier: [UnsafeMutableRawPointer]] = [:]
    private var connectLists: [String: UnsafeMutablePointer<curl_slist>] = [:]
    /// Handles that were made ready under an older configuration are not kept.
    private var generation = 0
    private let loop: UnsafeMutableRawPointer

    /// Whether libcurl is to show each head line to the write callback before it stores it:
    /// ``PullTransfer/admits(headPiece:)`` says why. Later libcurls have no need of it, and some of them
    /// would show trailers there as well.
    private static let showsHeadLines: Bool = {
        guard let version = curl_version_info(CURLVERSION_FIRST) else { return true }
        return version.pointee.version_num < 0x080100
    }()

    init(loop: UnsafeMutableRawPointer) {
        self.loop = loop
    }

    deinit {
        for handles in idle.values { for handle in handles { curl_easy_cleanup(handle) } }
        for list in connectLists.values { curl_slist_free_all(list) }
    }

    /// A handle for `transfer`, ready to add to the multi handle; nil where libcurl has no memory.
    func prepare(_ transfer: PullTransfer, _ settings: OriginSettings) -> UnsafeMutableRawPointer? {
        guard let endpoint = transfer.endpoint else { return nil }
        let request = transfer.request
        transfer.isPoolable = request.body == .none && request.method.elementsEqual("GET".utf8)
        transfer.handleGeneration = generation
        let easy: UnsafeMutableRawPointer
        if transfer.isPoolable, let kept = idle[ObjectIdentifier(endpoint)]?.popLast() {
            easy = kept
        } else {
            guard let made = curl_easy_init() else { return nil }
            easy = made
            configure(easy, endpoint, settings.configuration)
        }
        let user = Unmanaged.passUnretained(transfer).toOpaque()
        for option in [
            CURLOPT_PRIVATE, CURLOPT_HEADERDATA, CURLOPT_WRITEDATA, CURLOPT_READDATA, CURLOPT_PREREQDATA,
            CURLOPT_OPENSOCKETDATA,
        ] {
            _ = rockpool_setopt_pointer(easy, option, user)
        }
        if !transfer.isPoolable { setMethod(easy, request) }
        setTarget(easy, request.target)
        // libcurl sends again by itself on a reused connection that closes: only where that is harmless.
        // A body cannot be sent again at all: it is gone once it was sent.
        let fresh = transfer.isFresh || !request.isIdempotent || request.body != .none
        _ = rockpool_setopt_long(easy, CURLOPT_FRESH_CONNECT, fresh ? 1 : 0)
        transfer.freeList()
        transfer.list = Self.lines(request, endpoint, settings)
        _ = rockpool_setopt_list(easy, CURLOPT_HTTPHEADER, transfer.list)
        return easy
    }

    /// Takes a handle back after its transfer.
    func release(_ easy: UnsafeMutableRawPointer, _ transfer: PullTransfer) {
        _ = rockpool_setopt_list(easy, CURLOPT_HTTPHEADER, nil)
        transfer.freeList()
        guard transfer.isPoolable, transfer.handleGeneration == generation,
            let key = transfer.endpoint.map(ObjectIdentifier.init), idle[key, default: []].count < 128
        else {
            curl_easy_cleanup(easy)
            return
        }
        idle[key, default: []].append(easy)
    }

    /// Forgets kept handles: the configuration changed.
    func clear() {
        for handles in idle.values { for handle in handles { curl_easy_cleanup(handle) } }
        idle = [:]
        generation += 1
    }

    private func configure(
        _ easy: UnsafeMutableRawPointer, _ endpoint: OriginEndpoint, _ origin: OriginConfiguration
    ) {
        _ = rockpool_setopt_long(easy, CURLOPT_NOSIGNAL, 1)
        _ = rockpool_setopt_long(easy, CURLOPT_QUICK_EXIT, 1)
        _ = rockpool_setopt_text(easy, CURLOPT_PROTOCOLS_STR, "http,https")
        _ = rockpool_setopt_text(easy, CURLOPT_PROXY, "")
        _ = rockpool_setopt_text(easy, CURLOPT_URL, endpoint.url)
        _ = rockpool_setopt_long(easy, CURLOPT_CONNECTTIMEOUT_MS, Int(origin.connectTimeoutMilliseconds))
        _ = rockpool_setopt_long(easy, CURLOPT_TCP_NODELAY, 1)
        // libcurl takes this buffer and one byte anew for every pull: as large as a block that is used again.
        _ = rockpool_setopt_long(easy, CURLOPT_BUFFERSIZE, CurlMemory.largestBlockBytes - 1)
        // Not HTTP/2: before libcurl 8.1.0 one paused transfer stops all others of its connection.
        _ = rockpool_setopt_long(easy, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        _ = rockpool_setopt_long(easy, CURLOPT_MAXAGE_CONN, origin.idleConnectionSeconds)
        _ = rockpool_setopt_long(easy, CURLOPT_HEADER, Self.showsHeadLines ? 1 : 0)
        if let connectTo = endpoint.connectTo {
            // libcurl keeps the list by reference: one for all handles of the endpoint, as long as these live.
            let list = connectLists[connectTo] ?? curl_slist_append(nil, connectTo)
            connectLists[connectTo] = list
            _ = rockpool_setopt_list(easy, CURLOPT_CONNECT_TO, list)
        }
        if let file = endpoint.tls.authorityFile { _ = rockpool_setopt_text(easy, CURLOPT_CAINFO, file) }
        if let file = endpoint.tls.clientCertificateFile {
            _ = rockpool_setopt_text(easy, CURLOPT_SSLCERT, file)
        }
        if let file = endpoint.tls.clientKeyFile { _ = rockpool_setopt_text(easy, CURLOPT_SSLKEY, file) }
        _ = rockpool_setopt_data(easy, CURLOPT_HEADERFUNCTION, CurlCallbacks.header)
        _ = rockpool_setopt_data(easy, CURLOPT_WRITEFUNCTION, CurlCallbacks.write)
        _ = rockpool_setopt_data(easy, CURLOPT_READFUNCTION, CurlCallbacks.read)
        _ = rockpool_setopt_prereq(easy, CurlCallbacks.prereq)
        _ = rockpool_setopt_open(easy, CurlCallbacks.open)
        _ = rockpool_setopt_close(easy, CurlCallbacks.close)
        _ = rockpool_setopt_pointer(easy, CURLOPT_CLOSESOCKETDATA, loop)
    }

    private func setMethod(_ easy: UnsafeMutableRawPointer, _ request: PullRequest) {
        if request.isHead {
            // A body of a HEAD has no meaning (RFC 9110 9.3.2): it goes no further.
            _ = rockpool_setopt_long(easy, CURLOPT_NOBODY, 1)
            return
        }
        switch request.body {
        case .none: _ = rockpool_setopt_long(easy, CURLOPT_HTTPGET, 1)
        case .length(let length):
            _ = rockpool_setopt_long(easy, CURLOPT_UPLOAD, 1)
            _ = rockpool_setopt_offset(easy, CURLOPT_INFILESIZE_LARGE, curl_off_t(length))
        case .chunked:
            _ = rockpool_setopt_long(easy, CURLOPT_UPLOAD, 1)
            _ = rockpool_setopt_offset(easy, CURLOPT_INFILESIZE_LARGE, -1)
        }
        let method = String(decoding: request.method, as: UTF8.self)
        _ = rockpool_setopt_text(easy, CURLOPT_CUSTOMREQUEST, method)
    }

    private func setTarget(_ easy: UnsafeMutableRawPointer, _ target: [UInt8]) {
        (target + [0]).withUnsafeBytes { bytes in
            _ = rockpool_setopt_text(
                easy, CURLOPT_REQUEST_TARGET, bytes.bindMemory(to: CChar.self).baseAddress)
        }
    }

    /// The header lines, in libcurl's notation: `Name;` sends an empty value, `Name:` suppresses libcurl's own.
    private static func lines(
        _ request: PullRequest, _ endpoint: OriginEndpoint, _ settings: OriginSettings
    ) -> UnsafeMutablePointer<curl_slist>? {
        var lines = LineList()
        switch settings.configuration.host {
        case .client: lines.append("Host", request.host.isEmpty ? endpoint.authority : request.host)
        case .origin: lines.append("Host", endpoint.authority)
        case .name(let name): lines.append("Host", Array(name.utf8))
        }
        var accepts = false
        for line in request.fields.lines {
            let name = request.fields.nameBytes(line)
            if line.name == .accept { accepts = true }
            if line.name == .host || line.name == .contentLength || line.name == .transferEncoding {
                continue
            }
            if settings.headers.contains(where: { Octet.equalIgnoringCase($0.name, name) }) { continue }
            lines.append(name, request.fields.value(line))
        }
        for header in settings.headers { lines.append(header.line) }
        if !accepts { lines.append("Accept:") }
        lines.append("Expect:")
        switch request.body {
        case .chunked where !request.isHead: lines.append("Transfer-Encoding: chunked")
        case .none where !request.isSafe && !request.method.elementsEqual("DELETE".utf8):
            lines.append("Content-Length: 0")
        case .none, .length, .chunked: break
        }
        return lines.list
    }

    private struct LineList {
        var list: UnsafeMutablePointer<curl_slist>?
        private var scratch: [CChar] = []

        init() { scratch.reserveCapacity(512) }

        mutating func append(_ line: String) { list = curl_slist_append(list, line) }
        mutating func append(_ line: [CChar]) { list = curl_slist_append(list, line) }
        mutating func append(_ name: String, _ value: [UInt8]) { append(Array(name.utf8)[...], value[...]) }

        mutating func append(_ name: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>) {
            scratch.removeAll(keepingCapacity: true)
            for byte in name { scratch.append(CChar(bitPattern: byte)) }
            if value.isEmpty {
                scratch.append(CChar(bitPattern: Octet.semicolon))
            } else {
                scratch.append(CChar(bitPattern: Octet.colon))
                scratch.append(CChar(bitPattern: Octet.space))
                for byte in value { scratch.append(CChar(bitPattern: byte)) }
            }
            scratch.append(0)
            list = curl_slist_append(list, scratch)
        }
    }
}
