/// The directives of a Cache-Control field (RFC 9111 5.2), over all its lines.
///
/// The reading is lenient but errs towards not reusing: a directive whose argument cannot be read is
/// still there, with a ``Argument/malformed`` argument, so that `no-store;` still forbids and
/// `max-age=1h` counts as stale. What stands in a member behind the point where it could not be read any more
/// permits nothing, but ``restricts(_:)`` finds it: `public; no-store` forbids. A quoted string hides what is
/// inside it.
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

    /// The directives that take permission away, or say for how long there is one.
    private static let restrictions: [StaticString] = [
        "no-store", "no-cache", "private", "must-revalidate", "proxy-revalidate", "must-understand",
        "max-age",
        "s-maxage",
    ]

    /// In the order they came, repetitions included.
    public private(set) var members: [Member] = []
    /// Whether there were more members than were to be read.
    public private(set) var isTooLong = false
    /// Which of ``restrictions`` stand in what could not be read, a bit for each.
    private var mentioned: UInt8 = 0
    private var memberCount = 0

    public init() {}

    /// - Parameter limit: so many members are read, of all lines together.
    public init(_ lines: some Sequence<ArraySlice<UInt8>>, limit: Int = .max) {
        for line in lines where !isTooLong { append(line, limit: limit) }
    }

    public var isEmpty: Bool { members.isEmpty }

    /// Whether a directive of that name, given in lower case, is there with whatever argument.
    public func contains(_ name: StaticString) -> Bool {
        members.contains { Self.matches($0.name, name) }
    }

    /// Whether a directive of that name, given in lower case, is there and is written as one without
    /// argument: a permission that is malformed is none.
    public func permits(_ name: StaticString) -> Bool {
        members.contains { $0.argument == .none && Self.matches($0.name, name) }
    }

    /// Whether a directive of that name is there with whatever argument, or stands in something that cannot
    /// be read: what forbids goes on doing so.
    public func restricts(_ name: StaticString) -> Bool {
        contains(name) || isMentioned(name)
    }

    private func isMentioned(_ name: StaticString) -> Bool {
        guard mentioned != 0 else { return false }
        for (bit, restriction) in Self.restrictions.enumerated()
        where mentioned >> UInt8(bit) & 1 == 1 && Self.spells(restriction, name) { return true }
        return false
    }

    private static func spells(_ left: StaticString, _ right: StaticString) -> Bool {
        UnsafeBufferPointer(start: left.utf8Start, count: left.utf8CodeUnitCount)
            .elementsEqual(UnsafeBufferPointer(start: right.utf8Start, count: right.utf8CodeUnitCount))
    }

    /// The arguments of all directives of that name, given in lower case.
    public func arguments(_ name: StaticString) -> [Argument] {
        members.lazy.filter { Self.matches($0.name, name) }.map(\.argument)
    }

    /// The delta-seconds of the first directive of that name; later ones are ignored (RFC 9111 4.2.1). One
    /// that stands in something that cannot be read is invalid.
    public func delta(_ name: StaticString) -> Delta {
        guard let first = members.first(where: { Self.matches($0.name, name) }) else {
            return isMentioned(name) ? .invalid : .absent
        }
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

    private mutating func append(_ line: ArraySlice<UInt8>, limit: Int) {
        var scanner = Scanner(line: line)
        while scanner.skipToMember() {
            guard memberCount < limit else {
                isTooLong = true
                return
            }
            memberCount += 1
            let name = scanner.token().map(Octet.lower)
            let argument = scanner.argument()
            scanner.finishMember { mention($0) }
            if !name.isEmpty {
                members.append(Member(name: name, argument: scanner.isSpoilt ? .malformed : argument))
            } else if case .token(let word) = argument {
                mention(word[...])
            }
        }
    }

    /// Notes a word of something that cannot be read.
    private mutating func mention(_ word: ArraySlice<UInt8>) {
        guard (7...16).contains(word.count) else { return }
        for (bit, restriction) in Self.restrictions.enumerated()
        where word.count == restriction.utf8CodeUnitCount
            && Self.matches(word.map(Octet.lower), restriction)
        {
            mentioned |= 1 << UInt8(bit)
        }
    }
}

/// Reads one line from left to right, each octet a bounded number of times.
private struct Scanner {
    let line: ArraySlice<UInt8>
    private var index: Int
    /// No quoted string that opens from here on is closed.
    private var isUnclosed = false
    /// The member that was read last has octets that do not belong there.
    private(set) var isSpoilt = false

    init(line: ArraySlice<UInt8>) {
        self.line = line
        index = line.startIndex
    }

    private var byte: UInt8? { index < line.endIndex ? line[index] : nil }

    mutating func skipToMember() -> Bool {
        isSpoilt = false
        while let byte, byte == Octet.comma || Octet.isWhitespace(byte) { index += 1 }
        return index < line.endIndex
    }

    mutating func token() -> ArraySlice<UInt8> {
        let start = index
        while let byte, Octet.isToken(byte) { index += 1 }
        return line[start..<index]
    }

    /// Reads what follows a name.
    mutating func argument() -> Directives.Argument {
        guard byte == Octet.equals else { return .none }
        index += 1
        if byte == Octet.quote { return quotedString().map(Directives.Argument.quoted) ?? .malformed }
        let text = token()
        return text.isEmpty ? .malformed : .token(Array(text))
    }

    /// Reads up to the comma that ends the member. Anything but white space spoils it: `max-age=3600.5`,
    /// `max-age = 5`, `public; max-age=5`. Each word there that no quotes hide is told.
    mutating func finishMember(_ body: (ArraySlice<UInt8>) -> Void) {
        while let byte, byte != Octet.comma {
            if Octet.isWhitespace(byte) {
                index += 1
                continue
            }
            isSpoilt = true
            if byte == Octet.quote {
                _ = quotedString()
            } else if Octet.isToken(byte) {
                body(token())
            } else {
                index += 1
            }
        }
    }

    /// Reads a quoted-string (RFC 9110 5.6.4). One that is not closed ends at its opening quote, so that it
    /// cannot hide a later `no-store`; then no later one is closed either, since every quote up to the end
    /// was escaped.
    private mutating func quotedString() -> [UInt8]? {
        index += 1
        guard !isUnclosed else { return nil }
        var text: [UInt8] = []
        var position = index
        while position < line.endIndex {
            switch line[position] {
            case Octet.quote:
                index = position + 1
                return text
            case Octet.backslash where position + 1 < line.endIndex:
                text.append(line[position + 1])
                position += 2
            default:
                text.append(line[position])
                position += 1
            }
        }
        isUnclosed = true
        return nil
    }
}
