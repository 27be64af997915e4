/// An entity-tag (RFC 9110 8.8.3): an opaque validator, strong or weak.
public struct EntityTag: Sendable, Equatable {
    public let isWeak: Bool
    /// The octets between the quotes.
    public let opaque: ArraySlice<UInt8>

    /// The entity-tag that `value` spells, or nil where it is not one: no quotes, a lower-case `w/`, octets
    /// that `etagc` does not hold, anything after it.
    public init?(_ value: ArraySlice<UInt8>) {
        var scanner = Scanner(Octet.trim(value))
        guard let tag = scanner.tag(), scanner.isAtEnd else { return nil }
        self = tag
    }

    fileprivate init(isWeak: Bool, opaque: ArraySlice<UInt8>) {
        self.isWeak = isWeak
        self.opaque = opaque
    }

    /// The strong comparison (RFC 9110 8.8.3.2): equal, and neither is weak.
    public func stronglyMatches(_ other: EntityTag) -> Bool {
        !isWeak && !other.isWeak && opaque.elementsEqual(other.opaque)
    }

    /// The weak comparison (RFC 9110 8.8.3.2): equal, whether weak or not.
    public func weaklyMatches(_ other: EntityTag) -> Bool {
        opaque.elementsEqual(other.opaque)
    }

    /// More members than this of If-Match or If-None-Match do not count: no browser names more than it has
    /// stored of one URL.
    public static let maxMembers = 128

    /// Calls `body` for each entity-tag of a list until it returns false. A member that is not an
    /// entity-tag is skipped: it can match nothing, and costs its neighbours nothing.
    ///
    /// - Parameter counted: the members seen so far, of other lines too; from ``maxMembers`` on none is read.
    public static func forEach(
        in list: ArraySlice<UInt8>, counted: inout Int, _ body: (EntityTag) -> Bool
    ) {
        var scanner = Scanner(list)
        while !scanner.isAtEnd {
            scanner.skipWhitespace()
            if scanner.skipComma() { continue }
            if scanner.isAtEnd || counted >= maxMembers { return }
            counted += 1
            if let tag = scanner.tag(), scanner.isAtMemberEnd {
                guard body(tag) else { return }
            } else {
                scanner.skipMember()
            }
        }
    }

    /// Octets of `etagc`: VCHAR without the double quote, and obs-text.
    private static func isOpaque(_ byte: UInt8) -> Bool {
        byte == 0x21 || (byte >= 0x23 && byte != 0x7F)
    }

    private struct Scanner {
        var rest: ArraySlice<UInt8>

        init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

        var isAtEnd: Bool { rest.isEmpty }

        var isAtMemberEnd: Bool {
            for byte in rest where !Octet.isWhitespace(byte) { return byte == Octet.comma }
            return true
        }

        mutating func skipWhitespace() {
            while let first = rest.first, Octet.isWhitespace(first) { rest.removeFirst() }
        }

        mutating func skipComma() -> Bool {
            guard rest.first == Octet.comma else { return false }
            rest.removeFirst()
            return true
        }

        mutating func skipMember() {
            while let first = rest.first, first != Octet.comma { rest.removeFirst() }
        }

        /// Reads one entity-tag; moves on only where there is one.
        mutating func tag() -> EntityTag? {
            var cursor = rest.startIndex
            var isWeak = false
            if rest.count > 2, rest[cursor] == UInt8(ascii: "W"), rest[cursor + 1] == UInt8(ascii: "/") {
                isWeak = true
                cursor += 2
            }
            guard cursor < rest.endIndex, rest[cursor] == Octet.quote else { return nil }
            let start = cursor + 1
            cursor = start
            while cursor < rest.endIndex, EntityTag.isOpaque(rest[cursor]) { cursor += 1 }
            guard cursor < rest.endIndex, rest[cursor] == Octet.quote else { return nil }
            let tag = EntityTag(isWeak: isWeak, opaque: rest[start..<cursor])
            rest = rest[(cursor + 1)...]
            return tag
        }
    }
}

/// The value of If-Match or If-None-Match (RFC 9110 13.1.1, 13.1.2).
public enum EntityTagList: Sendable, Equatable {
    /// `*`: any current representation.
    case any
    case tags([EntityTag])

    /// Reads the lines of one field, the first ``EntityTag/maxMembers`` members of them. `*` counts only
    /// where it stands alone; as a list's member it matches nothing.
    public init(lines: [ArraySlice<UInt8>]) {
        if lines.count == 1, Octet.trim(lines[0]).elementsEqual([UInt8(ascii: "*")]) {
            self = .any
            return
        }
        var tags: [EntityTag] = []
        var counted = 0
        for line in lines {
            EntityTag.forEach(in: line, counted: &counted) {
                tags.append($0)
                return true
            }
        }
        self = .tags(tags)
    }

    /// Whether `tag` is in the list by the weak comparison, as If-None-Match wants it.
    public func weaklyContains(_ tag: EntityTag) -> Bool {
        switch self {
        case .any: true
        case .tags(let tags): tags.contains { $0.weaklyMatches(tag) }
        }
    }

    /// Whether `tag` is in the list by the strong comparison, as If-Match wants it.
    public func stronglyContains(_ tag: EntityTag) -> Bool {
        switch self {
        case .any: true
        case .tags(let tags): tags.contains { $0.stronglyMatches(tag) }
        }
    }
}
