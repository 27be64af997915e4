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
        configuration.sites.flatMap(\.rules).compactMap { rule in
            guard let query = rule.query, let what = what(query) else { return nil }
            return ConfigurationNotice(
                file: file, line: rule.line,
                text:
                    "query: the origin is asked with the query of the key: \(what). Requests that are passed keep "
                    + "theirs.")
        }
        .sorted { $0.line < $1.line }
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
