import EdgePrimitives

/// One origin as the pull loop sees it: its servers with their health, its connections in use, and who waits.
struct OriginPool {
    struct Server {
        let endpoint: OriginEndpoint
        var health = ServerHealth()
        var active = 0
        var pulls: UInt64 = 0
        var failures: UInt64 = 0
        /// Pulls that failed here and then went to another server.
        var retries: UInt64 = 0
        var lastFailure: String?
        /// The check under way; what an older one found does not count.
        var check: UInt64?
    }

    /// Where a pull may go.
    enum Choice: Equatable {
        case server(Int)
        /// To none, before a check that is under way or due has told what it found.
        case afterCheck
        case none
    }

    let settings: OriginSettings
    var servers: [Server]
    var active = 0
    var queue = PullQueue<PullTransfer>()
    /// Pulls that no server may get before a check ends.
    var waiting: [PullTransfer] = []
    private var nextServer = 0
    /// When a reload took the origin out; requests that were on their way then still find it for a while.
    var retiredAt: MonotonicTime?
    private(set) var timings = PullTimings()

    init(name: String, configuration: OriginConfiguration, siteHost: String? = nil) {
        settings = OriginSettings(name: name, configuration: configuration, siteHost: siteHost)
        servers = configuration.urls.map { Server(endpoint: OriginEndpoint(url: $0, tls: configuration.tls)) }
    }

    var name: String { settings.name }
    var configuration: OriginConfiguration { settings.configuration }

    func index(of endpoint: OriginEndpoint?) -> Int? { servers.firstIndex { $0.endpoint == endpoint } }

    /// Keeps what is known of servers that stay. Those that are out are checked at once, by what holds now: it may be
    /// what was wrong that changed.
    mutating func inherit(_ old: OriginPool, now: MonotonicTime) {
        timings = old.timings
        for index in servers.indices {
            guard let same = old.servers.first(where: { $0.endpoint == servers[index].endpoint }) else {
                continue
            }
            servers[index].health = same.health
            if same.health.isInTrouble { servers[index].health.checkBy(now) }
            servers[index].pulls = same.pulls
            servers[index].failures = same.failures
            servers[index].retries = same.retries
            servers[index].lastFailure = same.lastFailure
        }
    }

    /// The server for a pull that has tried `tried` already.
    mutating func choose(hashKey: UInt64, tried: [OriginEndpoint], now: MonotonicTime) -> Choice {
        let count = servers.count
        let first: Int
        switch configuration.balance {
        case .order: first = 0
        case .roundRobin:
            first = nextServer % count
            nextServer = (nextServer + 1) % count
        case .hash: first = Int(hashKey % UInt64(count))
        }
        // One that is set aside is better than none.
        var last: Int?
        var mayComeBack = false
        for step in 0..<count {
            let index = (first + step) % count
            let server = servers[index]
            guard !tried.contains(server.endpoint) else { continue }
            if server.health.isOut {
                mayComeBack = mayComeBack || isCheckExpected(index, now)
            } else if server.health.isSetAside(now: now)
                || (server.active > 0 && server.health.isOnTrial(now: now))
            {
                last = last ?? index
            } else {
                return .server(index)
            }
        }
        if let last { return .server(last) }
        return mayComeBack ? .afterCheck : .none
    }

    /// Whether there is, or may soon be, a server that a pull has not tried.
    func mayGoOn(_ transfer: PullTransfer, now: MonotonicTime) -> Bool {
        servers.indices.contains { index in
            guard !transfer.tried.contains(servers[index].endpoint) else { return false }
            return !servers[index].health.isOut
                || (transfer.request.waitsForCheck && isCheckExpected(index, now))
        }
    }

    private func isCheckExpected(_ index: Int, _ now: MonotonicTime) -> Bool {
        guard servers[index].check == nil else { return true }
        return servers[index].health.checkDue(configuration.health).map { $0 <= now } ?? false
    }

    /// Whether there is a server that may take the pulls of that one, which fails.
    func isAnotherWell(but index: Int, now: MonotonicTime) -> Bool {
        let since = servers[index].health.firstFailure ?? now
        return servers.indices.contains { $0 != index && servers[$0].health.isWell(since: since) }
    }
}

/// What is configured of an origin; by reference, since every pull carries it.
final class OriginSettings: Sendable {
    let name: String
    let configuration: OriginConfiguration
    /// `Name: value` lines sent with every pull.
    let headers: [(name: [UInt8], line: [CChar])]
    /// A host that the origin knows: the first exact one of its first site.
    let siteHost: [UInt8]

    init(name: String, configuration: OriginConfiguration, siteHost: String? = nil) {
        self.name = name
        self.configuration = configuration
        self.siteHost = siteHost.map { Array($0.utf8) } ?? []
        headers = configuration.headers.sorted { $0.key < $1.key }.map { name, value in
            (Array(name.utf8), Array((value.isEmpty ? "\(name);" : "\(name): \(value)").utf8CString))
        }
    }
}

/// Where a server is and how libcurl is told; by reference, since every pull carries it.
final class OriginEndpoint: Equatable, Sendable {
    /// The URL for libcurl: the host to verify, no path.
    let url: String
    /// `host:port:host:port` for CURLOPT_CONNECT_TO where the name to verify is not the host to connect to.
    let connectTo: String?
    /// Host and explicit port, as Host.
    let authority: [UInt8]
    let isTLS: Bool
    /// Whom to connect to: a name, or an address without brackets.
    let host: String
    /// The host where it is an address, which needs no look-up.
    let address: String?
    let port: Int
    /// Host and port, as libcurl knows them.
    let place: String
    let shown: String
    let tls: OriginConfiguration.TLS

    init(url: String, tls: OriginConfiguration.TLS) {
        self.tls = tls
        shown = url
        isTLS = url.lowercased().hasPrefix("https://")
        var rest = url[...]
        if let end = url.range(of: "://") { rest = url[end.upperBound...] }
        let authority = String(rest.prefix { $0 != "/" })
        self.authority = Array(authority.utf8)
        let scheme = isTLS ? "https" : "http"
        var host = authority[...]
        var port = isTLS ? "443" : "80"
        if let colon = authority.lastIndex(of: ":"), !authority[colon...].contains("]") {
            host = authority[..<colon]
            port = String(authority[authority.index(after: colon)...])
        }
        self.host = String(host.drop { $0 == "[" }.prefix { $0 != "]" })
        address = NameResolver.address(self.host)
        self.port = Int(port) ?? 0
        place = "\(self.host):\(self.port)"
        if isTLS, let name = tls.serverName {
            self.url = "\(scheme)://\(name):\(port)/"
            connectTo = "\(name):\(port):\(host):\(port)"
        } else {
            self.url = "\(scheme)://\(authority)/"
            connectTo = nil
        }
    }

    static func == (one: OriginEndpoint, other: OriginEndpoint) -> Bool {
        one === other || (one.shown == other.shown && one.tls == other.tls)
    }
}

extension String {
    fileprivate func range(of text: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            start = index(after: start)
        }
        return nil
    }
}

/// What `/status` and the metrics say of one server of an origin.
public struct OriginSnapshot: Sendable {
    public enum Health: String, Sendable {
        case healthy, unhealthy
        /// Out, and being looked at to see whether it is back.
        case halfOpen
    }

    public let name: String
    public let url: String
    public let health: Health
    public let active: Int
    /// Pulls that wait for one of the origin's connections.
    public let queued: Int
    public let pulls: UInt64
    public let failures: UInt64
    /// Pulls that failed here and then went to another server.
    public let retries: UInt64
    public let lastFailure: String?
    public let consecutiveFailures: Int
}
