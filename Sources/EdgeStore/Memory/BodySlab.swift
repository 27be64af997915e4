import NIOCore
import Synchronization

/// Exactly sized storage of one body, filled by one writer while readers take slices of what is published.
///
/// The writer appends beyond the published bytes and publishes them with a release store; a reader that has
/// seen a count may read so many bytes and no more. Published bytes never change and never move, so a slice
/// is a reference.
///
/// `@unchecked`: `base` is written by the one writer only, beyond what `published` covers.
public final class BodySlab: @unchecked Sendable {
    /// The bytes that the body will have.
    public let capacity: Int
    private let storage: StoredBody
    private let base: UnsafeMutableRawPointer?
    private let published = Atomic<Int>(0)

    /// Storage for `capacity` bytes: on the heap, or in `arena` where one is given and has room.
    public init(capacity: Int, in arena: PageArena? = nil) {
        precondition(capacity >= 0)
        self.capacity = capacity
        if capacity == 0 {
            storage = .memory(ByteBuffer())
            base = nil
        } else if let extent = arena?.allocate(capacity) {
            storage = .pages(extent)
            base = extent.base
        } else {
            let (buffer, start) = ExactStorage.allocate(capacity)
            storage = .memory(buffer)
            base = start
        }
    }

    /// Published bytes.
    public var count: Int { published.load(ordering: .acquiring) }

    /// Whether every byte is there.
    public var isFull: Bool { count == capacity }

    /// Appends and publishes `bytes`; false, and nothing appended, when they would overflow. Writer only.
    public func append(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let count = published.load(ordering: .relaxed)
        guard bytes.count <= capacity - count else { return false }
        guard let source = bytes.baseAddress, let base, !bytes.isEmpty else { return true }
        base.advanced(by: count).copyMemory(from: source, byteCount: bytes.count)
        published.store(count + bytes.count, ordering: .releasing)
        return true
    }

    /// Published bytes `range`, sharing the storage.
    public func slice(_ range: Range<Int>) -> ByteBuffer {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "\(range) is not published")
        guard let slice = storage.buffer.getSlice(at: range.lowerBound, length: range.count) else {
            preconditionFailure("\(range) is not within \(capacity) bytes")
        }
        return slice
    }

    /// The whole body, sharing the storage; only once it is full.
    public func body() -> ByteBuffer {
        precondition(isFull, "the body has \(count) of \(capacity) bytes")
        return storage.buffer
    }

    /// The body as a stored response keeps it; only once it is full.
    public func storedBody() -> StoredBody {
        precondition(isFull, "the body has \(count) of \(capacity) bytes")
        return storage
    }
}
