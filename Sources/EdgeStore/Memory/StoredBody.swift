import NIOCore

/// A body at rest: exactly sized memory under a ByteBuffer, or pages of a file in memory that `sendfile`
/// can serve.
public enum StoredBody: Sendable {
    case memory(ByteBuffer)
    case pages(PageExtent)
    /// Parts of a representation; never served without a look at what is missing.
    case sparse(SparseBody)

    /// Bytes of the whole body, also where parts of it are missing.
    public var count: Int {
        switch self {
        case .memory(let buffer): buffer.readableBytes
        case .pages(let extent): extent.count
        case .sparse(let body): Int(body.completeLength)
        }
    }

    /// Whether parts of the body may be missing.
    public var isSparse: Bool {
        if case .sparse = self { true } else { false }
    }

    /// The whole body as a buffer; without a copy, but for a sparse one, which has to be complete.
    public var buffer: ByteBuffer {
        switch self {
        case .memory(let buffer): buffer
        case .pages(let extent): extent.buffer
        case .sparse(let body): body.joined()
        }
    }

    /// The bytes that are held for the body, with what the allocator adds. A buffer counts with the whole
    /// storage under it, also where it shows but a part.
    public var heldBytes: Int {
        switch self {
        case .memory(let buffer):
            if buffer.storageCapacity == 0 { return 0 }
            return ExactStorage.heldBytes(buffer.storageCapacity) + ExactStorage.bufferStorageBytes
        case .pages(let extent):
            return extent.heldBytes + 2 * ExactStorage.bufferStorageBytes
        case .sparse(let body): return body.heldBytes
        }
    }
}
