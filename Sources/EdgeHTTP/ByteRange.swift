/// One member of a Range field in bytes (RFC 9110 14.1.2), before the length of the representation is known.
public enum ByteRangeSpec: Sendable, Equatable {
    /// `first-last`, both inclusive, or `first-` to the end.
    case from(Int64, through: Int64?)
    /// The last so many bytes.
    case suffix(Int64)

    /// The bytes that it selects of `length`; nil where it is unsatisfiable.
    public func resolve(length: Int64) -> Range<Int64>? {
        switch self {
        case .from(let first, let last):
            guard first < length else { return nil }
            guard let last, last < length - 1 else { return first..<length }
            return first..<(last + 1)
        case .suffix(let count):
            guard count > 0, length > 0 else { return nil }
            return max(0, length - count)..<length
        }
    }
}

/// What a Range field asks for (RFC 9110 14.2).
public enum RangeSpecifier: Sendable, Equatable {
    /// Another unit, or not valid: the field counts as absent.
    case ignored
    case ranges([ByteRangeSpec])

    /// A field with more members than this is ignored, as RFC 9110 14.2 lets a server do with any: zsync and
    /// its like stay below, and the whole representation costs less.
    public static let maxMembers = 128

    /// Reads the value of a Range field. Positions beyond 2^63 saturate: they lie behind every
    /// representation.
    public static func parse(_ value: ArraySlice<UInt8>) -> RangeSpecifier {
        let value = Octet.trim(value)
        guard let equals = value.firstIndex(of: Octet.equals),
            Octet.equalIgnoringCase(value[..<equals], "bytes".utf8)
        else { return .ignored }
        var specs: [ByteRangeSpec] = []
        for member in ListMembers(value[(equals + 1)...]) {
            guard specs.count < maxMembers, let spec = parseMember(member) else { return .ignored }
            specs.append(spec)
        }
        return specs.isEmpty ? .ignored : .ranges(specs)
    }

    private static func parseMember(_ member: ArraySlice<UInt8>) -> ByteRangeSpec? {
        guard let dash = member.firstIndex(of: UInt8(ascii: "-")) else { return nil }
        let left = member[..<dash]
        let right = member[(dash + 1)...]
        if left.isEmpty {
            guard let count = Octet.decimal(right)?.value else { return nil }
            return .suffix(count)
        }
        guard let first = Octet.decimal(left)?.value else { return nil }
        if right.isEmpty { return .from(first, through: nil) }
        guard let last = Octet.decimal(right)?.value, last >= first else { return nil }
        return .from(first, through: last)
    }
}

/// What a list of byte ranges comes to for a representation of known length.
public enum ByteRangeSelection: Sendable, Equatable {
    /// The field is to be ignored: the whole representation is the answer.
    case whole
    /// None lies within the representation (416).
    case unsatisfiable
    /// At least one range; disjoint and not adjacent, in the order in which they were asked for.
    case ranges([Range<Int64>])

    /// More overlaps than two, or more backward steps than four, are what RFC 9110 14.2 calls inefficient or
    /// an attack: the whole representation costs less. Of disjoint ranges there may be as many as are read.
    static let maxRanges = RangeSpecifier.maxMembers
    static let maxOverlaps = 2
    static let maxBackwardSteps = 4

    /// Resolves `specs` against `length`, joins what overlaps or touches, and refuses abuse.
    public static func resolve(_ specs: [ByteRangeSpec], length: Int64) -> ByteRangeSelection {
        // A suffix of an empty representation is satisfiable, but Content-Range cannot express its bytes.
        guard length > 0 else {
            return specs.contains { if case .suffix(let count) = $0 { count > 0 } else { false } }
                ? .whole : .unsatisfiable
        }
        let asked = specs.compactMap { $0.resolve(length: length) }
        guard !asked.isEmpty else { return .unsatisfiable }
        guard asked.count > 1 else { return .ranges(asked) }
        if zip(asked, asked.dropFirst()).count(where: { $1.lowerBound < $0.lowerBound }) > maxBackwardSteps {
            return .whole
        }

        // Sorted by their start, with the place at which each was asked for.
        let sorted = asked.enumerated().sorted {
            ($0.element.lowerBound, $0.offset) < ($1.element.lowerBound, $1.offset)
        }
        var joined: [(place: Int, range: Range<Int64>)] = []
        var overlaps = 0
        for (place, range) in sorted {
            guard let last = joined.last, range.lowerBound <= last.range.upperBound else {
                joined.append((place, range))
                continue
            }
            if range.lowerBound < last.range.upperBound { overlaps += 1 }
            let end = max(last.range.upperBound, range.upperBound)
            joined[joined.count - 1] = (min(last.place, place), last.range.lowerBound..<end)
        }
        guard overlaps <= maxOverlaps, joined.count <= maxRanges else { return .whole }
        return .ranges(joined.sorted { $0.place < $1.place }.map(\.range))
    }
}

/// A Content-Range field in bytes (RFC 9110 14.4), read strictly: a wrong one would join the wrong bytes.
public struct ContentRange: Sendable, Equatable {
    /// The bytes that the content holds; nil in an answer 416 (`bytes */length`).
    public let range: Range<Int64>?
    /// The length of the whole representation; nil where it is unknown (`*`).
    public let completeLength: Int64?

    public init(range: Range<Int64>?, completeLength: Int64?) {
        self.range = range
        self.completeLength = completeLength
    }

    /// Reads `bytes first-last/length`, `bytes first-last/*` or `bytes */length`; nil for anything else.
    public static func parse(_ value: ArraySlice<UInt8>) -> ContentRange? {
        let value = Octet.trim(value)
        guard let space = value.firstIndex(of: Octet.space),
            Octet.equalIgnoringCase(value[..<space], "bytes".utf8),
            let slash = value.firstIndex(of: UInt8(ascii: "/")), slash > space
        else { return nil }
        let span = value[(space + 1)..<slash]
        let total = value[(slash + 1)...]
        let star = [UInt8(ascii: "*")]

        var completeLength: Int64?
        if !total.elementsEqual(star) {
            guard let length = decimal(total) else { return nil }
            completeLength = length
        }
        if span.elementsEqual(star) {
            return completeLength.map { ContentRange(range: nil, completeLength: $0) }
        }
        guard let dash = span.firstIndex(of: UInt8(ascii: "-")), let first = decimal(span[..<dash]),
            let last = decimal(span[(dash + 1)...]), first <= last, last < .max
        else { return nil }
        if let completeLength, last >= completeLength { return nil }
        return ContentRange(range: first..<(last + 1), completeLength: completeLength)
    }

    private static func decimal(_ digits: ArraySlice<UInt8>) -> Int64? {
        guard let (value, isExact) = Octet.decimal(digits), isExact else { return nil }
        return value
    }
}
