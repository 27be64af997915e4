/// What a field's combined value must be like.
///
///     null      there is no such field
///     "*"       there is one
///     "~text"   it contains text        "!~text"  it does not, whether it is there or not
///     "#2-5"    it is an integer from 2 to 5
///     "text"    it is text
struct FieldMatcher: Decodable, Sendable {
    private enum Kind: Sendable {
        case absent
        case present
        case contains(String)
        case lacks(String)
        case number(ClosedRange<Int>)
        case equals(String)
    }

    private let kind: Kind

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            kind = .absent
            return
        }
        let text = try container.decode(String.self)
        if text == "*" {
            kind = .present
        } else if text.hasPrefix("!~") {
            kind = .lacks(String(text.dropFirst(2)))
        } else if text.hasPrefix("~") {
            kind = .contains(String(text.dropFirst()))
        } else if text.hasPrefix("#") {
            let bounds = text.dropFirst().split(separator: "-").compactMap { Int($0) }
            guard bounds.count == 2, bounds[0] <= bounds[1] else {
                throw DecodingError.dataCorrupted(
                    .init(codingPath: decoder.codingPath, debugDescription: "no range: \(text)"))
            }
            kind = .number(bounds[0]...bounds[1])
        } else {
            kind = .equals(text)
        }
    }

    /// What is wrong with `value`; nil where it is as it must be.
    func problem(_ name: String, _ value: String?, _ expand: (String) -> String) -> String? {
        let shown = value.map { "\"\($0)\"" } ?? "absent"
        switch kind {
        case .absent: return value == nil ? nil : "\(name) is \(shown), expected none"
        case .present: return value != nil ? nil : "\(name) is absent"
        case .contains(let text):
            let text = expand(text)
            return value?.contains(text) == true
                ? nil : "\(name) is \(shown), expected to contain \"\(text)\""
        case .lacks(let text):
            return value?.contains(text) == true ? "\(name) is \(shown), expected without \"\(text)\"" : nil
        case .number(let range):
            return value.flatMap { Int($0) }.map(range.contains) == true
                ? nil : "\(name) is \(shown), expected \(range.lowerBound) to \(range.upperBound)"
        case .equals(let text):
            let text = expand(text)
            return value == text ? nil : "\(name) is \(shown), expected \"\(text)\""
        }
    }
}
