/// What a site's rules say about caching one request and its response; the sum of all matching rules.
///
/// The defaults say nothing: the origin's fields decide alone.
public struct CachingRules: Sendable, Equatable {
    public enum Cookies: String, Sendable, CaseIterable {
        /// Cookie goes to the origin; Set-Cookie is kept; both leave storability as RFC 9111 has it.
        case keep
        /// Cookie is not sent to the origin, and Set-Cookie of a stored response is dropped.
        case strip
        /// A request that carries Cookie is passed, not cached.
        case pass
    }

    /// What becomes of a response with Set-Cookie.
    public enum SetCookie: String, Sendable, CaseIterable {
        /// Stored on the origin's explicit lifetime alone: no guess and no rule hands one visitor's cookie to others.
        case drop
        /// Stored as any other response is.
        case store
    }

    /// A lifetime for responses to which the origin gave none, by status, in milliseconds.
    public struct Lifetimes: Sendable, Equatable {
        /// For 200, 203, 301 and 308.
        public var defaultMilliseconds: Int64?
        public var byStatus: [Int: Int64]

        public init(defaultMilliseconds: Int64? = nil, byStatus: [Int: Int64] = [:]) {
            self.defaultMilliseconds = defaultMilliseconds
            self.byStatus = byStatus
        }

        public func milliseconds(for status: Int) -> Int64? {
            if let exact = byStatus[status] { return exact }
            return [200, 203, 301, 308].contains(status) ? defaultMilliseconds : nil
        }
    }

    /// The site's `stale` section: permissions where the origin said nothing. Milliseconds.
    public struct Stale: Sendable, Equatable {
        /// Stale on 500, 502, 503, 504; nil: not allowed unless the origin says so.
        public var ifErrorMilliseconds: Int64?
        /// Stale while the origin cannot be reached (RFC 9111 4.2.4, disconnected).
        public var ifUnreachableMilliseconds: Int64 = 86_400_000
        public var whileRevalidateMilliseconds: Int64?
        /// Serve stale when the pull has not answered after this long; nil: wait for the pull.
        public var afterMilliseconds: Int64?
        /// Lifts the ban on stale that s-maxage brings (RFC 9111 5.2.2.10), and no other.
        public var despiteSharedMaxAge = false

        public init() {}
    }

    public var lifetimes = Lifetimes()
    /// Whether `lifetimes` beats the origin's fields.
    public var overridesOrigin = false
    /// A cap on every freshness lifetime, in milliseconds.
    public var maxLifetimeMilliseconds: Int64?
    public var cookies = Cookies.keep
    public var setCookie = SetCookie.drop
    /// `cache: pass`: neither looked up nor stored.
    public var passes = false
    public var stale = Stale()
    /// Whether the client's Cache-Control and Pragma count.
    public var honoursClient = false
    /// The largest body that may be stored, in bytes.
    public var maxResponseBytes: Int64 = 4 << 30
    /// The line of the rule that gave the lifetime, for explanations; 0 where none did.
    public var lifetimeRuleLine = 0
    /// Where the path can be read as several and the rules differ: those of each reading, of which these are
    /// the strictest.
    public var readings: [CachingRules] = []

    public init() {}

    /// These rules without any lifetime of their own making.
    var withoutLifetimes: CachingRules {
        var rules = self
        rules.lifetimes = Lifetimes()
        rules.overridesOrigin = false
        rules.lifetimeRuleLine = 0
        return rules
    }
}
