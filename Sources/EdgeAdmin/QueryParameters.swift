/// The query of a request, decoded strictly: `%XX` is hexadecimal, the result is UTF-8 without control bytes, and `+`
/// is a plus sign.
package struct QueryParameters: Sendable {
    package private(set) var pairs: [(name: String, value: String)] = []

    /// - Parameters:
    ///   - target: a request target as it came.
    ///   - known: the parameters that the path has.
    package init(target: String, known: [String]) throws {
        guard let mark = target.firstIndex(of: "?") else { return }
        for piece in target[target.index(after: mark)...].split(separator: "&") {
            let halves = piece.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let raw = String(halves[0].prefix(100))
            guard let name = Self.decode(halves[0]), known.contains(name) else {
                let names = known.isEmpty ? "it has none" : "it has " + known.joined(separator: ", ")
                throw Problem.badRequest("`\(raw)` is no parameter of this path; \(names)", field: raw)
            }
            guard halves.count == 2 else { throw Problem.badRequest("`\(name)` has no value", field: name) }
            guard let value = Self.decode(halves[1]) else {
                throw Problem.badRequest("`\(name)` is not percent-encoded UTF-8", field: name)
            }
            guard !value.utf8.contains(where: \.isControl) else {
                throw Problem.badRequest("`\(name)` has a control byte", field: name)
            }
            pairs.append((name, value))
        }
    }

    package func all(_ name: String) -> [String] { pairs.filter { $0.name == name }.map(\.value) }

    /// The value of a parameter that may be given once.
    package func one(_ name: String) throws -> String? {
        let values = all(name)
        guard values.count <= 1 else { throw Problem.badRequest("`\(name)` is given twice", field: name) }
        return values.first
    }

    private static func decode(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = Array(rest.prefix(2))
            guard digits.count == 2, let high = digits[0].hexadecimal, let low = digits[1].hexadecimal else {
                return nil
            }
            bytes.append(high << 4 | low)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

extension UInt8 {
    var isControl: Bool { self < 0x20 || self == 0x7F }

    fileprivate var hexadecimal: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}
