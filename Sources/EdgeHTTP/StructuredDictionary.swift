/// A Dictionary of Structured Fields (RFC 9651 3.2, which takes all that RFC 8941 took).
///
/// Reading is strict: one wrong octet and there is no Dictionary, as RFC 9651 4.2 says.
public struct StructuredDictionary: Sendable, Equatable {
    /// A value without parameters (RFC 9651 3.3).
    public enum BareItem: Sendable, Equatable {
        case integer(Int64)
        /// In thousandths.
        case decimal(Int64)
        case string([UInt8])
        case token([UInt8])
        case byteSequence([UInt8])
        case boolean(Bool)
        /// Seconds since the Unix epoch.
        case date(Int64)
        /// UTF-8.
        case displayString([UInt8])
    }

    public struct Parameter: Sendable, Equatable {
        public let key: [UInt8]
        public let value: BareItem
    }

    public struct Item: Sendable, Equatable {
        public let value: BareItem
        public let parameters: [Parameter]
    }

    public enum Value: Sendable, Equatable {
        case item(BareItem)
        case innerList([Item])
    }

    public struct Member: Sendable, Equatable {
        public let key: [UInt8]
        public let value: Value
        public let parameters: [Parameter]
    }

    /// In order; a key that comes again replaces its earlier member and keeps that one's place.
    public let members: [Member]
    /// Whether there were more than ``maxMembers``, which are then not among ``members``.
    public let isTooLong: Bool

    /// So many members are kept, repetitions counted.
    public static let maxMembers = 64

    public var isEmpty: Bool { members.isEmpty }

    /// Reads the lines of one field, joined with ", " as RFC 9651 4.2 asks; nil where they are no
    /// Dictionary. No line, or empty lines, are an empty Dictionary.
    ///
    /// - Parameter takesNewTypes: false for a field that is defined by RFC 8941, which has neither Date nor
    ///   Display String: a value with one of them is then no Dictionary (RFC 9651 1.2).
    public init?(_ lines: some Sequence<ArraySlice<UInt8>>, takesNewTypes: Bool = true) {
        var joined: [UInt8] = []
        for line in lines {
            if !joined.isEmpty { joined.append(contentsOf: [Octet.comma, Octet.space]) }
            joined.append(contentsOf: line)
        }
        self.init(joined[...], takesNewTypes: takesNewTypes)
    }

    /// Reads one field value; nil where it is no Dictionary.
    public init?(_ bytes: ArraySlice<UInt8>, takesNewTypes: Bool = true) {
        var parser = StructuredFieldParser(rest: bytes, takesNewTypes: takesNewTypes)
        guard let members = try? parser.dictionary() else { return nil }
        self.members = members
        isTooLong = parser.isTooLong
    }

    /// The member of that key.
    public func member(_ key: StaticString) -> Member? {
        members.first { Directives.matches($0.key, key) }
    }

    /// The value of that key where it is an item, its parameters left aside.
    public func item(_ key: StaticString) -> BareItem? {
        guard case .item(let item)? = member(key)?.value else { return nil }
        return item
    }
}
