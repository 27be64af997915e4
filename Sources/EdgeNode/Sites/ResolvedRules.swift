import EdgeHTTP
import EdgePolicy

/// What all the rules of a site that match a request come to. Computed once for each set of matching rules,
/// and shared by every request from then on.
public final class ResolvedRules: Sendable {
    public let caching: CachingRules
    public let query: QueryRule
    public let requestEdits: PreparedEdits
    public let responseEdits: PreparedEdits
    /// The longest pause within a body; nil: the origin's.
    let stallTimeoutMilliseconds: Int64?
    /// Whether there is nothing to edit and the query enters the key as it came.
    public let isPlain: Bool
    public let forwarding: FieldForwarding
    let clientAddressField: [UInt8]?
    /// Names that only the configuration may bring to the origin, in the form of ``ForwardedFields/plain(_:)``.
    let reservedFields: [[UInt8]]
    /// What of a request may reach the origin otherwise than it came, by these rules.
    let touched: TouchedFields

    /// Whether clients get a lifetime of the rules' making in place of the origin's.
    var ownsLifetime: Bool { responseEdits.clientCacheControl != nil }

    /// Takes each field from the first of `rules` that sets it, and the rest from the site and the defaults.
    ///
    /// - Parameter originFields: the names of the fields that the origin gets with every pull.
    init(
        rules: [RuleConfiguration], site: SiteConfiguration, maxResponseBytes: Int64,
        originFields: [String] = []
    ) {
        var caching = CachingRules()
        caching.stale = site.stale
        caching.honoursClient = site.honoursClient
        caching.maxResponseBytes = maxResponseBytes
        if let rule = rules.first(where: { $0.lifetimes != nil }), let lifetimes = rule.lifetimes {
            caching.lifetimes = lifetimes
            caching.lifetimeRuleLine = rule.line
        }
        caching.overridesOrigin = Self.first(rules, \.overridesOrigin) ?? caching.overridesOrigin
        caching.maxLifetimeMilliseconds = Self.first(rules, \.maxLifetimeMilliseconds)
        caching.cookies = Self.first(rules, \.cookies) ?? caching.cookies
        caching.setCookie = Self.first(rules, \.setCookie) ?? caching.setCookie
        caching.passes = Self.first(rules, \.passes) ?? caching.passes
        self.caching = caching
        query = Self.first(rules, \.query) ?? .all
        requestEdits = PreparedEdits(merging: rules.compactMap(\.request))
        responseEdits = PreparedEdits(merging: rules.compactMap(\.response))
        stallTimeoutMilliseconds = Self.first(rules, \.stallTimeoutMilliseconds)
        forwarding = site.forwarding
        clientAddressField = site.clientAddressField.map { Array($0.utf8) }
        reservedFields =
            (requestEdits.set.map(\.name) + requestEdits.remove + originFields.map { Array($0.utf8) }
            + (clientAddressField.map { [$0] } ?? [])).map(ForwardedFields.plain)
        touched = TouchedFields(
            cookies: caching.cookies, reserved: reservedFields, forwarding: forwarding)
        isPlain = query == .all && requestEdits.isEmpty && responseEdits.isEmpty
    }

    private static func first<Value>(
        _ rules: [RuleConfiguration], _ field: (RuleConfiguration) -> Value?
    ) -> Value? {
        for rule in rules {
            if let value = field(rule) { return value }
        }
        return nil
    }
}
