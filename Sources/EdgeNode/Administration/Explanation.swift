/// A request of which an operator asks what would become of it.
public struct ExplainQuestion: Sendable {
    /// Absolute.
    public var url: String
    /// GET or HEAD.
    public var method: String
    public var headers: [(name: String, value: String)]
    /// Whether to take the origin for unreachable.
    public var originDown: Bool

    public init(url: String, method: String, headers: [(name: String, value: String)], originDown: Bool) {
        self.url = url
        self.method = method
        self.headers = headers
        self.originDown = originDown
    }
}

/// What would become of a request, and why.
public struct Explanation: Codable, Sendable {
    /// A rule of the site that applies.
    public struct Rule: Codable, Sendable {
        /// Its line in the configuration file; nil without a file.
        public var line: Int?
        /// The glob that the path matches; `*` where the rule has none.
        public var path: String
        /// The keys that it sets.
        public var sets: [String]
    }

    /// One course of events.
    public struct Outcome: Codable, Sendable {
        /// `hit`, `stale`, `revalidated` (if the origin finds what is stored still good), `miss`, `pass` or `error`.
        public var result: String
        /// The status that the client gets; nil where that is the origin's to say.
        public var status: Int?
        /// The reason as in Cache-Status, the access log and the metrics.
        public var reason: String
        /// One English sentence or two.
        public var explanation: String
        /// How our member of Cache-Status would begin; nil for answers of the node's own.
        public var cacheStatus: String?
        /// Whether the client would wait for the origin.
        public var contactsOrigin: Bool
    }

    /// A freshness lifetime and where it came from.
    public struct Lifetime: Codable, Sendable {
        public var seconds: Double
        /// See ``FreshnessSource``.
        public var source: String
        public var detail: String
    }

    public var url: String
    public var method: String
    /// The cache key.
    public var key: String
    /// The hosts of the site that answers, separated by commas.
    public var site: String
    /// The rules that apply, in their order.
    public var rules: [Rule]
    public var originDown: Bool
    public var outcome: Outcome
    public var ifOriginDown: Outcome
    /// The variant that the request selects.
    public var stored: StoredObject?
    /// Everything stored under the key.
    public var variants: [StoredObject]
    /// Of the variant that the request selects.
    public var lifetime: Lifetime?
    public var notes: [String]
}

/// One stored response, as operators see it.
public struct StoredObject: Codable, Sendable {
    public var status: Int
    /// The request fields that select it, with their values.
    public var vary: [String: String]
    /// `memory`, `disk` or both.
    public var tiers: [String]
    /// Of the whole representation.
    public var bodyBytes: Int64
    /// Of it, what is there: less than `bodyBytes` where only ranges were asked for.
    public var storedBytes: Int64
    public var contentType: String?
    public var etag: String?
    public var lastModified: String?
    /// Its surrogate keys.
    public var tags: [String]
    public var storedAt: String
    public var ageSeconds: Double
    public var lifetimeSeconds: Double
    public var lifetimeSource: String
    public var fresh: Bool
    public var softPurgedAt: String?
    /// Where the log of purges stood when its pull began.
    public var pulledAtPosition: String
}

/// Everything stored under the key of a URL.
public struct ObjectList: Codable, Sendable {
    public var url: String
    public var key: String
    public var variants: [StoredObject]
}
