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

    /// What rules come to for a path that can be read as several (``PathReadings``). For each key what the
    /// rules say is found in each reading, first match first; then the strictest of that counts, so that a
    /// rule permits only where it decides in every reading, and forbids where it decides in any:
    ///
    ///     key                   permits           forbids          where readings differ
    ///     ttl                   a lifetime        0: none at all   none; else, by status, the least
    ///     override              to overrule       to keep longer   off, and its ttl is a cap
    ///     maxTTL                a longer one      a shorter one    the least
    ///     query                 all but `all`     -                all
    ///     cookies               strip             pass             pass, else keep
    ///     setCookie             store             drop             drop
    ///     stallTimeout          a longer pause    a shorter one    the least of those given
    ///     cache                 on                pass             pass
    ///     request.set           what it sets      the client's     the field is removed
    ///     request.remove        -                 every field      the field is removed
    ///     response.set          CORS and such     other fields     set, but for CORS and such
    ///     response.remove       CSP and such      other fields     removed, but for CSP and such
    ///     clientCacheControl    a lifetime        no-store etc.    the one that forbids, else none
    ///
    /// What a key does that is not in this table yet has to be decided in ``CachingRules/strictest(of:)``.
    ///
    /// - Parameter readings: the rules of each reading, the path as it came first.
    init(strictest readings: [ResolvedRules]) {
        caching = CachingRules.strictest(of: readings.map(\.caching))
        let queries = readings.map(\.query)
        query = queries.allSatisfy { $0 == queries[0] } ? queries[0] : .all
        requestEdits = .strictestRequest(readings.map(\.requestEdits))
        responseEdits = .strictestResponse(readings.map(\.responseEdits))
        stallTimeoutMilliseconds = readings.compactMap(\.stallTimeoutMilliseconds).min()
        // These two are the site's.
        forwarding = readings.first?.forwarding ?? .all
        clientAddressField = readings.first?.clientAddressField
        reservedFields = Array(Set(readings.flatMap(\.reservedFields)))
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
