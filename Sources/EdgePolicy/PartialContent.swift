import EdgeHTTP

/// What a 206 says it holds (RFC 9110 15.3.7): one range of a representation whose whole length is known.
public struct PartialContent: Sendable, Equatable {
    /// A longer representation than this (a pebibyte) is nobody's; its length would only steer arithmetic.
    static let largestLength: Int64 = 1 << 50

    public let range: Range<Int64>
    public let completeLength: Int64

    /// Reads the head of a 206; nil where its content cannot be placed with certainty: several ranges, no
    /// Content-Range or more than one, an unknown complete length, or a Content-Length that differs from the
    /// range's. Such an answer is passed on as it is and never stored.
    public init?(_ head: ResponseHead) {
        guard head.status == 206, head.fields.lines.count(where: { $0.name == .contentRange }) == 1,
            let value = head.fields.first(.contentRange), let parsed = ContentRange.parse(value),
            let range = parsed.range, let completeLength = parsed.completeLength,
            completeLength <= Self.largestLength
        else { return nil }
        if let length = head.fields.first(.contentLength) {
            var expected: [UInt8] = []
            expected.appendDecimal(range.upperBound - range.lowerBound)
            guard length.elementsEqual(expected) else { return nil }
        }
        if let type = head.fields.first(.contentType), Self.isMultipart(type) { return nil }
        self.range = range
        self.completeLength = completeLength
    }

    /// Whether the range is the whole representation.
    public var isWhole: Bool { range == 0..<completeLength }

    private static func isMultipart(_ type: ArraySlice<UInt8>) -> Bool {
        let name = "multipart/byteranges"
        return type.count >= name.utf8.count
            && Octet.equalIgnoringCase(type.prefix(name.utf8.count), name.utf8)
    }
}

/// A validator that proves two ranges to be of the same representation (RFC 9110 8.8.1, 15.3.7.3): without
/// one that is equal in both, ranges are never joined.
public enum StrongValidator: Sendable, Equatable {
    /// A strong entity-tag, with its quotes.
    case entityTag([UInt8])
    /// A Last-Modified at least a second before the Date it came with (RFC 9110 8.8.2.2), as it was sent.
    case lastModified([UInt8])

    /// The strong validator of a response with `fields`; nil where it has none.
    public init?(_ fields: FieldSection) {
        switch fields.lines.count(where: { $0.name == .etag }) {
        case 0: break
        case 1:
            guard let text = fields.first(.etag), let tag = EntityTag(text), !tag.isWeak else { return nil }
            self = .entityTag(Array(text))
            return
        default: return nil
        }
        guard fields.lines.count(where: { $0.name == .lastModified }) == 1,
            let text = fields.first(.lastModified), let modified = HTTPDate.parse(text),
            let dateText = fields.first(.date), let date = HTTPDate.parse(dateText), date > modified
        else { return nil }
        self = .lastModified(Array(text))
    }

    /// The value for If-Range (RFC 9110 13.1.5).
    public var fieldValue: [UInt8] {
        switch self {
        case .entityTag(let tag): tag
        case .lastModified(let date): date
        }
    }
}
