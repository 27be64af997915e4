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

    private enum Framing {
        case length(remaining: UInt64)
        case chunked(ChunkedDecoder)
    }

    private var framing: Framing
    private(set) var isOver = false
    /// Content bytes seen so far.
    private(set) var contentBytes: UInt64 = 0
    private(set) var trailers: FieldSection?

    init(_ framing: RequestFraming) {
        switch framing {
        case .none: preconditionFailure("a request without a body has nothing to read")
        case .length(let length): self.framing = .length(remaining: length)
        case .chunked: self.framing = .chunked(ChunkedDecoder())
        }
    }

    /// Takes the next piece from `bytes`. With the last content of a counted body ``isOver`` is true; a chunked one
    /// ends with ``Event/end``.
    func next(_ bytes: inout ByteBuffer) -> Event {
        switch framing {
        case .length(let remaining):
            let count = Int(min(UInt64(bytes.readableBytes), remaining))
            guard count > 0, let content = bytes.readSlice(length: count) else { return .needMore }
            contentBytes += UInt64(count)
            framing = .length(remaining: remaining - UInt64(count))
            isOver = remaining == UInt64(count)
            return .content(content)
        case .chunked(var decoder):
            var offset = 0
            let event = bytes.withUnsafeReadableBytes { decoder.next($0, from: &offset) }
            framing = .chunked(decoder)
            switch event {
            case .content(let range):
                let content = bytes.getSlice(at: bytes.readerIndex + range.lowerBound, length: range.count)
                bytes.moveReaderIndex(forwardBy: offset)
                contentBytes += UInt64(range.count)
                return .content(content ?? ByteBuffer())
            case .needMore:
                bytes.moveReaderIndex(forwardBy: offset)
                return .needMore
            case .end(let consumed):
                bytes.moveReaderIndex(forwardBy: consumed)
                trailers = decoder.trailers.isEmpty ? nil : decoder.trailers
                isOver = true
                return .end
            case .malformed: return .malformed
            }
        }
    }

}
