/// The members of a comma-separated list (RFC 9110 5.6.1), without the white space around them, empty ones
/// left out.
///
/// Nothing is allocated, and each octet is looked at a bounded number of times, whatever the list.
public struct ListMembers: Sequence, IteratorProtocol {
    /// What hides a comma.
    public enum Quoting: Sendable {
        /// Nothing: the members are tokens.
        case none
        /// A quoted-string, with its escapes (RFC 9110 5.6.4).
        case strings
        /// The quotes of an entity-tag, which know no escapes (RFC 9110 8.8.3).
        case tags
    }

    private var rest: ArraySlice<UInt8>
    private var quoting: Quoting

    public init(_ value: ArraySlice<UInt8>, quoting: Quoting = .none) {
        rest = value
        self.quoting = quoting
    }

    public mutating func next() -> ArraySlice<UInt8>? {
        var start = rest.startIndex
        let end = rest.endIndex
        while start < end, rest[start] == Octet.comma || Octet.isWhitespace(rest[start]) { start += 1 }
        guard start < end else {
            rest = rest[end...]
            return nil
        }
        var index = start
        while index < end, rest[index] != Octet.comma {
            if quoting != .none, rest[index] == Octet.quote {
                if let close = closingQuote(after: index) {
                    index = close
                } else {
                    // A string that is not closed hides nothing. Were a later one closed, this one would be
                    // too.
                    quoting = .none
                }
            }
            index += 1
        }
        let member = rest[start..<index]
        rest = rest[index...]
        var last = member.endIndex
        while last > start, Octet.isWhitespace(member[last - 1]) { last -= 1 }
        return member[..<last]
    }

    private func closingQuote(after open: Int) -> Int? {
        var index = open + 1
        while index < rest.endIndex {
            if rest[index] == Octet.quote { return index }
            index += rest[index] == Octet.backslash && quoting == .strings ? 2 : 1
        }
        return nil
    }
}
