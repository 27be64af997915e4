/// One origin: where its servers are and how to speak to them. Times are milliseconds.
public struct OriginConfiguration: Sendable, Equatable {
    public enum Balance: String, Sendable, CaseIterable {
        /// The first healthy one, in the order written.
        case order
        case roundRobin
        /// By the digest of the cache key, so that each server sees its share of keys.
        case hash
    }

    /// The Host that the origin gets.
    public enum Host: Sendable, Equatable {
        case client
        case origin
        case name(String)
    }

    public struct TLS: Sendable, Equatable {
        /// A PEM file of certificate authorities; nil: the system's.
        public var authorityFile: String?
        /// The name to ask for and verify; nil: the URL's host.
        public var serverName: String?
        public var clientCertificateFile: String?
        public var clientKeyFile: String?

        public init() {}
    }

    public struct Health: Sendable, Equatable {
        public var path: String
        public var intervalMilliseconds: Int64 = 2_000
        public var unhealthyAfter = 3
        public var healthyAfter = 2

        public init(path: String) { self.path = path }
    }

    public static let defaultStallMilliseconds: Int64 = 10_000
    static let patientStallMilliseconds: Int64 = 60_000

    /// Base URLs, `http://host[:port]` or `https://host[:port]`, without path, query or fragment.
    public var urls: [String]
    public var balance = Balance.order
    public var host = Host.client
    public var tls = TLS()
    /// Fields sent with every pull, by name.
    public var headers: [String: String] = [:]
    public var connectTimeoutMilliseconds: Int64 = 1_000
    public var firstByteTimeoutMilliseconds: Int64 = 10_000
    /// The longest pause within a body. Left at the default, it is longer for event streams and for answers that nobody
    /// shares: these may be quiet, and keep nobody waiting.
    public var stallTimeoutMilliseconds = defaultStallMilliseconds
    /// The whole pull; 0: no limit.
    public var fetchTimeoutMilliseconds: Int64 = 0
    /// Connections to all its servers together, used and idle.
    public var maxConnections = 64
    /// How long a connection may lie idle before it is closed.
    public var idleConnectionSeconds = 60
    public var health: Health?

    public init(urls: [String]) { self.urls = urls }
}
