import NIOCore

/// A body's range of a ``PageArena``: page-aligned in its file, and mapped.
///
/// The range is freed when this and every buffer that shows it are gone. Whoever hands the file range to
/// `sendfile` keeps the extent (or a buffer of it) until the kernel has taken the bytes.
///
/// `@unchecked`: `base` is written by one ``BodySlab`` only, beyond the bytes that it published.
public final class PageExtent: @unchecked Sendable {
    /// The arena's file.
    public let fileDescriptor: CInt
    /// Where the body starts in the file.
    public let offset: Int
    /// Bytes of the body.
    public let count: Int
    /// The whole body over the mapping; every copy and slice keeps the extent's memory.
    public let buffer: ByteBuffer
    let base: UnsafeMutableRawPointer

    init(fileDescriptor: CInt, offset: Int, count: Int, view: ByteBuffer, base: UnsafeMutableRawPointer) {
        self.fileDescriptor = fileDescriptor
        self.offset = offset
        self.count = count
        buffer = view
        self.base = base
    }

    /// Bytes of the pages that the extent holds.
    public var heldBytes: Int { PageArena.pageCount(count) * PageArena.pageBytes }

    /// The part `range` of the body, over the mapping.
    public func slice(_ range: Range<Int>) -> ByteBuffer {
        guard let slice = buffer.getSlice(at: range.lowerBound, length: range.count) else {
            preconditionFailure("\(range) is not within \(count) bytes")
        }
        return slice
    }
}
