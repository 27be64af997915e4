import EdgeHTTP

/// A URI reference, taken apart and resolved (RFC 3986 5).
public struct URIReference: Equatable, Sendable {
    /// In lower case.
    public var scheme: [UInt8]?
    public var authority: [UInt8]?
    public var path: [UInt8]
    /// Without its question mark.
    public var query: [UInt8]?

    /// The parts of `text` (RFC 3986 appendix B), the fragment dropped; nil where an octet stands that no
    /// URI has.
    ///
    /// - Parameter allowsTargets: whether octets may stand there that no URI has and that clients send all the same,
    ///   such as `|`: what was asked for with them is named with them.
    public init?(_ text: ArraySlice<UInt8>, allowsTargets: Bool = false) {
        let isSound = text.allSatisfy {
            $0 > 0x20 && $0 < 0x7F && (allowsTargets || !Self.excluded.contains($0))
        }
        guard isSound else { return nil }
        var rest = text.prefix { $0 != UInt8(ascii: "#") }
        if let end = rest.firstIndex(where: { Self.delimiters.contains($0) }), rest[end] == Octet.colon {
            let name = rest[..<end]
            guard let first = name.first, Self.isLetter(first), name.allSatisfy(Self.isSchemeOctet) else {
                return nil
            }
            scheme = name.map(Octet.lower)
            rest = rest[(end + 1)...]
        }
        if rest.starts(with: "//".utf8) {
            rest = rest.dropFirst(2)
            let end = rest.firstIndex { $0 == Self.slash || $0 == Self.questionMark } ?? rest.endIndex
            authority = Array(rest[..<end])
            rest = rest[end...]
        }
        if let mark = rest.firstIndex(of: Self.questionMark) {
            query = Array(rest[(mark + 1)...])
            rest = rest[..<mark]
        }
        path = Array(rest)
    }

    init(scheme: [UInt8], authority: [UInt8], path: [UInt8], query: [UInt8]?) {
        self.scheme = scheme
        self.authority = authority
        self.path = path
        self.query = query
    }

    /// The target of `reference` seen from this URI (RFC 3986 5.2.2, strict).
    func resolve(_ reference: URIReference) -> URIReference {
        var target = reference
        if reference.scheme != nil {
            target.path = Self.withoutDotSegments(reference.path)
            return target
        }
        target.scheme = scheme
        if reference.authority != nil {
            target.path = Self.withoutDotSegments(reference.path)
            return target
        }
        target.authority = authority
        if reference.path.isEmpty {
            target.path = path
            if reference.query == nil { target.query = query }
        } else if reference.path.first == Self.slash {
            target.path = Self.withoutDotSegments(reference.path)
        } else {
            target.path = Self.withoutDotSegments(merged(with: reference.path))
        }
        return target
    }

    /// RFC 3986 5.2.3.
    private func merged(with relative: [UInt8]) -> [UInt8] {
        if authority != nil, path.isEmpty { return [Self.slash] + relative }
        guard let last = path.lastIndex(of: Self.slash) else { return relative }
        return path[...last] + relative
    }

    /// RFC 3986 5.2.4, segment by segment.
    static func withoutDotSegments(_ path: [UInt8]) -> [UInt8] {
        let dot = [UInt8(ascii: ".")]
        let isAbsolute = path.first == slash
        let segments = (isAbsolute ? path.dropFirst() : path[...])
            .split(separator: slash, omittingEmptySubsequences: false)
        var kept: [ArraySlice<UInt8>] = []
        for (index, segment) in segments.enumerated() {
            let isLast = index == segments.count - 1
            if segment.elementsEqual(dot) {
                if isLast { kept.append([]) }
            } else if segment.elementsEqual(dot + dot) {
                if !kept.isEmpty { kept.removeLast() }
                if isLast { kept.append([]) }
            } else {
                kept.append(segment)
            }
        }
        return (isAbsolute ? [slash] : []) + Array(kept.joined(separator: [slash]))
    }

    private static let slash = UInt8(ascii: "/")
    private static let questionMark = UInt8(ascii: "?")
    private static let delimiters = Array(":/?".utf8)
    private static let excluded = Array("\"<>\\^`{|}".utf8)

    private static func isLetter(_ byte: UInt8) -> Bool { Octet.lower(byte) &- 97 < 26 }

    private static func isSchemeOctet(_ byte: UInt8) -> Bool {
        isLetter(byte) || Octet.isDigit(byte) || byte == 43 || byte == 45 || byte == 46
    }
}
