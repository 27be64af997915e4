import EdgeHTTP
import EdgePrimitives

/// Whether a response may be stored (RFC 9111 3), and what reuse has to know of it then.
public enum Storability {
    public enum Verdict: Sendable, Equatable {
        case storable(StoredMetadata)
        case notStorable(Reason)
    }

    /// Decides on one final response. After a 304, `response` is the freshened stored response (RFC 9111
    /// 4.3.4) with the Age field of the 304.
    public static func decide(
        request: RequestTraits, response: ResponseHead, rules: CachingRules, requestTime: WallTime,
        responseTime: WallTime
    ) -> Verdict {
        func judge(_ rules: CachingRules) -> Verdict {
            Self.judge(
                request: request, response: response, rules: rules, requestTime: requestTime,
                responseTime: responseTime)
        }
        let verdict = judge(rules)
        guard case .notStorable(let reason) = verdict, reason != .rulePass else { return verdict }
        // Would it be stored, were only one of the paths meant that this one can be read as?
        for reading in rules.readings {
            if case .storable = judge(reading) { return .notStorable(.pathAmbiguous) }
        }
        return verdict
    }

    private static func judge(
        request: RequestTraits, response: ResponseHead, rules: CachingRules, requestTime: WallTime,
        responseTime: WallTime
    ) -> Verdict {
        if let reason = ruledOut(request, response.status, rules) { return .notStorable(reason) }
        let setsCookie = rules.setCookie == .drop && response.fields.contains(.setCookie)
        // Of a response that sets a cookie the origin's own word counts and nobody else's.
        let rules = setsCookie ? rules.withoutLifetimes : rules
        let said = ResponseDirectives(response.fields)
        let isOverridden = overridesOrigin(rules, status: response.status)
        if !isOverridden {
            // With must-understand, no-store is for caches that do not know the status (RFC 9111 5.2.2.3).
            if said.mustUnderstand, !isUnderstood(response.status) { return .notStorable(.mustUnderstand) }
            if said.noStore, !said.mustUnderstandPermits { return .notStorable(.noStore) }
            if said.isPrivate { return .notStorable(.private) }
        }
        // A rule speaks for the origin's fields, not for the client whose credentials the request bore.
        if request.hasAuthorization, !permitsAuthorization(said) { return .notStorable(.authorization) }
        let vary = VaryRule.parse(response.fields)
        if vary?.isStar == true { return .notStorable(.varyStar) }
        if SurrogateKey.areTooMany(response.fields) { return .notStorable(.tooManyTags) }

        let directives = isOverridden ? ResponseDirectives() : said
        let lifetime = Freshness.lifetime(
            of: response, directives: directives, rules: rules, responseTime: responseTime,
            permitsGuess: Freshness.permitsGuess(request, response))
        if setsCookie, !lifetime.source.isExplicit || lifetime.milliseconds == 0 || said.noCache {
            return .notStorable(.setCookie)
        }
        // Without a word from the origin, what a visitor with cookies got may be that visitor's page: kept for
        // validation, an outage would show it to everybody.
        if lifetime.source == .none, !directives.noCache, request.hasCookie, !directives.isPublic,
            !Freshness.isSharedByNature(response.fields)
        {
            return .notStorable(.noFreshness)
        }
        var flags = flags(directives, response.fields)
        if vary != nil { flags.insert(.hasVary) }
        if lifetime.source == .heuristic { flags.insert(.heuristic) }
        let stored = StoredMetadata(
            status: response.status,
            responseTime: responseTime,
            correctedInitialAgeMilliseconds: Freshness.correctedInitialAgeMilliseconds(
                response.fields, requestTime: requestTime, responseTime: responseTime),
            freshnessLifetimeMilliseconds: lifetime.milliseconds,
            freshnessSource: lifetime.source,
            flags: flags,
            staleIfErrorMilliseconds: directives.staleIfError.milliseconds,
            staleWhileRevalidateMilliseconds: directives.staleWhileRevalidate.milliseconds)
        if let reason = useless(stored, isPublic: directives.isPublic, rules) { return .notStorable(reason) }
        return .storable(stored)
    }

    /// The fields that `no-cache="…"` and `private="…"` name, in lower case: they are dropped from what
    /// is stored (RFC 9111 5.2.2.4, 5.2.2.7), so that no later request is answered with them.
    public static func fieldsToDrop(response: ResponseHead) -> [[UInt8]] {
        ResponseDirectives(response.fields).qualifiedFields
    }

    private static func ruledOut(_ request: RequestTraits, _ status: Int, _ rules: CachingRules) -> Reason? {
        if request.method != .get { return .method }
        if rules.passes { return .rulePass }
        if request.noStore { return .clientNoStore }
        switch status {
        case 206: return .partial
        // A 304 freshens and is not stored; RFC 6585 forbids to store the others, whatever they say.
        case ..<200, 304, 428, 429, 431, 511: return .statusNotStorable
        default: return nil
        }
    }

    private static func overridesOrigin(_ rules: CachingRules, status: Int) -> Bool {
        rules.overridesOrigin && rules.lifetimes.milliseconds(for: status) != nil
    }

    /// Whether the caching requirements of a status are known here: those of RFC 9110 15.
    private static func isUnderstood(_ status: Int) -> Bool {
        switch status {
        case 200...205, 300...303, 305, 307, 308, 400...417, 421, 422, 426, 500...505: true
        default: false
        }
    }

    /// RFC 9111 3.5.
    private static func permitsAuthorization(_ directives: ResponseDirectives) -> Bool {
        directives.isPublic || directives.mustRevalidatePermits || directives.sMaxage.milliseconds != nil
    }

    private static func flags(_ directives: ResponseDirectives, _ fields: FieldSection)
        -> StoredMetadata.Flags
    {
        var flags: StoredMetadata.Flags = []
        if directives.noCache { flags.insert(.noCache) }
        if directives.mustRevalidate { flags.insert(.mustRevalidate) }
        if directives.proxyRevalidate { flags.insert(.proxyRevalidate) }
        if directives.sMaxage != .absent { flags.insert(.sMaxage) }
        if directives.immutable { flags.insert(.immutable) }
        for (name, value) in Validation.conditionalFields(for: fields) {
            if name == .ifModifiedSince {
                flags.insert(.hasLastModified)
            } else {
                flags.insert(.hasEntityTag)
                if EntityTag(value[...])?.isWeak == false { flags.insert(.hasStrongEntityTag) }
            }
        }
        return flags
    }

    /// Why storing would serve no later request; nil where it may.
    private static func useless(_ stored: StoredMetadata, isPublic: Bool, _ rules: CachingRules) -> Reason? {
        // A server error is worth keeping while it is fresh (negative caching) and no longer: it must not
        // displace a response that stale-if-error could fall back on.
        let canValidate =
            stored.status < 500 && !stored.flags.isDisjoint(with: [.hasEntityTag, .hasLastModified])
        if stored.flags.contains(.noCache) { return canValidate ? nil : .mustValidate }
        if stored.remainingFreshnessMilliseconds(at: stored.responseTime) > 0 { return nil }
        if stored.freshnessSource == .none {
            // Without explicit freshness RFC 9111 3 wants `public` or a status cacheable by default.
            // Errors of which the origin says nothing are never kept.
            let mayBeKept =
                Freshness.isHeuristicallyCacheable(stored.status) || (isPublic && stored.status < 400)
            return canValidate && mayBeKept ? nil : .noFreshness
        }
        if canValidate || (stored.status < 500 && permitsStale(stored, rules)) { return nil }
        return stored.freshnessLifetimeMilliseconds == 0 ? .zeroLifetime : .expired
    }

    /// Whether a response that is stale when it arrives may still be used by someone's explicit permission.
    private static func permitsStale(_ stored: StoredMetadata, _ rules: CachingRules) -> Bool {
        let windows = StalePolicy.windows(stored, rules: rules)
        let staleness = -stored.remainingFreshnessMilliseconds(at: stored.responseTime)
        return staleness < max(windows.whileRevalidateMilliseconds, windows.ifErrorMilliseconds)
    }
}
