import EdgePrimitives

/// How a pull failed, as far as stale permission goes.
public enum OriginFailure: Sendable, Equatable {
    /// Refused, reset, closed without an answer, timed out, name not found.
    case unreachable
    /// The origin answered with this status.
    case serverError(status: Int)
    /// `after` has passed since the pull began.
    case slow
}

/// When a stale response may answer in place of an origin that fails (RFC 9111 4.2.4, RFC 5861 4).
public enum StalePolicy {
    public enum Verdict: Sendable, Equatable {
        case allowed(Reason)
        case forbidden(Reason)
    }

    /// How long after it became stale a response may be used, by what for; zero: not at all.
    public struct Windows: Sendable, Equatable {
        /// While it is revalidated behind the answer (RFC 5861 3).
        public var whileRevalidateMilliseconds: Int64 = 0
        /// When the origin answers 500, 502, 503 or 504, or is slow (RFC 5861 4).
        public var ifErrorMilliseconds: Int64 = 0
        /// While the origin cannot be reached (RFC 9111 4.2.4).
        public var ifUnreachableMilliseconds: Int64 = 0

        public init() {}

        /// The longest of them: from then on a stale response is good for validation alone.
        public var longestMilliseconds: Int64 {
            max(whileRevalidateMilliseconds, ifErrorMilliseconds, ifUnreachableMilliseconds)
        }
    }

    /// The windows of a stored response under `rules`: what the origin said, else what the site says.
    public static func windows(_ stored: StoredMetadata, rules: CachingRules) -> Windows {
        var windows = Windows()
        guard !forbidsStale(stored, rules: rules) else { return windows }
        windows.whileRevalidateMilliseconds = whileRevalidateMilliseconds(stored, rules: rules)
        if !isError(stored) { windows.ifErrorMilliseconds = ifErrorMilliseconds(stored, rules: rules) ?? 0 }
        if stored.status < 500 {
            windows.ifUnreachableMilliseconds = ifUnreachableMilliseconds(stored, rules: rules)
        }
        return windows
    }

    /// The total time that stale use of `stored` is allowed after its freshness, for whatever reason.
    public static func mayServeStaleMilliseconds(_ stored: StoredMetadata, rules: CachingRules) -> Int64 {
        windows(stored, rules: rules).longestMilliseconds
    }

    /// Whether `stored` may answer after `failure`. `softPurgedAt` is the soft purge that covers it, if
    /// any.
    public static func decide(
        _ stored: StoredMetadata, failure: OriginFailure, rules: CachingRules, now: WallTime,
        softPurgedAt: WallTime?
    ) -> Verdict {
        let permission: (window: Int64?, reason: Reason) =
            switch failure {
            // A stored error hides no newer answer, and a server error not even that there is none: it would
            // outlive the outage that it tells of.
            case .serverError where isError(stored), .slow where isError(stored),
                .unreachable where stored.status >= 500:
                (nil, .staleForbidden)
            case .unreachable: (ifUnreachableMilliseconds(stored, rules: rules), .staleIfUnreachable)
            case .serverError(500), .serverError(502), .serverError(503), .serverError(504):
                (ifErrorMilliseconds(stored, rules: rules), .staleIfError)
            case .serverError: (nil, .staleForbidden)
            case .slow:
                (
                    rules.stale.afterMilliseconds.flatMap { _ in ifErrorMilliseconds(stored, rules: rules) },
                    .staleAfter
                )
            }
        guard let window = permission.window, !stored.flags.contains(.noCache) else {
            return .forbidden(.staleForbidden)
        }
        // Not stale at all: the pull was the client's wish (no-cache, min-fresh), and there is nothing to
        // permit.
        guard let staleness = stored.stalenessMilliseconds(at: now, softPurgedAt: softPurgedAt) else {
            return .allowed(.fresh)
        }
        if forbidsStale(stored, rules: rules) { return .forbidden(.staleForbidden) }
        return staleness < window ? .allowed(permission.reason) : .forbidden(.staleTooOld)
    }

    /// Whether a stored response stands in for an answer of that status. Such an answer does not replace
    /// what is stored.
    public static func coversError(
        _ stored: StoredMetadata, status: Int, rules: CachingRules, now: WallTime, softPurgedAt: WallTime?
    ) -> Bool {
        let verdict = decide(
            stored, failure: .serverError(status: status), rules: rules, now: now, softPurgedAt: softPurgedAt)
        if case .allowed = verdict { return true }
        return false
    }

    private static func isError(_ stored: StoredMetadata) -> Bool { stored.status >= 400 }

    /// RFC 9111 4.2.4 and 5.2.2: directives that no permission lifts, but for s-maxage where the site
    /// says so.
    static func forbidsStale(_ stored: StoredMetadata, rules: CachingRules) -> Bool {
        if !stored.flags.isDisjoint(with: [.noCache, .mustRevalidate, .proxyRevalidate]) { return true }
        return stored.flags.contains(.sMaxage) && !rules.stale.despiteSharedMaxAge
    }

    /// The site's window is for responses that had a lifetime; with none at all it would become a default
    /// lifetime. No window is for errors, which would be seen when the outage is over.
    static func whileRevalidateMilliseconds(_ stored: StoredMetadata, rules: CachingRules) -> Int64 {
        // A refresh that brings a newer error would not take the place of an older one.
        if isError(stored) { return 0 }
        if let origin = stored.staleWhileRevalidateMilliseconds { return origin }
        if stored.freshnessSource == .none { return 0 }
        return rules.stale.whileRevalidateMilliseconds ?? 0
    }

    private static func ifErrorMilliseconds(_ stored: StoredMetadata, rules: CachingRules) -> Int64? {
        stored.staleIfErrorMilliseconds ?? rules.stale.ifErrorMilliseconds
    }

    /// An origin that sent stale-if-error has said how long; otherwise the longer of the site's two
    /// windows counts, since an origin out of reach is an error too.
    private static func ifUnreachableMilliseconds(_ stored: StoredMetadata, rules: CachingRules) -> Int64 {
        stored.staleIfErrorMilliseconds
            ?? max(rules.stale.ifUnreachableMilliseconds, rules.stale.ifErrorMilliseconds ?? 0)
    }
}
