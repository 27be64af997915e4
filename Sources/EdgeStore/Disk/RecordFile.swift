import EdgePrimitives
import NIOCore

/// Reading whole records: off the event loops, every byte checked.
struct RecordFile {
    let header: RecordHeader
    let head: [UInt8]
    let body: ByteBuffer

    /// Whether the body has the checksum that the header names.
    var isBodyProved: Bool {
        body.withUnsafeReadableBytes { CRC32C.checksum($0) } == header.bodyChecksum
    }

    /// The record at `location`; nil where it cannot be read, or its header or head section does not prove itself.
    /// The body is as it lies there, see ``isBodyProved``.
    static func read(_ location: RecordLocation, in segment: Segment) -> RecordFile? {
        guard let bytes = readBytes(location.length, at: location.offset, in: segment) else { return nil }
        return bytes.withUnsafeReadableBytes { record -> RecordFile? in
            guard record.count >= DiskFormat.headerBytes, let header = RecordHeader(record),
                header.generation == location.generation
            else { return nil }
            let headEnd = DiskFormat.headerBytes + Int(header.headBytes)
            let bodyEnd = Int(header.bodyOffset) + Int(header.bodyBytes)
            guard headEnd <= Int(header.bodyOffset), bodyEnd <= record.count else { return nil }
            let head = Array(record[DiskFormat.headerBytes..<headEnd])
            guard CRC32C.checksum(head) == header.headChecksum,
                let body = bytes.getSlice(
                    at: bytes.readerIndex + Int(header.bodyOffset), length: Int(header.bodyBytes))
            else { return nil }
            return RecordFile(header: header, head: head, body: body)
        }
    }

    /// Exactly `count` bytes at `offset`; nil where there are fewer, or the disk fails.
    static func readBytes(_ count: Int, at offset: Int64, in segment: Segment) -> ByteBuffer? {
        guard count > 0 else { return ByteBuffer() }
        let (buffer, base) = ExactStorage.allocate(count)
        let memory = UnsafeMutableRawBufferPointer(start: base, count: count)
        do {
            guard try segment.file.read(into: memory, at: offset) == count else { return nil }
        } catch {
            return nil
        }
        return buffer
    }
}
