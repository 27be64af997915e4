import Glibc
@_spi(CustomByteBufferAllocator) import NIOCore

/// Memory of exactly the asked size under a ByteBuffer, and what the allocator holds for it.
///
/// ByteBuffer's own allocation rounds up to a power of two: 1,100 bytes would hold 2,048. This is the one
/// file that uses NIO's SPI for foreign memory; a test pins that it keeps its promise.
public enum ExactStorage {
    /// From this size on every allocation is a mapping of its own (``MemoryTier/configureAllocator()`` pins
    /// glibc's threshold, which would otherwise rise by itself), so that freeing it gives the memory back.
    static let mappingThreshold = 128 * 1024

    private static let pageBytes = 4096

    private static let allocator = ByteBufferAllocator(
        allocate: { malloc($0) },
        reallocate: { old, oldSize, newSize in ExactStorage.reallocate(old, oldSize, newSize) },
        deallocate: { pointer in
            if !PageArena.release(pointer) { free(pointer) }
        },
        copy: { target, source, count in target.copyMemory(from: source, byteCount: count) }
    )

    /// A buffer of `count` bytes that are yet to be written, and where they lie. `count` must not be 0.
    static func allocate(_ count: Int) -> (buffer: ByteBuffer, base: UnsafeMutableRawPointer) {
        precondition(count > 0 && count <= Int(UInt32.max), "a buffer holds 1 to 2^32 - 1 bytes")
        guard let base = malloc(count) else { fatalError("out of memory: \(count) bytes") }
        return (adopt(UnsafeMutableRawBufferPointer(start: base, count: count)), base)
    }

    /// A buffer over memory that `malloc` or a ``PageArena`` gave; it is freed with the buffer's last copy.
    static func adopt(_ memory: UnsafeMutableRawBufferPointer) -> ByteBuffer {
        ByteBuffer(takingOwnershipOf: memory, allocator: allocator)
    }

    /// A copy of `chunks`, one after the other, that holds no byte more than they do.
    public static func buffer(copying chunks: [ByteBuffer]) -> ByteBuffer {
        let count = chunks.reduce(0) { $0 + $1.readableBytes }
        guard count > 0 else { return ByteBuffer() }
        let (buffer, base) = allocate(count)
        var offset = 0
        for chunk in chunks {
            chunk.withUnsafeReadableBytes { bytes in
                guard let start = bytes.baseAddress else { return }
                base.advanced(by: offset).copyMemory(from: start, byteCount: bytes.count)
            }
            offset += chunk.readableBytes
        }
        return buffer
    }

    /// The bytes that glibc's malloc holds for a block of `count`: a header of 8 and rounding to 16, at
    /// least 32; a mapping of its own is whole pages with a header of 16.
    public static func heldBytes(_ count: Int) -> Int {
        if count == 0 { return 0 }
        if count >= mappingThreshold { return (count + 16 + pageBytes - 1) & ~(pageBytes - 1) }
        return max(32, (count + 8 + 15) & ~15)
    }

    /// The bytes held for an array of `count` bytes: its header is 32.
    static func heldArrayBytes(_ count: Int) -> Int { count == 0 ? 0 : heldBytes(count + 32) }

    /// The bytes held for the storage class of one ByteBuffer, beside the bytes it points to.
    static let bufferStorageBytes = heldBytes(64)

    /// Somebody grew a buffer of which he was the last holder. Pages of an arena don't grow: their bytes
    /// move to malloc.
    private static func reallocate(
        _ old: UnsafeMutableRawPointer?, _ oldSize: Int, _ newSize: Int
    ) -> UnsafeMutableRawPointer? {
        guard let old, PageArena.contains(old) else { return realloc(old, newSize) }
        guard let moved = malloc(newSize) else { return nil }
        moved.copyMemory(from: old, byteCount: min(oldSize, newSize))
        _ = PageArena.release(old)
        return moved
    }
}
