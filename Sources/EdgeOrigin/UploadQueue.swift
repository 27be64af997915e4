import EdgePrimitives
import NIOCore

/// Upload bytes on their way to an origin. What it counts is the storage that it holds: small pieces are
/// copied together, for one may hold a whole receive buffer.
struct UploadQueue {
    private struct Piece {
        var bytes: ByteBuffer
        let storageBytes: Int
        /// Made here, so that nobody else holds its storage and more may be written behind.
        let isOwn: Bool
    }

    /// Pieces from this size on that fill most of their storage are held as they are.
    private static let wholePieceBytes = 4_096
    private static let largestOwnBytes = 16_384
    private static let smallestOwnBytes = 512

    private var pieces = FrontQueue<Piece>()
    private var ownBytes = smallestOwnBytes
    /// What is held, as the allocator counts it.
    private(set) var storageBytes = 0

    var isEmpty: Bool { pieces.isEmpty }

    mutating func append(_ bytes: ByteBuffer) {
        let count = bytes.readableBytes
        guard count > 0 else { return }
        if count >= Self.wholePieceBytes, count >= bytes.storageCapacity / 2 {
            push(Piece(bytes: bytes, storageBytes: bytes.storageCapacity, isOwn: false))
            return
        }
        var rest = bytes
        if !pieces.isEmpty, pieces[pieces.count - 1].isOwn {
            let room = min(pieces[pieces.count - 1].bytes.writableBytes, count)
            if room > 0, let begin = rest.readSlice(length: room) {
                pieces[pieces.count - 1].bytes.writeImmutableBuffer(begin)
            }
        }
        guard rest.readableBytes > 0 else { return }
        var own = ByteBufferAllocator().buffer(capacity: max(rest.readableBytes, ownBytes))
        own.writeImmutableBuffer(rest)
        ownBytes = min(2 * ownBytes, Self.largestOwnBytes)
        push(Piece(bytes: own, storageBytes: own.storageCapacity, isOwn: true))
    }

    private mutating func push(_ piece: Piece) {
        storageBytes += piece.storageBytes
        pieces.append(piece)
    }

    /// Moves as much as there is, or as `buffer` takes, and answers how much that was.
    mutating func take(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        var taken = 0
        while taken < buffer.count, !pieces.isEmpty {
            let count = min(pieces[0].bytes.readableBytes, buffer.count - taken)
            pieces[0].bytes.withUnsafeReadableBytes {
                UnsafeMutableRawBufferPointer(rebasing: buffer[taken...])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<count]))
            }
            taken += count
            if count < pieces[0].bytes.readableBytes {
                pieces[0].bytes.moveReaderIndex(forwardBy: count)
            } else {
                storageBytes -= pieces.popFirst()?.storageBytes ?? 0
            }
        }
        return taken
    }

    mutating func removeAll() {
        pieces.removeAll()
        storageBytes = 0
    }
}
