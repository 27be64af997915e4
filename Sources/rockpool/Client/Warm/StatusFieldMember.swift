/// A member of Cache-Status (RFC 9211) or Proxy-Status (RFC 9209): a name and its parameters.
struct StatusFieldMember: Equatable {
    let name: String
    /// Values without their quotes; "" for a parameter that is only there.
    let parameters: [String: String]

    subscript(_ parameter: String) -> String? { parameters[parameter] }

    /// The last member of that name: a node adds its own at the end (RFC 9211 2).
    static func last(named name: String, in values: [String]) -> StatusFieldMember? {
        values.flatMap { split($0, at: ",") }.compactMap(StatusFieldMember.init).last { $0.name == name }
    }

    private init?(_ text: String) {
        let parts = Self.split(text, at: ";").map(Self.trimmed)
        guard let first = parts.first, !first.isEmpty else { return nil }
        name = Self.unquoted(first)
        var parameters: [String: String] = [:]
        for part in parts.dropFirst() {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            parameters[String(pair[0])] = pair.count > 1 ? Self.unquoted(String(pair[1])) : ""
        }
        self.parameters = parameters
    }

    /// The parts of `text` between separators that are not within quotes.
    private static func split(_ text: String, at separator: Character) -> [String] {
        var parts: [String] = []
        var part = ""
        var isQuoted = false
        var isEscaped = false
        for character in text {
            if !isQuoted, character == separator {
                parts.append(part)
                part = ""
                continue
            }
            if !isEscaped, character == "\"" { isQuoted.toggle() }
            isEscaped = isQuoted && !isEscaped && character == "\\"
            part.append(character)
        }
        return parts + [part]
    }

    private static func unquoted(_ text: String) -> String {
        guard text.count >= 2, text.hasPrefix("\""), text.hasSuffix("\"") else { return text }
        var result = ""
        var isEscaped = false
        for character in text.dropFirst().dropLast() {
            if !isEscaped, character == "\\" {
                isEscaped = true
                continue
            }
            isEscaped = false
            result.append(character)
        }
        return result
    }

    private static func trimmed(_ text: String) -> String {
        var text = text.drop { $0 == " " || $0 == "\t" }
        while text.last == " " || text.last == "\t" { text = text.dropLast() }
        return String(text)
    }
}
