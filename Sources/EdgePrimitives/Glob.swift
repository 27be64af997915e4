/// A glob over octets: `*` stands for any run of octets (the empty one and `/` included), `?` for one
/// octet, and every other octet for itself.
///
/// The pattern is cut at its stars once. A match then compares the first piece with the start of the text
/// and the last piece with its end, and looks for the pieces between from left to right; each is taken
/// where it first occurs, which is never wrong because a star may swallow the rest. There is no
/// backtracking: the cost is bounded by the length of the text times the longest piece, whatever the text.
public struct Glob: Sendable, Equatable {
    /// The pattern as it was written.
    public let pattern: [UInt8]
    /// What must stand at the start of the text; the whole text where the pattern has no star.
    private let head: [UInt8]
    /// What must follow in this order, with anything between.
    private let middle: [[UInt8]]
    /// What must stand at the end; nil: the pattern has no star.
    private let tail: [UInt8]?

    private static let star: UInt8 = 42
    private static let question: UInt8 = 63

    /// Cuts a pattern at its stars. Every octet string is a pattern.
    public init(_ pattern: some Sequence<UInt8>) {
        self.pattern = Array(pattern)
        var pieces = self.pattern.split(separator: Self.star, omittingEmptySubsequences: false).map {
            Array($0)
        }
        tail = pieces.count > 1 ? pieces.removeLast() : nil
        head = pieces.isEmpty ? [] : pieces.removeFirst()
        middle = pieces.filter { !$0.isEmpty }
    }

    /// A pattern from text, as its UTF-8 octets.
    public init(_ pattern: String) {
        self.init(pattern.utf8)
    }

    /// Whether the pattern is stars alone, so that every text matches.
    public var matchesEverything: Bool {
        head.isEmpty && middle.isEmpty && tail?.isEmpty == true
    }

    /// Whether the whole of `text` matches.
    public func matches(_ text: ArraySlice<UInt8>) -> Bool {
        text.withUnsafeBufferPointer { matches($0) }
    }

    private func matches(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let tail else { return text.count == head.count && Self.agrees(text, at: 0, with: head) }
        guard text.count >= head.count + tail.count, Self.agrees(text, at: 0, with: head) else {
            return false
        }
        let end = text.count - tail.count
        guard Self.agrees(text, at: end, with: tail) else { return false }
        var position = head.count
        for piece in middle {
            while position + piece.count <= end, !Self.agrees(text, at: position, with: piece) {
                position += 1
            }
            guard position + piece.count <= end else { return false }
            position += piece.count
        }
        return true
    }

    /// Whether the octets from `start` are `piece`. The caller has checked that they are within the text.
    private static func agrees(_ text: UnsafeBufferPointer<UInt8>, at start: Int, with piece: [UInt8]) -> Bool
    {
        assert(start >= 0 && start + piece.count <= text.count)
        for index in 0..<piece.count {
            let wanted = piece[index]
            if wanted != text[start + index] && wanted != question { return false }
        }
        return true
    }

    /// Whether every text that `other` matches is certain to match this pattern as well.
    ///
    /// The other pattern is read as a text in which a `*` can only fall to a star of ours, and a `?` to a
    /// `?` or a star. That never says yes wrongly; it may miss an inclusion that holds for a subtler
    /// reason.
    public func covers(_ other: Glob) -> Bool {
        var ours = 0
        var theirs = 0
        var retry: (ours: Int, theirs: Int)?
        while theirs < other.pattern.count {
            let symbol = other.pattern[theirs]
            if ours < pattern.count, pattern[ours] == Self.star {
                retry = (ours + 1, theirs)
                ours += 1
            } else if ours < pattern.count, symbol != Self.star,
                pattern[ours] == Self.question || pattern[ours] == symbol
            {
                ours += 1
                theirs += 1
            } else if let last = retry {
                retry = (last.ours, last.theirs + 1)
                ours = last.ours
                theirs = last.theirs + 1
            } else {
                return false
            }
        }
        return pattern[ours...].allSatisfy { $0 == Self.star }
    }
}
