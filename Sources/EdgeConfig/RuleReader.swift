import EdgeNode
import EdgePolicy
import Yams

/// Reads one member of `rules`.
struct RuleReader {
    let section: ConfigurationSection

    func read() -> RuleConfiguration {
        var rule = RuleConfiguration()
        rule.line = section.node.mark?.line ?? 0
        rule.match.path = section.section("match")?.text("path", "a path such as /assets/*") { text in
            text.hasPrefix("/") || text.hasPrefix("*") || text.hasPrefix("?")
        }
        rule.lifetimes = section.lifetimes("ttl")
        rule.overridesOrigin = section.flag("override")
        rule.maxLifetimeMilliseconds = section.duration("maxTTL")
        rule.query = section.query("query")
        rule.cookies = section.choice("cookies", as: CachingRules.Cookies.self)
        rule.setCookie = section.choice("setCookie", as: CachingRules.SetCookie.self)
        rule.response = section.section("response").map { edits($0, control: true) }
        rule.request = section.section("request").map { edits($0, control: false) }
        rule.stallTimeoutMilliseconds = section.duration("stallTimeout")
        rule.passes = section.choice("cache").map { $0 == "pass" }
        return rule
    }

    private func edits(_ section: ConfigurationSection, control: Bool) -> RuleConfiguration.FieldEdits {
        var edits = RuleConfiguration.FieldEdits()
        edits.set = section.fields("set")
        edits.remove = section.fieldNames("remove")
        edits.clientCacheControl = control ? section.fieldValue("clientCacheControl") : nil
        return edits
    }
}
