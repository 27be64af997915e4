/// A JSON value with its type as written: a number stays its text, and `true` is never 1.
package enum JSONValue: Equatable, Sendable {
    case null
    case bool(Bool)
    case number(String)
    case string(String)
    case array([JSONValue])
    /// Members in their order, no name twice.
    case object([JSONMember])
}

package struct JSONMember: Equatable, Sendable {
    package let name: String
    package let value: JSONValue
}

/// Where and why a text is not JSON as we take it.
package struct JSONFault: Error, Equatable {
    package let message: String
    /// From 1.
    package let line: Int
    /// From 1, in bytes.
    package let column: Int
    /// The member name that is there twice.
    package var duplicate: String?
}

/// Reads JSON (RFC 8259) strictly: UTF-8, one value, no name twice, at most 32 levels. Foundation's decoder takes
/// the last of two equal names and numbers for booleans.
package struct JSONReader {
    private static let maxDepth = 32
    private let bytes: [UInt8]
    private var index = 0

    package static func read(_ bytes: [UInt8]) throws(JSONFault) -> JSONValue {
        var reader = JSONReader(bytes)
        guard String(validating: bytes, as: UTF8.self) != nil else { throw reader.fault("not UTF-8") }
        let value = try reader.value(depth: 0)
        reader.skipSpace()
        guard reader.index == bytes.count else { throw reader.fault("something after the value") }
        return value
    }

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    private func fault(_ message: String, duplicate: String? = nil) -> JSONFault {
        var line = 1
        var column = 1
        for byte in bytes[..<min(index, bytes.count)] {
            if byte == UInt8(ascii: "\n") {
                line += 1
                column = 1
            } else {
                column += 1
            }
        }
        return JSONFault(message: message, line: line, column: column, duplicate: duplicate)
    }

    private var current: UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func skipSpace() {
        while let byte = current, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { index += 1 }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard current == UInt8(ascii: character) else { return false }
        index += 1
        return true
    }

    private mutating func value(depth: Int) throws(JSONFault) -> JSONValue {
        guard depth < Self.maxDepth else { throw fault("nested too deeply") }
        skipSpace()
        guard let byte = current else { throw fault("ends where a value belongs") }
        switch byte {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try number())
        default:
            for (word, value) in [("true", JSONValue.bool(true)), ("false", .bool(false)), ("null", .null)]
            where bytes[index...].starts(with: word.utf8) {
                index += word.utf8.count
                return value
            }
            throw fault("no value begins here")
        }
    }

    private mutating func object(depth: Int) throws(JSONFault) -> JSONValue {
        index += 1
        var members: [JSONMember] = []
        var names: Set<String> = []
        skipSpace()
        if take("}") { return .object([]) }
        while true {
            skipSpace()
            guard current == UInt8(ascii: "\"") else { throw fault("a member's name in quotes belongs here") }
            let start = index
            let name = try string()
            guard names.insert(name).inserted else {
                index = start
                throw fault("the name is there twice", duplicate: name)
            }
            skipSpace()
            guard take(":") else { throw fault("a colon belongs here") }
            members.append(JSONMember(name: name, value: try value(depth: depth + 1)))
            skipSpace()
            if take("}") { return .object(members) }
            guard take(",") else { throw fault("a comma or } belongs here") }
        }
    }

    private mutating func array(depth: Int) throws(JSONFault) -> JSONValue {
        index += 1
        var values: [JSONValue] = []
        skipSpace()
        if take("]") { return .array([]) }
        while true {
            values.append(try value(depth: depth + 1))
            skipSpace()
            if take("]") { return .array(values) }
            guard take(",") else { throw fault("a comma or ] belongs here") }
        }
    }

    private mutating func number() throws(JSONFault) -> String {
        let start = index
        _ = take("-")
        if !take("0") { try digits() }
        if take(".") { try digits() }
        if take("e") || take("E") {
            if !take("+") { _ = take("-") }
            try digits()
        }
        return String(decoding: bytes[start..<index], as: UTF8.self)
    }

    private mutating func digits() throws(JSONFault) {
        let start = index
        while let byte = current, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { index += 1 }
        guard index > start else { throw fault("a digit belongs here") }
    }

    private mutating func string() throws(JSONFault) -> String {
        index += 1
        var content: [UInt8] = []
        while true {
            guard let byte = current else { throw fault("the string does not end") }
            switch byte {
            case UInt8(ascii: "\""):
                index += 1
                return String(decoding: content, as: UTF8.self)
            case UInt8(ascii: "\\"): content.append(contentsOf: try escape())
            case ..<0x20: throw fault("a control byte in a string")
            default:
                content.append(byte)
                index += 1
            }
        }
    }

    private mutating func escape() throws(JSONFault) -> [UInt8] {
        let start = index
        index += 1
        guard let byte = current else { throw fault("the string does not end") }
        index += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0C]
        case UInt8(ascii: "n"): return [0x0A]
        case UInt8(ascii: "r"): return [0x0D]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "u"):
            var code = try unit()
            if (0xD800..<0xDC00).contains(code), take("\\"), take("u") {
                let low = try unit()
                if (0xDC00..<0xE000).contains(low) { code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00) }
            }
            guard let scalar = Unicode.Scalar(code) else {
                index = start
                throw fault("half a surrogate pair")
            }
            return Array(String(scalar).utf8)
        default:
            index = start
            throw fault("no such escape")
        }
    }

    private mutating func unit() throws(JSONFault) -> UInt32 {
        guard bytes.count - index >= 4,
            bytes[index..<index + 4].allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let code = UInt32(String(decoding: bytes[index..<index + 4], as: UTF8.self), radix: 16)
        else { throw fault("four hexadecimal digits belong here") }
        index += 4
        return code
    }
}
