import EdgePrimitives

/// Damages bytes: the same seed damages the same bytes in the same way.
public struct Mutator {
    public var random: SeededGenerator
    /// What is put in now and then: pieces that mean something to who reads the bytes.
    let pieces: [[UInt8]]

    public init(seed: UInt64, pieces: [String]) {
        random = SeededGenerator(seed: seed)
        self.pieces = pieces.map { Array($0.utf8) }
    }

    /// Bytes at which readers change their mind.
    private static let borders: [UInt8] = [
        0, 1, 8, 9, 10, 11, 13, 31, 32, 33, 34, 35, 37, 39, 42, 43, 44, 45, 46, 47, 48, 57, 58, 59, 60, 61,
        62,
        63, 64, 65, 91, 92, 93, 96, 123, 125, 126, 127, 128, 133, 160, 194, 226, 255,
    ]

    private static let numbers = [
        "0", "1", "-1", "+1", "00", "007", "9", "16", "255", "4294967295", "4294967296", "9007199254740993",
        "999999999999999999", "9223372036854775807", "9223372036854775808", "18446744073709551615",
        "18446744073709551616", "99999999999999999999999999", "1e9", "0x10", "1.5", "1 ", "", "٣",
    ].map { Array($0.utf8) }

    /// `bytes`, damaged in one to four places.
    public mutating func damage(_ bytes: [UInt8], with others: [[UInt8]]) -> [UInt8] {
        var result = bytes
        for _ in 0..<below(4) + 1 { damageOnce(&result, others) }
        if result.count > 40_000 { result.removeLast(result.count - 40_000) }
        return result
    }

    mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<max(1, bound), using: &random) }

    mutating func pick<Element>(_ list: [Element]) -> Element { list[below(list.count)] }

    private mutating func place(_ bytes: [UInt8]) -> Int { below(bytes.count + 1) }

    private mutating func range(_ bytes: [UInt8]) -> Range<Int> {
        let start = place(bytes)
        // Mostly short: a head that lost half of itself is refused for the first reason there is.
        let most = below(8) == 0 ? bytes.count : 12
        return start..<min(bytes.count, start + below(most) + 1)
    }

    private mutating func damageOnce(_ bytes: inout [UInt8], _ others: [[UInt8]]) {
        switch below(14) {
        case 0: if !bytes.isEmpty { bytes[below(bytes.count)] ^= 1 << UInt8(below(8)) }
        case 1: if !bytes.isEmpty { bytes[below(bytes.count)] = pick(Self.borders) }
        case 2: bytes.insert(pick(Self.borders), at: place(bytes))
        case 3: bytes.removeSubrange(range(bytes))
        case 4:
            let copied = Array(bytes[range(bytes)])
            for _ in 0..<below(4) + 1 { bytes.insert(contentsOf: copied, at: place(bytes)) }
        case 5, 6: bytes.insert(contentsOf: pick(pieces), at: place(bytes))
        case 7: bytes.insert(contentsOf: pick(pieces), at: lineStart(bytes))
        case 8: replaceNumber(&bytes)
        case 9: bytes.removeLast(min(bytes.count, below(below(4) == 0 ? bytes.count + 1 : 8)))
        case 10:
            let other = pick(others)
            bytes = Array(bytes[..<place(bytes)]) + Array(other[place(other)...])
        case 11:
            let piece = pick(pieces)
            let count = below(6) == 0 ? 300 : 6
            bytes.insert(
                contentsOf: Array(repeatElement(piece, count: below(count) + 1).joined()), at: place(bytes))
        case 12:
            let length = below(10) == 0 ? 17_000 : 300
            bytes.insert(
                contentsOf: repeatElement(pick(Self.borders), count: below(length) + 1), at: place(bytes))
        default: swapLines(&bytes)
        }
    }

    /// Where a line begins.
    private mutating func lineStart(_ bytes: [UInt8]) -> Int {
        let from = place(bytes)
        return bytes[from...].firstIndex(of: 10).map { $0 + 1 } ?? from
    }

    private mutating func replaceNumber(_ bytes: inout [UInt8]) {
        let from = place(bytes)
        guard let start = bytes[from...].firstIndex(where: { (48..<58).contains($0) }) else { return }
        let end = bytes[start...].firstIndex { !(48..<58).contains($0) } ?? bytes.count
        bytes.replaceSubrange(start..<end, with: pick(Self.numbers))
    }

    private mutating func swapLines(_ bytes: inout [UInt8]) {
        var lines = bytes.split(separator: 10, omittingEmptySubsequences: false).map(Array.init)
        lines.swapAt(below(lines.count), below(lines.count))
        bytes = Array(lines.joined(separator: [10]))
    }
}
