import CCurl

/// libcurl's sockets: what epoll watches each for, and which connections are at a local port. The pull thread's own.
struct SocketTable {
    /// What a socket may be watched for.
    private struct Interest: OptionSet {
        let rawValue: UInt8
        static let reads = Interest(rawValue: 1)
        static let writes = Interest(rawValue: 2)
    }

    private struct Entry {
        /// What libcurl asks for.
        var wanted: Interest = []
        /// What epoll knows.
        var watched: Interest = []
        /// A connection to an origin, whose end is told; libcurl's inner sockets come and go unseen.
        var isConnection = false
        /// The local port, once it was asked for.
        var port: Int?
    }

    private let epoll: Int32
    /// By descriptor.
    private var entries: [Entry] = []
    /// Connections by local port; the port is known once the socket is connected.
    private var unnamed: Set<Int32> = []
    private var byPort: [Int: Set<Int32>] = [:]

    init(epoll: Int32) { self.epoll = epoll }

    // MARK: epoll

    /// Watches a socket for what libcurl asks. A connection that libcurl lays by stays watched: where there are many
    /// pulls the next one on it comes soon, and asks for the same again.
    mutating func watch(_ descriptor: Int32, _ what: Int32) {
        var wanted: Interest = []
        if what == CURL_POLL_IN || what == CURL_POLL_INOUT { wanted.insert(.reads) }
        if what == CURL_POLL_OUT || what == CURL_POLL_INOUT { wanted.insert(.writes) }
        let index = makeEntry(descriptor)
        entries[index].wanted = wanted
        if wanted.isEmpty, entries[index].isConnection, entries[index].watched == .reads { return }
        tell(index)
    }

    /// Whether libcurl wants to know of what happened on a socket. Where it does not, the connection was laid by and
    /// something came unasked, or its end: from here on it is not watched.
    mutating func takesEvent(_ descriptor: Int32) -> Bool {
        let index = makeEntry(descriptor)
        guard entries[index].wanted.isEmpty else { return true }
        tell(index)
        return false
    }

    private mutating func tell(_ index: Int) {
        let wanted = entries[index].wanted
        // What is not a connection may have been closed, and opened again, without a word.
        guard wanted != entries[index].watched || !entries[index].isConnection else { return }
        entries[index].watched = wanted
        rockpool_epoll_watch(
            epoll, Int32(index), wanted.contains(.reads) ? 1 : 0, wanted.contains(.writes) ? 1 : 0)
    }

    private mutating func makeEntry(_ descriptor: Int32) -> Int {
        let index = Int(descriptor)
        while entries.count <= index { entries.append(Entry()) }
        return index
    }

    // MARK: Connections

    mutating func opened(_ descriptor: Int32) {
        entries[makeEntry(descriptor)] = Entry(isConnection: true)
        unnamed.insert(descriptor)
    }

    /// The connection is about to be closed, which takes it out of epoll as well.
    mutating func closed(_ descriptor: Int32) {
        let index = makeEntry(descriptor)
        if let port = entries[index].port {
            byPort[port]?.remove(descriptor)
            if byPort[port]?.isEmpty == true { byPort[port] = nil }
        } else {
            unnamed.remove(descriptor)
        }
        entries[index] = Entry()
    }

    /// Whether a connection at that local port has bytes, or an end, that nobody asked for. A connection on its first
    /// use has had no response whose remains could lie there.
    mutating func isUnclean(localPort: Int) -> Bool {
        // Connections to different servers may have the same local port: all of them have to be clean.
        let known = byPort[localPort] ?? []
        for descriptor in unnamed where Int(rockpool_local_port(descriptor)) == localPort {
            unnamed.remove(descriptor)
            byPort[localPort, default: []].insert(descriptor)
            entries[makeEntry(descriptor)].port = localPort
        }
        return known.contains { rockpool_has_input($0) != 0 }
    }

    /// The connections that have carried a request, with their local ports.
    var used: [(descriptor: Int32, port: Int)] {
        byPort.flatMap { port, descriptors in descriptors.map { ($0, port) } }
    }
}
