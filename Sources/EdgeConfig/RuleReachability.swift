import EdgeNode
import EdgePrimitives

/// Finds rules that can never decide anything: each field that they set is set by an earlier rule, one that
/// matches every path that they match.
enum RuleReachability {
    /// Reports every such rule of one site at its first key.
    static func check(_ rules: [(section: ConfigurationSection, rule: RuleConfiguration)], reading: Reading) {
        var earlier: [(glob: Glob, fields: Set<String>, line: Int)] = []
        for (section, rule) in rules {
            let glob = Glob(rule.match.path ?? "*")
            let fields = fields(of: section, rule)
            defer { earlier.append((glob, fields, rule.line)) }
            if fields.isEmpty {
                // A rule that holds only wrong values has been reported already.
                let isBare = ConfigurationSchema.children(of: section.path).allSatisfy {
                    $0.name == "match" || section.value($0.name) == nil
                }
                if isBare {
                    reading.report(
                        section.node, "the rule sets nothing", "add ttl, query or cache, or remove it")
                }
                continue
            }
            let covering = earlier.filter { covers($0.glob, glob) && !$0.fields.isDisjoint(with: fields) }
            guard fields.isSubset(of: covering.reduce(into: []) { $0.formUnion($1.fields) }) else { continue }
            let lines = covering.map { "\($0.line)" }.joined(separator: " and ")
            reading.report(
                section.node,
                covering.count == 1
                    ? "the rule is never reached: the rule on line \(lines) matches first and decides all of it"
                    : "the rule is never reached: the rules on lines \(lines) match first and decide all of it",
                "move it up, or remove it")
        }
    }

    /// A path begins with a slash, so `/*` is every path that a rule can be meant for.
    private static func covers(_ glob: Glob, _ other: Glob) -> Bool {
        glob.matchesEverything || glob == Glob("/*") || glob.covers(other)
    }

    /// What the rule sets: the names of its keys, and of the fields that it edits.
    private static func fields(of section: ConfigurationSection, _ rule: RuleConfiguration) -> Set<String> {
        var fields: Set<String> = []
        for name in ["ttl", "override", "maxTTL", "query", "cookies", "setCookie", "cache", "stallTimeout"]
        where section.value(name) != nil {
            fields.insert(name)
        }
        for (side, edits) in [("response", rule.response), ("request", rule.request)] {
            guard let edits else { continue }
            for name in edits.set.keys { fields.insert("\(side).\(name.lowercased())") }
            for name in edits.remove { fields.insert("\(side).\(name.lowercased())") }
            if edits.clientCacheControl != nil { fields.insert("\(side)@clientCacheControl") }
        }
        return fields
    }
}
