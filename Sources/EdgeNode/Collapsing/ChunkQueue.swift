import EdgePrimitives
import NIOCore

/// Body bytes that wait for their readers, in pieces that several readers share without a copy.
///
/// Small pieces are written behind one another. A reader shares the storage of a piece that nothing more is
/// written into; of one that grows it gets a copy, so that no write ever has to copy what a reader holds. A
/// piece that is half full need not grow on, unless it is to be a block: what is held is at most twice what
/// is there, and one piece.
struct ChunkQueue: Sendable {
    private struct Chunk {
        /// The offset of its first byte.
        let start: Int64
        var bytes: ByteBuffer
        /// It has to stay in one piece until it is whole.
        let isBlock: Bool
        /// Somebody has its storage: nothing more is written into it.
        var isShared = false

        var end: Int64 { start + Int64(bytes.readableBytes) }
    }

    static let pieceBytes = 16_384

    private var chunks = FrontQueue<Chunk>()
    private var nextCapacity = 0
    /// The offset of the first byte that is held.
    private(set) var base: Int64 = 0
    /// The offset behind the last byte.
    private(set) var end: Int64 = 0
    /// What is held, as the allocator counts it.
    private(set) var storageBytes = 0

    var isEmpty: Bool { chunks.isEmpty }

    /// Where the first piece ends.
    var firstEnd: Int64? { chunks.first?.end }

    /// The last piece, to which nothing may be appended after this.
    mutating func shareLast() -> ByteBuffer? {
        guard !chunks.isEmpty else { return nil }
        chunks[chunks.count - 1].isShared = true
        return chunks[chunks.count - 1].bytes
    }

    // MARK: Writing

    mutating func append(_ body: UnsafeRawBufferPointer) {
        var rest = body
        if !chunks.isEmpty, !chunks[chunks.count - 1].isShared {
            let count = min(rest.count, chunks[chunks.count - 1].bytes.writableBytes)
            write(UnsafeRawBufferPointer(rebasing: rest[..<count]))
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        guard !rest.isEmpty else { return }
        // The first is as large as what comes: many bodies come in one.
        begin(capacity: max(rest.count, isEmpty ? 0 : nextCapacity), isBlock: false)
        write(rest)
    }

    /// Appends to the last block, or to a new one with room for `capacity` bytes where it is time for one.
    mutating func append(_ body: UnsafeRawBufferPointer, beginning isNew: Bool, capacity: Int) {
        if isNew || isEmpty { begin(capacity: capacity, isBlock: true) }
        write(body)
    }

    private mutating func begin(capacity: Int, isBlock: Bool) {
        let bytes = ByteBufferAllocator().buffer(capacity: capacity)
        storageBytes += bytes.storageCapacity
        nextCapacity = min(2 * bytes.storageCapacity, Self.pieceBytes)
        chunks.append(Chunk(start: end, bytes: bytes, isBlock: isBlock))
    }

    private mutating func write(_ bytes: UnsafeRawBufferPointer) {
        guard !bytes.isEmpty else { return }
        let last = chunks.count - 1
        let before = chunks[last].bytes.storageCapacity
        chunks[last].bytes.writeBytes(bytes)
        storageBytes += chunks[last].bytes.storageCapacity - before
        end += Int64(bytes.count)
    }

    // MARK: Reading

    /// Bytes from `offset`, which are there, to the end of a piece; at most `limit`.
    mutating func read(at offset: Int64, limit: Int) -> ByteBuffer {
        precondition(offset >= base && offset < end, "a reader is not where bytes are held")
        let position = position(of: offset)
        let chunk = chunks[position]
        let skip = Int(offset - chunk.start)
        let count = min(limit, chunk.bytes.readableBytes - skip)
        let isGrowing = position == chunks.count - 1 && !chunk.isShared
        if isGrowing {
            guard !chunk.isBlock, chunk.bytes.readableBytes >= chunk.bytes.storageCapacity / 2 else {
                return chunk.bytes.withUnsafeReadableBytes {
                    ByteBuffer(bytes: UnsafeRawBufferPointer(rebasing: $0[skip..<(skip + count)]))
                }
            }
            chunks[position].isShared = true
        }
        return chunk.bytes.getSlice(at: chunk.bytes.readerIndex + skip, length: count) ?? ByteBuffer()
    }

    /// The piece that holds the byte at `offset`.
    private func position(of offset: Int64) -> Int {
        var low = 0
        var high = chunks.count - 1
        while low < high {
            let middle = (low + high + 1) / 2
            if chunks[middle].start <= offset { low = middle } else { high = middle - 1 }
        }
        return low
    }

    func eachPiece(_ body: (UnsafeRawBufferPointer) -> Void) {
        for position in 0..<chunks.count { chunks[position].bytes.withUnsafeReadableBytes(body) }
    }

    /// Drops the first piece.
    mutating func dropFirst() {
        guard let first = chunks.popFirst() else { return }
        storageBytes -= first.bytes.storageCapacity
        base = first.end
    }

    /// Drops pieces that end at or before `offset`.
    mutating func drop(before offset: Int64) {
        while let firstEnd, firstEnd <= offset { dropFirst() }
    }
}
