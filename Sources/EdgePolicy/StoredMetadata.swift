import EdgePrimitives

/// Where a freshness lifetime came from; the raw value is what explanations show.
public enum FreshnessSource: String, Sendable, CaseIterable {
    case cdnCacheControl = "cdn-cache-control"
    case sMaxage = "s-maxage"
    case maxAge = "max-age"
    case expires
    case heuristic
    case rule
    /// Nothing gave one: the lifetime is zero.
    case none

    /// Whether the origin itself said it (RFC 9111 4.2.1).
    public var isExplicit: Bool {
        switch self {
        case .cdnCacheControl, .sMaxage, .maxAge, .expires: true
        case .heuristic, .rule, .none: false
        }
    }
}

/// What reuse has to know about a stored response: worked out once when it is stored or freshened, so
/// that a hit costs arithmetic and no field is parsed again.
public struct StoredMetadata: Sendable, Equatable {
    public struct Flags: OptionSet, Sendable, Hashable {
        public let rawValue: UInt16

        @inlinable
        public init(rawValue: UInt16) {
            self.rawValue = rawValue
        }

        /// `no-cache` without field names: never reused without validation (RFC 9111 5.2.2.4).
        public static let noCache = Flags(rawValue: 1 << 0)
        public static let mustRevalidate = Flags(rawValue: 1 << 1)
        public static let proxyRevalidate = Flags(rawValue: 1 << 2)
        /// `s-maxage`, which forbids stale as `proxy-revalidate` does (RFC 9111 5.2.2.10).
        public static let sMaxage = Flags(rawValue: 1 << 3)
        /// RFC 8246.
        public static let immutable = Flags(rawValue: 1 << 4)
        /// The freshness lifetime is heuristic (RFC 9111 4.2.2).
        public static let heuristic = Flags(rawValue: 1 << 5)
        public static let hasEntityTag = Flags(rawValue: 1 << 6)
        public static let hasStrongEntityTag = Flags(rawValue: 1 << 7)
        public static let hasLastModified = Flags(rawValue: 1 << 8)
        public static let hasVary = Flags(rawValue: 1 << 9)
    }

    public var status: Int
    /// When the response was received (RFC 9111 4.2.3).
    public var responseTime: WallTime
    public var correctedInitialAgeMilliseconds: Int64
    public var freshnessLifetimeMilliseconds: Int64
    public var freshnessSource: FreshnessSource
    public var flags: Flags
    /// The origin's `stale-if-error` (RFC 5861 4); nil: it said nothing.
    public var staleIfErrorMilliseconds: Int64?
    /// The origin's `stale-while-revalidate` (RFC 5861 3); nil: it said nothing.
    public var staleWhileRevalidateMilliseconds: Int64?

    public init(
        status: Int,
        responseTime: WallTime,
        correctedInitialAgeMilliseconds: Int64 = 0,
        freshnessLifetimeMilliseconds: Int64 = 0,
        freshnessSource: FreshnessSource = .none,
        flags: Flags = [],
        staleIfErrorMilliseconds: Int64? = nil,
        staleWhileRevalidateMilliseconds: Int64? = nil
    ) {
        self.status = status
        self.responseTime = responseTime
        self.correctedInitialAgeMilliseconds = correctedInitialAgeMilliseconds
        self.freshnessLifetimeMilliseconds = freshnessLifetimeMilliseconds
        self.freshnessSource = freshnessSource
        self.flags = flags
        self.staleIfErrorMilliseconds = staleIfErrorMilliseconds
        self.staleWhileRevalidateMilliseconds = staleWhileRevalidateMilliseconds
    }

    /// The current age (RFC 9111 4.2.3). A wall clock that steps back leaves it at the age when stored.
    @inlinable
    public func currentAgeMilliseconds(at now: WallTime) -> Int64 {
        correctedInitialAgeMilliseconds &+ max(0, now.milliseconds &- responseTime.milliseconds)
    }

    /// How long the response stays fresh from `now`; zero or less: stale.
    @inlinable
    public func remainingFreshnessMilliseconds(at now: WallTime) -> Int64 {
        freshnessLifetimeMilliseconds &- currentAgeMilliseconds(at: now)
    }

    /// How long the response has been stale; zero: just now; nil: it is fresh.
    ///
    /// A soft purge makes it stale from its moment on; staleness that began earlier goes on counting, so
    /// that a purge never lengthens a window.
    @inlinable
    public func stalenessMilliseconds(at now: WallTime, softPurgedAt: WallTime?) -> Int64? {
        let sinceExpiry = 0 &- remainingFreshnessMilliseconds(at: now)
        guard let softPurgedAt else { return sinceExpiry >= 0 ? sinceExpiry : nil }
        return max(0, sinceExpiry, now.milliseconds &- softPurgedAt.milliseconds)
    }

    /// Whether storing a response could have made these numbers. What was kept in a file may claim others,
    /// with a checksum that is right; arithmetic on them would not end well.
    public var isPlausible: Bool {
        let durations = 0...Freshness.maxMilliseconds
        return (200...999).contains(status) && WallTime.nameable.contains(responseTime)
            && durations.contains(correctedInitialAgeMilliseconds)
            && durations.contains(freshnessLifetimeMilliseconds)
            && durations.contains(staleIfErrorMilliseconds ?? 0)
            && durations.contains(staleWhileRevalidateMilliseconds ?? 0)
    }
}
