/// The parsing algorithms of Structured Fields (RFC 9651 4.2) over a slice that grows shorter from the
/// left.
struct StructuredFieldParser {
    typealias BareItem = StructuredDictionary.BareItem
    typealias Parameter = StructuredDictionary.Parameter

    /// The text is no Structured Field; which of the many ways makes no difference to any caller.
    struct Failure: Error {}

    var rest: ArraySlice<UInt8>
    /// Whether the types that RFC 9651 added to those of RFC 8941 are taken: Date and Display String.
    var takesNewTypes = true
    /// Whether there were more members than are kept.
    private(set) var isTooLong = false

    init(rest: ArraySlice<UInt8>, takesNewTypes: Bool = true) {
        self.rest = rest
        self.takesNewTypes = takesNewTypes
    }

    /// So many members and parameters are kept; what follows is read for its syntax alone.
    private static let maxKept = StructuredDictionary.maxMembers

    /// RFC 9651 4.2 and 4.2.2: a whole field value.
    mutating func dictionary() throws(Failure) -> [StructuredDictionary.Member] {
        var members: [StructuredDictionary.Member] = []
        var count = 0
        skipSpaces()
        while !rest.isEmpty {
            count += 1
            let key = try key()
            var value = StructuredDictionary.Value.item(.boolean(true))
            if skip(Octet.equals) {
                value = rest.first == 0x28 ? .innerList(try innerList()) : .item(try bareItem())
            }
            let parameters = try parameters()
            if count > Self.maxKept {
                isTooLong = true
            } else {
                let member = StructuredDictionary.Member(
                    key: Array(key), value: value, parameters: parameters)
                if let earlier = members.firstIndex(where: { $0.key == member.key }) {
                    members[earlier] = member
                } else {
                    members.append(member)
                }
            }
            // Optional white space, a comma, optional white space and another member; or spaces and the
            // end.
            let afterMember = rest
            skipWhitespace()
            if rest.isEmpty {
                guard afterMember.allSatisfy({ $0 == Octet.space }) else { throw Failure() }
                return members
            }
            guard skip(Octet.comma) else { throw Failure() }
            skipWhitespace()
            guard !rest.isEmpty else { throw Failure() }
        }
        return members
    }

    /// RFC 9651 4.2.1.2, at its opening parenthesis.
    private mutating func innerList() throws(Failure) -> [StructuredDictionary.Item] {
        rest.removeFirst()
        var items: [StructuredDictionary.Item] = []
        while true {
            skipSpaces()
            if skip(0x29) { return items }
            let value = try bareItem()
            items.append(StructuredDictionary.Item(value: value, parameters: try parameters()))
            guard rest.first == Octet.space || rest.first == 0x29 else { throw Failure() }
        }
    }

    /// RFC 9651 4.2.3.2.
    private mutating func parameters() throws(Failure) -> [Parameter] {
        var parameters: [Parameter] = []
        var count = 0
        while skip(Octet.semicolon) {
            skipSpaces()
            let key = try key()
            let value = skip(Octet.equals) ? try bareItem() : .boolean(true)
            count += 1
            guard count <= Self.maxKept else { continue }
            let parameter = Parameter(key: Array(key), value: value)
            if let earlier = parameters.firstIndex(where: { $0.key == parameter.key }) {
                parameters[earlier] = parameter
            } else {
                parameters.append(parameter)
            }
        }
        return parameters
    }

    /// RFC 9651 4.2.3.3: lower-case letters, digits and `_-.*`, the first a letter or `*`.
    private mutating func key() throws(Failure) -> ArraySlice<UInt8> {
        guard let first = rest.first, Self.isLowercase(first) || first == 0x2A else { throw Failure() }
        return take { byte in
            Self.isLowercase(byte) || Octet.isDigit(byte) || byte == 0x5F || byte == 0x2D || byte == 0x2E
                || byte == 0x2A
        }
    }

    /// RFC 9651 4.2.3.1.
    private mutating func bareItem() throws(Failure) -> BareItem {
        guard let first = rest.first else { throw Failure() }
        switch first {
        case 0x2D, 0x30...0x39: return try number()
        case Octet.quote: return .string(try string())
        case 0x3A: return .byteSequence(try byteSequence())
        case 0x3F: return .boolean(try boolean())
        case 0x40 where takesNewTypes: return try date()
        case 0x25 where takesNewTypes: return .displayString(try displayString())
        case 0x2A, 0x41...0x5A, 0x61...0x7A:
            return .token(Array(take { Octet.isToken($0) || $0 == Octet.colon || $0 == 0x2F }))
        default: throw Failure()
        }
    }

    /// RFC 9651 4.2.4: at most 15 digits, or 12 before and 3 after the point.
    private mutating func number() throws(Failure) -> BareItem {
        let isNegative = skip(0x2D)
        let whole = take(Octet.isDigit)
        guard !whole.isEmpty, whole.count <= 15 else { throw Failure() }
        var value = whole.reduce(Int64(0)) { $0 * 10 + Int64($1 - 48) }
        guard skip(0x2E) else { return .integer(isNegative ? -value : value) }
        let fraction = take(Octet.isDigit)
        guard whole.count <= 12, (1...3).contains(fraction.count) else { throw Failure() }
        for digit in fraction { value = value * 10 + Int64(digit - 48) }
        for _ in fraction.count..<3 { value *= 10 }
        return .decimal(isNegative ? -value : value)
    }

    /// RFC 9651 4.2.5: printable ASCII; a backslash before a quote or a backslash and nowhere else.
    private mutating func string() throws(Failure) -> [UInt8] {
        rest.removeFirst()
        var text: [UInt8] = []
        while let byte = rest.popFirst() {
            switch byte {
            case Octet.quote: return text
            case Octet.backslash:
                guard let escaped = rest.popFirst(), escaped == Octet.quote || escaped == Octet.backslash
                else { throw Failure() }
                text.append(escaped)
            case 0x20...0x7E: text.append(byte)
            default: throw Failure()
            }
        }
        throw Failure()
    }

    /// RFC 9651 4.2.7: base64 between colons; missing padding is let pass, as the RFC's default is.
    private mutating func byteSequence() throws(Failure) -> [UInt8] {
        rest.removeFirst()
        let encoded = take { $0 != Octet.colon }
        guard skip(Octet.colon) else { throw Failure() }
        let padding = encoded.reversed().prefix { $0 == Octet.equals }.count
        let digits = encoded.dropLast(padding)
        guard padding == 0 || (padding <= 2 && encoded.count % 4 == 0), digits.count % 4 != 1
        else { throw Failure() }
        var decoded: [UInt8] = []
        var bits: UInt32 = 0
        var bitCount = 0
        for digit in digits {
            guard let value = Self.base64Value(digit) else { throw Failure() }
            bits = (bits << 6 | value) & 0xFFFF
            bitCount += 6
            if bitCount >= 8 {
                bitCount -= 8
                decoded.append(UInt8(truncatingIfNeeded: bits >> UInt32(bitCount)))
            }
        }
        return decoded
    }

    /// RFC 9651 4.2.8.
    private mutating func boolean() throws(Failure) -> Bool {
        rest.removeFirst()
        switch rest.popFirst() {
        case 0x31: return true
        case 0x30: return false
        default: throw Failure()
        }
    }

    /// RFC 9651 4.2.9.
    private mutating func date() throws(Failure) -> BareItem {
        rest.removeFirst()
        guard case .integer(let seconds) = try number() else { throw Failure() }
        return .date(seconds)
    }

    /// RFC 9651 4.2.10: printable ASCII and `%` escapes in lower-case hexadecimal, UTF-8 as a whole.
    private mutating func displayString() throws(Failure) -> [UInt8] {
        rest.removeFirst()
        guard skip(Octet.quote) else { throw Failure() }
        var text: [UInt8] = []
        while let byte = rest.popFirst() {
            switch byte {
            case Octet.quote:
                guard String(validating: text, as: UTF8.self) != nil else { throw Failure() }
                return text
            case 0x25:
                guard let high = rest.popFirst(), let low = rest.popFirst(),
                    let highValue = Self.lowercaseHexValue(high), let lowValue = Self.lowercaseHexValue(low)
                else { throw Failure() }
                text.append(highValue << 4 | lowValue)
            case 0x20...0x7E: text.append(byte)
            default: throw Failure()
            }
        }
        throw Failure()
    }

    private mutating func skip(_ byte: UInt8) -> Bool {
        guard rest.first == byte else { return false }
        rest.removeFirst()
        return true
    }

    private mutating func skipSpaces() {
        rest = rest.drop { $0 == Octet.space }
    }

    private mutating func skipWhitespace() {
        rest = rest.drop(while: Octet.isWhitespace)
    }

    private mutating func take(_ belongs: (UInt8) -> Bool) -> ArraySlice<UInt8> {
        let taken = rest.prefix(while: belongs)
        rest = rest[taken.endIndex...]
        return taken
    }

    private static func isLowercase(_ byte: UInt8) -> Bool { byte &- 0x61 < 26 }

    private static func lowercaseHexValue(_ byte: UInt8) -> UInt8? {
        if Octet.isDigit(byte) { return byte - 48 }
        return byte &- 0x61 < 6 ? byte - 0x61 + 10 : nil
    }

    private static func base64Value(_ byte: UInt8) -> UInt32? {
        switch byte {
        case 0x41...0x5A: UInt32(byte - 0x41)
        case 0x61...0x7A: UInt32(byte - 0x61) + 26
        case 0x30...0x39: UInt32(byte - 0x30) + 52
        case 0x2B: 62
        case 0x2F: 63
        default: nil
        }
    }
}
