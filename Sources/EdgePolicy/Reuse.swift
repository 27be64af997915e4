import EdgePrimitives

/// Whether a stored response may answer a request (RFC 9111 4), once its key and variant have been found
/// to fit.
public enum Reuse {
    public enum Decision: Sendable, Equatable {
        case fresh
        /// Stale, but allowed while it is revalidated behind the answer (RFC 5861 3, or the client's
        /// max-stale).
        case staleWhileRevalidate
        /// To be validated or fetched anew, for that reason.
        case validate(Reason)
    }

    /// Whether the stored response is fresh and the origin lets it be reused without validation.
    /// Arithmetic alone: every hit passes here. Client directives and purges are the caller's to exclude.
    @inlinable
    public static func isPlainlyFresh(_ stored: StoredMetadata, now: WallTime) -> Bool {
        !stored.flags.contains(.noCache) && stored.remainingFreshnessMilliseconds(at: now) > 0
    }

    /// Decides on one request. `softPurgedAt` is the soft purge that covers the stored response, if any.
    public static func decide(
        _ stored: StoredMetadata, request: RequestTraits, rules: CachingRules, now: WallTime,
        softPurgedAt: WallTime?
    ) -> Decision {
        if stored.flags.contains(.noCache) { return .validate(.mustValidate) }
        if request.noCache { return .validate(.clientNoCache) }
        guard let staleness = stored.stalenessMilliseconds(at: now, softPurgedAt: softPurgedAt) else {
            return decideFresh(stored, request, now)
        }
        return decideStale(stored, request, rules, now, staleness, isSoftPurged: softPurgedAt != nil)
    }

    private static func decideFresh(_ stored: StoredMetadata, _ request: RequestTraits, _ now: WallTime)
        -> Decision
    {
        // A reload (max-age=0) of an immutable response needs no validation while it is fresh (RFC 8246
        // 2.1).
        if let maxAge = request.maxAge, !stored.flags.contains(.immutable),
            stored.currentAgeMilliseconds(at: now) > maxAge
        {
            return .validate(.clientMaxAge)
        }
        if let minFresh = request.minFresh, stored.remainingFreshnessMilliseconds(at: now) < minFresh {
            return .validate(.clientMinFresh)
        }
        return .fresh
    }

    private static func decideStale(
        _ stored: StoredMetadata, _ request: RequestTraits, _ rules: CachingRules, _ now: WallTime,
        _ staleness: Int64,
        isSoftPurged: Bool
    ) -> Decision {
        // It has no lifetime, and a rule would have given one but for the path.
        let isAmbiguous = stored.freshnessSource == .none && !rules.readings.isEmpty
        let expired = Decision.validate(isSoftPurged ? .softPurged : isAmbiguous ? .pathAmbiguous : .expired)
        if StalePolicy.forbidsStale(stored, rules: rules) { return expired }
        if request.minFresh != nil { return .validate(.clientMinFresh) }
        if let maxAge = request.maxAge, stored.currentAgeMilliseconds(at: now) > maxAge,
            request.maxStale == nil
        {
            return .validate(.clientMaxAge)
        }
        // What the client takes, it takes of expired responses; a purged one it has not been asked about.
        if let maxStale = request.maxStale, staleness <= maxStale, !isSoftPurged {
            return .staleWhileRevalidate
        }
        let window = StalePolicy.whileRevalidateMilliseconds(stored, rules: rules)
        return staleness < window ? .staleWhileRevalidate : expired
    }
}
