import EdgeHTTP
import NIOCore

/// Reads the body of one request from a connection's bytes, by its framing.
final class UploadReader {
    enum Event {
        case content(ByteBuffer)
        case needMore
        case end
        case malformed
    }

    /// Content in smaller pieces is copied together: each would go on with the whole of what it came in.
    private static let wholePieceBytes = 4_096
    private static let gatheredBytes = 16_384

    /// Of a body with a length: what is still to come.
    private var remaining: UInt64 = 0
    private var decoder: ChunkedDecoder?
    private(set) var isOver = false
    /// Content bytes seen so far.
    private(set) var contentBytes: UInt64 = 0
    private(set) var trailers: FieldSection?

    init(_ framing: RequestFraming) {
        switch framing {
        case .none: preconditionFailure("a request without a body has nothing to read")
        case .length(let length): remaining = length
        case .chunked: decoder = ChunkedDecoder()
        }
    }

    /// Takes the next piece from `bytes`. With the last content of a counted body ``isOver`` is true; a
    /// chunked one ends with ``Event/end``.
    func next(_ bytes: inout ByteBuffer) -> Event {
        guard decoder != nil else { return nextCounted(&bytes) }
        switch decode(&bytes) {
        case .content(let range):
            let content = bytes.getSlice(at: bytes.readerIndex + range.lowerBound, length: range.count)
            bytes.moveReaderIndex(forwardBy: range.upperBound)
            contentBytes += UInt64(range.count)
            guard let content else { return .malformed }
            return .content(range.count < Self.wholePieceBytes ? gather(content, &bytes) : content)
        case .needMore:
            bytes.moveReaderIndex(forwardBy: bytes.readableBytes)
            return .needMore
        case .end(let consumed):
            bytes.moveReaderIndex(forwardBy: consumed)
            if let trailers = decoder?.trailers, !trailers.isEmpty { self.trailers = trailers }
            isOver = true
            return .end
        case .malformed: return .malformed
        }
    }

    private func nextCounted(_ bytes: inout ByteBuffer) -> Event {
        let count = Int(min(UInt64(bytes.readableBytes), remaining))
        guard count > 0, let content = bytes.readSlice(length: count) else { return .needMore }
        contentBytes += UInt64(count)
        remaining -= UInt64(count)
        isOver = remaining == 0
        return .content(content)
    }

    private func decode(_ bytes: inout ByteBuffer) -> ChunkedDecoder.Event {
        var offset = 0
        return bytes.withUnsafeReadableBytes { decoder?.next($0, from: &offset) ?? .malformed }
    }

    /// A small piece and the small ones that follow it, in storage of their own.
    private func gather(_ first: ByteBuffer, _ bytes: inout ByteBuffer) -> ByteBuffer {
        var gathered = ByteBufferAllocator().buffer(
            capacity: min(Self.gatheredBytes, first.readableBytes + bytes.readableBytes))
        gathered.writeImmutableBuffer(first)
        while gathered.readableBytes < Self.gatheredBytes, bytes.readableBytes > 0 {
            // What is no small piece is left to be read once more.
            let before = decoder
            guard case .content(let range) = decode(&bytes), range.count < Self.wholePieceBytes else {
                decoder = before
                break
            }
            if let more = bytes.getSlice(at: bytes.readerIndex + range.lowerBound, length: range.count) {
                gathered.writeImmutableBuffer(more)
            }
            bytes.moveReaderIndex(forwardBy: range.upperBound)
            contentBytes += UInt64(range.count)
        }
        return gathered
    }

    /// Whether the body ends within `bytes`, which are not taken: a client that sends no more has then sent
    /// it whole.
    func isWhole(in bytes: ByteBuffer?) -> Bool {
        if isOver { return true }
        guard var decoder else { return UInt64(bytes?.readableBytes ?? 0) >= remaining }
        return bytes?.withUnsafeReadableBytes { bytes in
            var offset = 0
            while true {
                switch decoder.next(bytes, from: &offset) {
                case .content: continue
                case .end: return true
                case .needMore, .malformed: return false
                }
            }
        } ?? false
    }
}
