import EdgeOrigin
import EdgePolicy

/// A network address to listen on.
public struct ListenAddress: Sendable, Equatable, CustomStringConvertible {
    public var host: String
    public var port: Int

    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// Everything a node is told: the YAML file, or the flags of `rockpool serve`, come to this.
public struct NodeConfiguration: Sendable, Equatable {
    public struct Admin: Sendable, Equatable {
        /// The fewest characters that a token may have: fewer can be guessed.
        public static let leastTokenCharacters = 16

        public var address = ListenAddress(host: "127.0.0.1", port: 8081)
        /// A file that holds the bearer token; nil: a fresh one in the cache directory.
        public var tokenFile: String?

        public init() {}
    }

    public struct Cache: Sendable, Equatable {
        public var directory = "./rockpool-cache"
        public var memoryBytes: Int64 = 256 << 20
        public var diskBytes: Int64 = 10 << 30
        public var maxResponseBytes: Int64 = 4 << 30
        public var maxVariants = 64

        public init() {}
    }

    public struct Log: Sendable, Equatable {
        public enum Access: Sendable, Equatable {
            case off
            case standardOutput
            case file(String)
        }

        public enum Format: String, Sendable, CaseIterable {
            case json, combined
        }

        public enum Level: String, Sendable, CaseIterable {
            case trace, debug, info, notice, warning, error, critical
        }

        public var access = Access.standardOutput
        public var format = Format.json
        public var level = Level.info

        public init() {}
    }

    /// Our cdn-id in CDN-Loop (RFC 8586); nil: a random one, kept in the cache directory.
    public var nodeID: String?
    public var listeners = [ListenAddress(host: "127.0.0.1", port: 8080)]
    public var admin = Admin()
    public var cache = Cache()
    public var log = Log()
    public var origins: [String: OriginConfiguration] = [:]
    public var sites: [SiteConfiguration] = []

    public init() {}

    /// The keys of the file whose values differ from those that the process was started with, as `running` has them,
    /// and that count from the next start on. Every other key counts from the reload on.
    public func waitingForRestart(since running: NodeConfiguration) -> [String] {
        var keys: [String] = []
        if nodeID != running.nodeID { keys.append("node.id") }
        if listeners != running.listeners { keys.append("listen") }
        if admin.address != running.admin.address { keys.append("admin.address") }
        if cache.directory != running.cache.directory { keys.append("cache.directory") }
        // A disk tier that is there grows and shrinks; to come or to go it needs a start.
        if (cache.diskBytes == 0) != (running.cache.diskBytes == 0) { keys.append("cache.disk") }
        return keys
    }
}
