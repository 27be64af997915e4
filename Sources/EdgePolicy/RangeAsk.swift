import EdgeHTTP

/// The one range that a pull asks the origin for.
///
/// Ranges are pulled in aligned blocks, so that what many clients ask for in pieces of their own falls on the
/// same bytes, and so that one byte never costs the origin more than one block.
public enum RangeAsk: Sendable, Equatable {
    /// Bytes to pull, all of them within the representation as far as that is known.
    case bytes(Range<Int64>)
    /// Everything from an offset on.
    case from(Int64)
    /// The last so many bytes of a representation of unknown length: asked for as the client did.
    case suffix(Int64)

    /// Blocks begin at multiples of this many bytes.
    public static let blockBytes: Int64 = 1 << 20

    /// What to ask for when nothing is stored; nil where the whole is to be pulled: no Range that counts, or
    /// one that begins at the first byte and has no end.
    ///
    /// Of several ranges it is the first: its answer tells the length, and the others follow from there.
    public init?(missOf request: FieldSection) {
        guard request.lines.count(where: { $0.name == .range }) == 1, let value = request.first(.range),
            case .ranges(let specs) = RangeSpecifier.parse(value), let first = specs.first
        else { return nil }
        switch first {
        case .from(0, nil): return nil
        case .from(let start, nil): self = .from(Self.aligned(down: start))
        case .from(let start, .some(let last)):
            guard last < .max - Self.blockBytes else {
                if start < Self.blockBytes { return nil }
                self = .from(Self.aligned(down: start))
                return
            }
            self = .bytes(Self.aligned(down: start)..<Self.aligned(down: last) + Self.blockBytes)
        case .suffix(let count): self = .suffix(count)
        }
    }

    /// How many bytes more than it wants a request may cost the origin: what lies in the same blocks.
    public static let largestSurplusBytes = 4 * blockBytes

    /// Whether pulling the blocks of a request's ranges brings so much more than was asked for that its Range had
    /// better go to the origin as it is: a few bytes here and there of something large.
    ///
    /// - Parameter isMissing: whether a byte range of the representation is not stored; nil where nothing is.
    public static func isWasteful(
        _ request: FieldSection, isMissing: ((Range<Int64>) -> Bool)? = nil
    ) -> Bool {
        guard request.lines.count(where: { $0.name == .range }) == 1, let value = request.first(.range),
            case .ranges(let specs) = RangeSpecifier.parse(value), specs.count > 1
        else { return false }
        var wanted: [Range<Int64>] = []
        for case .from(let start, .some(let last)) in specs where last < PartialContent.largestLength {
            let range = start..<last + 1
            if isMissing?(range) ?? true { wanted.append(range) }
        }
        let blocks = wanted.map {
            aligned(down: $0.lowerBound)..<aligned(down: $0.upperBound - 1) + blockBytes
        }
        return length(of: blocks) - length(of: wanted) > largestSurplusBytes
    }

    /// How many bytes lie in any of `ranges`.
    private static func length(of ranges: [Range<Int64>]) -> Int64 {
        var end: Int64 = 0
        var total: Int64 = 0
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) where range.upperBound > end {
            total += range.upperBound - max(end, range.lowerBound)
            end = range.upperBound
        }
        return total
    }

    /// What to ask for of the hole `hole` in what is stored, for a reader who wants `wanted` of it.
    ///
    /// - Parameters:
    ///   - hole: missing bytes, as far as they reach in both directions.
    ///   - wanted: what the reader needs, which begins inside the hole.
    ///   - completeLength: the length of the representation.
    public init(hole: Range<Int64>, wanted: Range<Int64>, completeLength: Int64) {
        let start = max(hole.lowerBound, Self.aligned(down: wanted.lowerBound))
        let end = min(hole.upperBound, Self.aligned(down: wanted.upperBound - 1) + Self.blockBytes)
        // The tail of a small object is named by where it begins: there is nothing behind it.
        if end == completeLength, completeLength <= Self.blockBytes {
            self = .from(start)
        } else {
            self = .bytes(start..<end)
        }
    }

    /// Whether an answer to this is one to `request` as it stands, whatever it turns out to be: a single range, asked
    /// for as the client did, and no condition that only the representation can decide.
    public func isOwn(_ request: FieldSection, status: Int) -> Bool {
        guard let value = request.first(.range), !request.contains(.ifRange),
            !Preconditions.hasConditions(request), case .ranges(let specs) = RangeSpecifier.parse(value),
            specs.count == 1
        else { return false }
        switch self {
        case .suffix: return true
        // What is asked for begins no later than what the client wants: if that lies behind the end, so does this.
        case .bytes, .from: return status == 416
        }
    }

    /// The value of the Range field.
    public var fieldValue: [UInt8] {
        var value = Array("bytes=".utf8)
        switch self {
        case .bytes(let range):
            value.appendDecimal(range.lowerBound)
            value.append(UInt8(ascii: "-"))
            value.appendDecimal(range.upperBound - 1)
        case .from(let start):
            value.appendDecimal(start)
            value.append(UInt8(ascii: "-"))
        case .suffix(let count):
            value.append(UInt8(ascii: "-"))
            value.appendDecimal(count)
        }
        return value
    }

    /// Whether the answer to this will hold what `other` asks for.
    public func covers(_ other: RangeAsk) -> Bool {
        switch (self, other) {
        case (.bytes(let mine), .bytes(let theirs)):
            mine.lowerBound <= theirs.lowerBound && theirs.upperBound <= mine.upperBound
        case (.from(let mine), .bytes(let theirs)): mine <= theirs.lowerBound
        case (.from(let mine), .from(let theirs)): mine <= theirs
        case (.suffix(let mine), .suffix(let theirs)): mine >= theirs
        default: false
        }
    }

    private static func aligned(down offset: Int64) -> Int64 { offset - offset % blockBytes }
}
