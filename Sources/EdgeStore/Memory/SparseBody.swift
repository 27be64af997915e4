import NIOCore

/// The parts of a representation that are stored (RFC 9111 3.3): disjoint pieces of a body whose whole length is known.
/// Immutable: a part more makes another one, which shares the pieces.
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

    public convenience init(completeLength: Int64) {
        self.init(completeLength: completeLength, pieces: [])
    }

    private init(completeLength: Int64, pieces: [Piece]) {
        precondition(completeLength >= 0)
        self.completeLength = completeLength
        self.pieces = pieces
    }

    /// Stored bytes.
    public var count: Int64 { pieces.reduce(0) { $0 + Int64($1.bytes.readableBytes) } }

    public var isComplete: Bool { count == completeLength }

    /// This body with `bytes` at `start`. Where some of them are there already, those stay.
    public func adding(_ bytes: ByteBuffer, at start: Int64) -> SparseBody {
        let added = start..<start + Int64(bytes.readableBytes)
        precondition(start >= 0 && added.upperBound <= completeLength, "a part outside of its body")
        var merged: [Piece] = pieces
        var offset = start
        while offset < added.upperBound {
            switch find(offset) {
            case .piece(let index): offset = pieces[index].end
            case .hole(let hole):
                let range = offset..<min(hole.upperBound, added.upperBound)
                guard
                    let slice = bytes.getSlice(
                        at: bytes.readerIndex + Int(range.lowerBound - start), length: range.count)
                else { preconditionFailure("\(range) is not in \(added)") }
                merged.append(Piece(start: range.lowerBound, bytes: slice))
                offset = range.upperBound
            }
        }
        merged.sort { $0.start < $1.start }
        return SparseBody(completeLength: completeLength, pieces: merged)
    }

    /// Stored bytes from `offset` on, at most `limit`, sharing their storage; nil where the byte at `offset` is
    /// missing.
    public func bytes(from offset: Int64, limit: Int) -> ByteBuffer? {
        guard case .piece(let index) = find(offset) else { return nil }
        let piece = pieces[index]
        let skip = Int(offset - piece.start)
        return piece.bytes.getSlice(
            at: piece.bytes.readerIndex + skip, length: min(limit, piece.bytes.readableBytes - skip))
    }

    /// The first hole that touches `range`, as far as it reaches in both directions; nil where all of it is stored.
    public func hole(in range: Range<Int64>) -> Range<Int64>? {
        var offset = range.lowerBound
        while offset < range.upperBound {
            switch find(offset) {
            case .piece(let index): offset = pieces[index].end
            case .hole(let hole): return hole
            }
        }
        return nil
    }

    private enum Place {
        case piece(Int)
        case hole(Range<Int64>)
    }

    private func find(_ offset: Int64) -> Place {
        var low = 0
        var high = pieces.count
        while low < high {
            let middle = (low + high) / 2
            if pieces[middle].end <= offset { low = middle + 1 } else { high = middle }
        }
        if low < pieces.count, pieces[low].start <= offset { return .piece(low) }
        let start = low > 0 ? pieces[low - 1].end : 0
        return .hole(start..<(low < pieces.count ? pieces[low].start : completeLength))
    }

    /// The bytes that are held: a piece counts with the whole storage under it.
    var heldBytes: Int {
        pieces.reduce(ExactStorage.heldArrayBytes(pieces.count * MemoryLayout<Piece>.stride) + 48) {
            $0 + ExactStorage.heldBytes($1.bytes.storageCapacity) + ExactStorage.bufferStorageBytes
        }
    }

    /// All bytes in one buffer of exactly their size. Only for a complete body.
    public func joined() -> ByteBuffer {
        precondition(isComplete, "a body with holes cannot be joined")
        return ExactStorage.buffer(copying: pieces.map(\.bytes))
    }
}
