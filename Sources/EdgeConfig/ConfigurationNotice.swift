import EdgeNode
import EdgePolicy

/// What a sound configuration does that its author may not expect.
public struct ConfigurationNotice: Sendable, Equatable, CustomStringConvertible {
    let file: String
    public let line: Int
    public let text: String

    public var description: String { "\(file):\(line): note: \(text)" }

    /// The notices of a configuration that was read from `file`, by their lines.
    public static func all(of configuration: NodeConfiguration, file: String) -> [ConfigurationNotice] {
        configuration.sites.flatMap(\.rules).flatMap { rule in
            [queryText(rule), cookieText(rule), pathText(rule)].compactMap { $0 }.map {
                ConfigurationNotice(file: file, line: rule.line, text: $0)
            }
        }
        .sorted { $0.line < $1.line }
    }

    private static func queryText(_ rule: RuleConfiguration) -> String? {
        guard let query = rule.query, let what = what(query) else { return nil }
        return
            "query: the origin is asked with the query of the key: \(what). Requests that are passed keep theirs."
    }

    /// A rule that gives a lifetime whatever the origin says, or for whatever cookies come, means those with Set-Cookie
    /// too, it seems.
    private static func cookieText(_ rule: RuleConfiguration) -> String? {
        guard rule.lifetimes != nil, rule.setCookie == nil,
            rule.overridesOrigin == true || rule.cookies == .strip
        else { return nil }
        return
            "ttl: a response with Set-Cookie gets no lifetime from it and is not stored; setCookie: store has it "
            + "stored\(rule.cookies == .strip ? ", without the field" : "")."
    }

    private static func pathText(_ rule: RuleConfiguration) -> String? {
        guard let path = rule.match.path else { return nil }
        let parts = [";", "//", "\\", "/./", "/../"].filter { path.contains($0) }
        guard let part = parts.first else { return nil }
        return
            "match.path: some who read a URL see another path where it has \(part), so this rule forbids where it "
            + "matches, and permits nothing."
    }

    /// What the origin gets otherwise than the client sent it; nil: nothing.
    private static func what(_ query: QueryRule) -> String? {
        func list(_ names: [String]) -> String { names.joined(separator: ", ") }
        switch query {
        case .all: return nil
        case .ignore: return "it gets none"
        case .keep(let names): return names.isEmpty ? "it gets none" : "it gets \(list(names)) alone"
        case .drop(let names, let sort):
            let parts = [
                names.isEmpty ? nil : "it does not get \(list(names))",
                sort ? "it gets the parameters sorted" : nil,
            ]
            let said = parts.compactMap { $0 }.joined(separator: ", and ")
            return said.isEmpty ? nil : said
        }
    }
}
