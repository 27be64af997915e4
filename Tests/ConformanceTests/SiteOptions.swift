import EdgeNode
import EdgePolicy

/// The options of a case's site; milliseconds and the names of the configuration file.
struct SiteOptions: Decodable, Sendable {
    struct Stale: Decodable, Sendable {
        let ifError: Int64?
        let ifUnreachable: Int64?
        let whileRevalidate: Int64?
        let after: Int64?
        let despiteSharedMaxAge: Bool?
    }

    struct Query: Decodable, Sendable {
        let ignore: Bool?
        let keep: [String]?
        let drop: [String]?
        let sort: Bool?
    }

    struct Edits: Decodable, Sendable {
        let set: [String: String]?
        let remove: [String]?
        let clientCacheControl: String?

        var configuration: RuleConfiguration.FieldEdits {
            var edits = RuleConfiguration.FieldEdits()
            edits.set = set ?? [:]
            edits.remove = remove ?? []
            edits.clientCacheControl = clientCacheControl
            return edits
        }
    }

    struct Rule: Decodable, Sendable {
        let path: String?
        /// By status; `default` stands for 200, 203, 301 and 308.
        let ttl: [String: Int64]?
        let override: Bool?
        let maxTTL: Int64?
        let query: Query?
        let cookies: String?
        let setCookie: String?
        let response: Edits?
        let request: Edits?
        let pass: Bool?

        var configuration: RuleConfiguration {
            var rule = RuleConfiguration()
            rule.match = .init(path: path)
            if let ttl {
                var byStatus: [Int: Int64] = [:]
                for (status, milliseconds) in ttl {
                    if let code = Int(status) { byStatus[code] = milliseconds }
                }
                rule.lifetimes = .init(defaultMilliseconds: ttl["default"], byStatus: byStatus)
            }
            rule.overridesOrigin = override
            rule.maxLifetimeMilliseconds = maxTTL
            if let query {
                rule.query =
                    query.ignore == true
                    ? .ignore
                    : query.keep.map { .keep($0) } ?? .drop(query.drop ?? [], sort: query.sort ?? false)
            }
            rule.cookies = cookies.flatMap { CachingRules.Cookies(rawValue: $0) }
            rule.setCookie = setCookie.flatMap { CachingRules.SetCookie(rawValue: $0) }
            rule.response = response?.configuration
            rule.request = request?.configuration
            rule.passes = pass
            return rule
        }
    }

    let hosts: [String]?
    let stale: Stale?
    let rules: [Rule]?
    let honourClient: Bool?
    let maxResponse: Int64?
    let maxVariants: Int?

    func apply(to configuration: inout NodeConfiguration) {
        if let hosts { configuration.sites[0].hosts = hosts }
        configuration.sites[0].rules = rules?.map(\.configuration) ?? []
        configuration.sites[0].honoursClient = honourClient ?? false
        if let maxResponse { configuration.cache.maxResponseBytes = maxResponse }
        if let maxVariants { configuration.cache.maxVariants = maxVariants }
        guard let stale else { return }
        configuration.sites[0].stale.ifErrorMilliseconds = stale.ifError
        if let milliseconds = stale.ifUnreachable {
            configuration.sites[0].stale.ifUnreachableMilliseconds = milliseconds
        }
        configuration.sites[0].stale.whileRevalidateMilliseconds = stale.whileRevalidate
        configuration.sites[0].stale.afterMilliseconds = stale.after
        configuration.sites[0].stale.despiteSharedMaxAge = stale.despiteSharedMaxAge ?? false
    }
}
