import EdgePolicy
import EdgePrimitives

/// One site: the hosts it answers for, where it pulls from, and its rules.
public struct SiteConfiguration: Sendable, Equatable {
    /// Lower-case names without port: exact, `*.example.net`, or `*` for every host.
    public var hosts: [String]
    /// The name of the origin in ``NodeConfiguration/origins``.
    public var origin: String
    public var stale = CachingRules.Stale()
    public var rules: [RuleConfiguration] = []
    public var honoursClient = false
    /// The methods that the site takes, in the order in which Allow names them; nil: all that the node takes.
    public var methods: [String]?
    /// Whose PURGE requests are carried out: connections from these networks.
    public var purgeFrom: [NetworkRange] = []
    /// A field in which the origin gets the client's address, beside X-Forwarded-For and Forwarded.
    public var clientAddressField: String?
    /// Which of a client's fields reach the origin where the answer may be kept.
    public var forwarding = FieldForwarding.all

    public init(hosts: [String], origin: String) {
        self.hosts = hosts
        self.origin = origin
    }
}

/// One rule of a site. Every field that is nil leaves the matter to a later rule.
public struct RuleConfiguration: Sendable, Equatable {
    /// What a request must be like for the rule to apply; no condition matches everything.
    public struct Match: Sendable, Equatable {
        /// A glob over the path: `*` matches any run of octets, `?` one octet; everything else itself.
        public var path: String?

        public init(path: String? = nil) { self.path = path }
    }

    /// Changes to a field section: first removals, then settings.
    public struct FieldEdits: Sendable, Equatable {
        public var set: [String: String] = [:]
        public var remove: [String] = []
        /// Responses only: the Cache-Control that clients get instead of the origin's.
        public var clientCacheControl: String?

        public init() {}
    }

    public var match = Match()
    public var lifetimes: CachingRules.Lifetimes?
    public var overridesOrigin: Bool?
    public var maxLifetimeMilliseconds: Int64?
    public var query: QueryRule?
    public var cookies: CachingRules.Cookies?
    public var setCookie: CachingRules.SetCookie?
    public var response: FieldEdits?
    public var request: FieldEdits?
    /// The longest pause within a body; nil: the origin's.
    public var stallTimeoutMilliseconds: Int64?
    /// `cache: pass` (true) or `cache: on` (false).
    public var passes: Bool?
    /// The line in the configuration file, from 1; 0 without a file.
    public var line = 0

    public init() {}
}
