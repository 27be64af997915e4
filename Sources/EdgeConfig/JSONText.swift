/// A JSON value that keeps the order of its members, for the schema file.
indirect enum JSONText {
    case string(String)
    case number(Int)
    case flag(Bool)
    case list([JSONText])
    case object([(String, JSONText)])

    static func type(_ name: String) -> JSONText { .object([("type", .string(name))]) }

    /// A text that is not empty.
    static let text = JSONText.object([("type", .string("string")), ("minLength", .number(1))])

    static func pattern(_ pattern: String) -> JSONText {
        .object([("type", .string("string")), ("pattern", .string(pattern))])
    }

    static func list(of member: JSONText, least: Int) -> JSONText {
        let list: [(String, JSONText)] = [("type", .string("array")), ("items", member)]
        return .object(least > 0 ? list + [("minItems", .number(least))] : list)
    }

    /// The members of an object; none for other values.
    var members: [(String, JSONText)] {
        guard case .object(let members) = self else { return [] }
        return members
    }

    /// The value with two spaces of indentation a level.
    func written(indent: Int = 0) -> String {
        let inner = String(repeating: " ", count: indent + 2)
        let outer = String(repeating: " ", count: indent)
        switch self {
        case .string(let text): return Self.quote(text)
        case .number(let number): return "\(number)"
        case .flag(let flag): return flag ? "true" : "false"
        case .list(let members):
            if members.isEmpty { return "[]" }
            let lines = members.map { inner + $0.written(indent: indent + 2) }
            return "[\n\(lines.joined(separator: ",\n"))\n\(outer)]"
        case .object(let members):
            if members.isEmpty { return "{}" }
            let lines = members.map { "\(inner)\(Self.quote($0)): \($1.written(indent: indent + 2))" }
            return "{\n\(lines.joined(separator: ",\n"))\n\(outer)}"
        }
    }

    private static func quote(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
