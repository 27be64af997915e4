import NIOCore

/// The parts of a representation that are stored (RFC 9111 3.3): disjoint pieces of a body whose whole length is known,
/// in memory, and its blocks on disk. Immutable in memory: a part more makes another one, which shares the pieces;
/// which blocks are on disk changes under it.
public final class SparseBody: Sendable {
    /// One stored piece. `bytes` shows it and nothing else.
    struct Piece: Sendable {
        let start: Int64
        let bytes: ByteBuffer

        var end: Int64 { start + Int64(bytes.readableBytes) }
    }

    /// The length of the representation.
    public let completeLength: Int64
    /// In order, disjoint, none empty.
    let pieces: [Piece]
    /// Its blocks on disk; nil without a disk tier.
    public let blocks: DiskBlocks?

    public convenience init(completeLength: Int64, blocks: DiskBlocks? = nil) {
        self.init(completeLength: completeLength, pieces: [], blocks: blocks)
    }

    private init(completeLength: Int64, pieces: [Piece], blocks: DiskBlocks?) {
        precondition(completeLength >= 0)
        self.completeLength = completeLength
        self.pieces = pieces
        self.blocks = blocks
    }

    /// Bytes in memory.
    public var memoryCount: Int64 { pieces.reduce(0) { $0 + Int64($1.bytes.readableBytes) } }

    /// Whether all of it is in memory.
    public var isInMemory: Bool { memoryCount == completeLength }

    /// This body with `bytes` at `start`. Where some of them are there already, those stay.
    public func adding(_ bytes: ByteBuffer, at start: Int64) -> SparseBody {
        let added = start..<start + Int64(bytes.readableBytes)
        precondition(start >= 0 && added.upperBound <= completeLength, "a part outside of its body")
        var merged: [Piece] = pieces
        var offset = start
        while offset < added.upperBound {
            let place = findInMemory(offset)
            if let index = place.index {
                offset = pieces[index].end
                continue
            }
            let range = offset..<min(place.hole.upperBound, added.upperBound)
            guard
                let slice = bytes.getSlice(
                    at: bytes.readerIndex + Int(range.lowerBound - start), length: range.count)
            else { preconditionFailure("\(range) is not in \(added)") }
            merged.append(Piece(start: range.lowerBound, bytes: slice))
            offset = range.upperBound
        }
        merged.sort { $0.start < $1.start }
        return SparseBody(completeLength: completeLength, pieces: merged, blocks: blocks)
    }

    /// What is stored at an offset.
    public enum Part {
        /// Bytes from the offset on, sharing their storage.
        case bytes(ByteBuffer)
        /// A block on disk that holds the offset.
        case block(DiskBlock)
        case missing
    }

    /// What is stored from `offset` on; of bytes in memory at most `limit`.
    public func part(from offset: Int64, limit: Int) -> Part {
        if let index = findInMemory(offset).index {
            let piece = pieces[index]
            let skip = Int(offset - piece.start)
            let slice = piece.bytes.getSlice(
                at: piece.bytes.readerIndex + skip, length: min(limit, piece.bytes.readableBytes - skip))
            return slice.map(Part.bytes) ?? .missing
        }
        guard let blocks, let block = blocks.block(at: offset, of: completeLength), blocks.isStored(block)
        else {
            return .missing
        }
        return .block(block)
    }

    /// The whole body where it is one block on disk that can be sent at once: checked, and in the page cache.
    public var plainRegion: DiskRegion? {
        guard pieces.isEmpty, let blocks, let block = blocks.block(at: 0, of: completeLength),
            block.range.upperBound == completeLength, let region = blocks.region(of: block), region.isWarm
        else { return nil }
        return region
    }

    /// The first hole that touches `range`: downwards as far as it reaches or a block's beginning, upwards as far as it
    /// reaches or the end of the range; nil where all of it is stored.
    public func hole(in range: Range<Int64>) -> Range<Int64>? {
        var offset = range.lowerBound
        while offset < range.upperBound {
            let place = findInMemory(offset)
            if let index = place.index {
                offset = pieces[index].end
            } else if let blocks, let block = blocks.block(at: offset, of: completeLength) {
                guard !blocks.isStored(block) else {
                    offset = block.range.upperBound
                    continue
                }
                return hole(around: offset, place.hole, blocks, to: range.upperBound)
            } else {
                return place.hole
            }
        }
        return nil
    }

    /// The hole at `offset`, which no block on disk covers, within one that memory has.
    private func hole(around offset: Int64, _ hole: Range<Int64>, _ blocks: DiskBlocks, to wanted: Int64)
        -> Range<Int64>
    {
        var start = offset
        while start > hole.lowerBound, let before = blocks.block(at: start - 1, of: completeLength),
            !blocks.isStored(before), offset - start < Self.lookBackBytes
        {
            start = max(hole.lowerBound, before.range.lowerBound)
        }
        var end = offset
        var looked = 0
        while end < hole.upperBound, let next = blocks.block(at: end, of: completeLength),
            !blocks.isStored(next)
        {
            end = min(hole.upperBound, next.range.upperBound)
            if end - wanted >= Self.lookBackBytes { break }
            looked += 1
            if looked == Self.mostBlocks { break }
        }
        return start..<end
    }

    /// So many blocks are looked up for one hole; what follows is the next one. A body may be, or claim to be, of any
    /// length, and an event loop waits.
    private static let mostBlocks = 1 << 16
    /// No pull asks for more than this before what is wanted.
    private static let lookBackBytes: Int64 = 1 << 20

    /// The piece that holds `offset`, or the hole in memory around it.
    private func findInMemory(_ offset: Int64) -> (index: Int?, hole: Range<Int64>) {
        var low = 0
        var high = pieces.count
        while low < high {
            let middle = (low + high) / 2
            if pieces[middle].end <= offset { low = middle + 1 } else { high = middle }
        }
        if low < pieces.count, pieces[low].start <= offset { return (low, 0..<0) }
        let start = low > 0 ? pieces[low - 1].end : 0
        return (nil, start..<(low < pieces.count ? pieces[low].start : completeLength))
    }

    /// The blocks of which memory has every byte.
    func wholeBlocks(of blocks: DiskBlocks) -> [DiskBlock] {
        var whole: [DiskBlock] = []
        var offset: Int64 = 0
        for piece in pieces {
            offset = max(offset, piece.start)
            while offset < piece.end, let block = blocks.block(at: offset, of: completeLength) {
                if findHole(in: block.range) == nil { whole.append(block) }
                offset = block.range.upperBound
            }
        }
        return whole
    }

    /// The first byte of `range` that memory lacks.
    private func findHole(in range: Range<Int64>) -> Int64? {
        var offset = range.lowerBound
        while offset < range.upperBound {
            guard let index = findInMemory(offset).index else { return offset }
            offset = pieces[index].end
        }
        return nil
    }

    /// The bytes of a whole block, where memory has all of them; in one buffer, copied only where they lie in several.
    func bytes(of range: Range<Int64>) -> ByteBuffer? {
        var chunks: [ByteBuffer] = []
        var offset = range.lowerBound
        while offset < range.upperBound {
            guard let index = findInMemory(offset).index else { return nil }
            let piece = pieces[index]
            let skip = Int(offset - piece.start)
            let count = Int(min(piece.end, range.upperBound) - offset)
            guard let slice = piece.bytes.getSlice(at: piece.bytes.readerIndex + skip, length: count) else {
                return nil
            }
            chunks.append(slice)
            offset += Int64(count)
        }
        return chunks.count == 1 ? chunks[0] : ExactStorage.buffer(copying: chunks)
    }

    /// The bytes that are held: a piece counts with the whole storage under it.
    var heldBytes: Int {
        pieces.reduce(ExactStorage.heldArrayBytes(pieces.count * MemoryLayout<Piece>.stride) + 48) {
            $0 + ExactStorage.heldBytes($1.bytes.storageCapacity) + ExactStorage.bufferStorageBytes
        }
    }

    /// All bytes in one buffer of exactly their size. Only where memory has them all.
    public func joined() -> ByteBuffer {
        precondition(isInMemory, "a body with holes cannot be joined")
        return ExactStorage.buffer(copying: pieces.map(\.bytes))
    }
}
