/// Why the cache did what it did: the closed list behind `detail=` in Cache-Status (RFC 9211 2.8), the access log
/// and the counters. The raw value is the token that all three show; README documents each.
public enum Reason: String, Sendable, CaseIterable {
    // Reuse
    case fresh
    case heuristic
    case staleWhileRevalidate = "stale-while-revalidate"
    case staleIfError = "stale-if-error"
    case staleIfUnreachable = "stale-if-unreachable"
    case staleAfter = "stale-after"
    case revalidated
    // Forwarding
    case notStored = "not-stored"
    case variantNotStored = "variant-not-stored"
    case expired
    case mustValidate = "no-cache"
    case clientNoCache = "client-no-cache"
    case clientMaxAge = "client-max-age"
    case clientMinFresh = "client-min-fresh"
    case clientNoStore = "client-no-store"
    case onlyIfCached = "only-if-cached"
    case precondition
    case softPurged = "soft-purged"
    case purged
    case withdrawn
    case rulePass = "rule-pass"
    case cookiePass = "cookie-pass"
    case method
    case range
    case hitForMiss = "hit-for-miss"
    case signedFields = "signed-fields"
    case tooManyFields = "too-many-fields"
    // Not storable
    case noStore = "no-store"
    case `private`
    case authorization
    case setCookie = "set-cookie"
    case noFreshness = "no-freshness"
    case zeroLifetime = "zero-lifetime"
    case statusNotStorable = "status-not-storable"
    case partial
    case mustUnderstand = "must-understand"
    case varyStar = "vary-star"
    case tooLarge = "too-large"
    case tooManyTags = "too-many-tags"
    case pathAmbiguous = "path-ambiguous"
    case incomplete
    // Stale that was not allowed
    case staleForbidden = "stale-forbidden"
    case staleTooOld = "stale-too-old"
    // The node's own answers
    case originUnreachable = "origin-unreachable"
    case originTimeout = "origin-timeout"
    case originMalformed = "origin-malformed"
    case originIncomplete = "origin-incomplete"
    case originSaturated = "origin-saturated"
    case loop
    case badRequest = "bad-request"
    case unknownHost = "unknown-host"
    case methodNotAllowed = "method-not-allowed"
}
