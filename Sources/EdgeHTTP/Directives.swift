/// The directives of a Cache-Control field (RFC 9111 5.2), over all its lines.
///
/// The reading is lenient but errs towards not reusing: a directive whose argument cannot be read is
/// still there, with a ``Argument/malformed`` argument, so that `no-store;` still forbids and
/// `max-age=1h` counts as stale. A quoted string hides what is inside it.
public struct Directives: Sendable {
    /// What follows the name of a directive. Both forms of an argument are taken (RFC 9111 5.2).
    public enum Argument: Sendable, Equatable {
        case none
        case token([UInt8])
        /// The text of a quoted-string, without quotes and escapes.
        case quoted([UInt8])
        case malformed
    }

    public struct Member: Sendable, Equatable {
        /// In lower case.
        public let name: [UInt8]
        public let argument: Argument
    }

    /// A delta-seconds argument (RFC 9111 1.2.2).
    public enum Delta: Sendable, Equatable {
        case absent
        /// The directive has no argument.
        case valueless
        case invalid
        /// At most ``maxDeltaSeconds``.
        case seconds(Int64)
    }

    /// Larger values of delta-seconds, and any that overflow, become this one (RFC 9111 1.2.2).
    public static let maxDeltaSeconds: Int64 = 1 << 31

    /// In the order they came, repetitions included.
    public private(set) var members: [Member] = []

    public init() {}

    public init(_ lines: some Sequence<ArraySlice<UInt8>>) {
        for line in lines { append(line) }
    }

    public var isEmpty: Bool { members.isEmpty }

    /// Whether a directive of that name, given in lower case, is there with whatever argument.
    public func contains(_ name: StaticString) -> Bool {
        members.contains { Self.matches($0.name, name) }
    }

    /// The arguments of all directives of that name, given in lower case.
    public func arguments(_ name: StaticString) -> [Argument] {
        members.lazy.filter { Self.matches($0.name, name) }.map(\.argument)
    }

    /// The delta-seconds of the first directive of that name; later ones are ignored (RFC 9111 4.2.1).
    public func delta(_ name: StaticString) -> Delta {
        guard let first = members.first(where: { Self.matches($0.name, name) }) else { return .absent }
        switch first.argument {
        case .none: return .valueless
        case .malformed: return .invalid
        case .token(let digits), .quoted(let digits):
            return Self.deltaSeconds(digits).map(Delta.seconds) ?? .invalid
        }
    }

    /// delta-seconds: digits and nothing else, saturating (RFC 9111 1.2.2).
    public static func deltaSeconds(_ bytes: some Collection<UInt8>) -> Int64? {
        guard !bytes.isEmpty else { return nil }
        var value: Int64 = 0
        for byte in bytes {
            guard Octet.isDigit(byte) else { return nil }
            value = min(value * 10 + Int64(byte - 48), maxDeltaSeconds)
        }
        return value
    }

    /// Whether `bytes` is `name`; both in lower case.
    static func matches(_ bytes: [UInt8], _ name: StaticString) -> Bool {
        bytes.count == name.utf8CodeUnitCount
            && bytes.elementsEqual(UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
    }

    private mutating func append(_ line: ArraySlice<UInt8>) {
        var index = line.startIndex
        while index < line.endIndex {
            if line[index] == Octet.comma || Octet.isWhitespace(line[index]) {
                index += 1
                continue
            }
            let nameStart = index
            while index < line.endIndex, Octet.isToken(line[index]) { index += 1 }
            let name = line[nameStart..<index].map(Octet.lower)
            let argument = Self.argument(in: line, at: &index)
            if !name.isEmpty { members.append(Member(name: name, argument: argument)) }
        }
    }

    /// Reads what follows a name, up to the comma that ends the member.
    private static func argument(in line: ArraySlice<UInt8>, at index: inout Int) -> Argument {
        var argument = Argument.none
        if index < line.endIndex, line[index] == Octet.equals {
            index += 1
            if index < line.endIndex, line[index] == Octet.quote {
                argument = quotedString(in: line, at: &index)
            } else {
                let start = index
                while index < line.endIndex, Octet.isToken(line[index]) { index += 1 }
                argument = start < index ? .token(Array(line[start..<index])) : .malformed
            }
        }
        while index < line.endIndex, Octet.isWhitespace(line[index]) { index += 1 }
        // Anything but the end of the member spoils it: `max-age=3600.5`, `max-age = 5`, `public;
        // max-age=5`.
        while index < line.endIndex, line[index] != Octet.comma {
            argument = .malformed
            if line[index] == Octet.quote { _ = quotedString(in: line, at: &index) } else { index += 1 }
        }
        return argument
    }

    /// Reads a quoted-string (RFC 9110 5.6.4) and leaves `index` behind it. One that is not closed ends
    /// at its opening quote, so that it cannot hide a later `no-store`.
    private static func quotedString(in line: ArraySlice<UInt8>, at index: inout Int) -> Argument {
        var text: [UInt8] = []
        var position = index + 1
        while position < line.endIndex {
            switch line[position] {
            case Octet.quote:
                index = position + 1
                return .quoted(text)
            case Octet.backslash where position + 1 < line.endIndex:
                text.append(line[position + 1])
                position += 2
            default:
                text.append(line[position])
                position += 1
            }
        }
        index += 1
        return .malformed
    }
}
