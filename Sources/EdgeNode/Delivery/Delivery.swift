import EdgeHTTP
import EdgePolicy
import EdgeStore
import NIOCore

/// The body of one response on its way to one client: segments of a source, taken as the connection has room.
struct Delivery {
    /// The most that is handed to the connection at once, so that a slow client shows progress.
    static let pieceBytes = 256 * 1024

    enum Source {
        case none
        case memory(ByteBuffer)
        case pages(PageExtent)
        case fill(Fill)
        case parts(PartSource)

        init(_ stored: StoredResponse) {
            switch stored.body {
            case .memory(let bytes): self = .memory(bytes)
            case .pages(let extent): self = .pages(extent)
            case .sparse(let body):
                self = .parts(
                    PartSource(
                        completeLength: body.completeLength, validator: StrongValidator(stored.fields),
                        body: stored.body, fill: nil))
            }
        }
    }

    enum Segment {
        case literal(ByteBuffer)
        /// Bytes of the source's body.
        case span(Range<Int64>)
        /// All of a fill from this offset to its end, whose length is not known.
        case rest(from: Int64)
    }

    /// Bytes for the socket.
    enum Piece {
        case bytes(ByteBuffer)
        case pages(PageExtent, Range<Int>)
        /// Checked bytes of a file.
        case file(DiskRegion)

        var count: Int {
            switch self {
            case .bytes(let bytes): bytes.readableBytes
            case .pages(_, let range): range.count
            case .file(let region): region.count
            }
        }
    }

    enum Step {
        case send(Piece)
        /// Content of a body without a length.
        case sendChunk(ByteBuffer)
        case wait
        case end(FieldSection?)
        case failed
    }

    let source: Source
    /// Whether the client was told the length of the body.
    let hasLength: Bool
    private var segments: [Segment]
    private var index = 0

    init(source: Source, segments: [Segment]) {
        self.source = source
        self.segments = segments
        hasLength = !segments.contains { if case .rest = $0 { true } else { false } }
    }

    /// The delivery is over or given up: pulls that it reads from lose a reader.
    func detach(_ exchange: Exchange) {
        switch source {
        case .none, .memory, .pages: break
        case .fill(let fill): fill.detach(exchange)
        case .parts(let parts): parts.detach(exchange)
        }
    }

    /// The next thing to do for `exchange`.
    mutating func next(_ exchange: Exchange) -> Step {
        guard index < segments.count else { return .end(nil) }
        switch segments[index] {
        case .literal(let bytes):
            index += 1
            return .send(.bytes(bytes))
        case .span(let range):
            if range.isEmpty {
                index += 1
                return next(exchange)
            }
            return take(range, exchange)
        case .rest(let offset):
            guard case .fill(let fill) = source else { preconditionFailure("only a fill has no length") }
            switch fill.read(exchange, from: offset, limit: Self.pieceBytes) {
            case .bytes(let bytes):
                segments[index] = .rest(from: offset + Int64(bytes.readableBytes))
                return .sendChunk(bytes)
            case .wait: return .wait
            case .failed, .onDisk, .gone: return .failed
            case .end(let trailers):
                index += 1
                return .end(trailers)
            }
        }
    }

    private mutating func take(_ range: Range<Int64>, _ exchange: Exchange) -> Step {
        let limit = Int(min(Int64(Self.pieceBytes), range.upperBound - range.lowerBound))
        let start = Int(range.lowerBound)
        let step: Step
        let taken: Int
        switch source {
        case .none: preconditionFailure("a span needs a source")
        case .memory(let body):
            guard let slice = body.getSlice(at: body.readerIndex + start, length: limit) else {
                preconditionFailure("a span lies outside its body")
            }
            step = .send(.bytes(slice))
            taken = limit
        case .pages(let extent):
            step = .send(.pages(extent, start..<(start + limit)))
            taken = limit
        case .fill(let fill):
            switch fill.read(exchange, from: range.lowerBound, limit: limit) {
            case .bytes(let bytes):
                step = .send(.bytes(bytes))
                taken = bytes.readableBytes
            case .wait: return .wait
            // A body that ends before its length is an error, never an end.
            case .end, .failed, .onDisk, .gone: return .failed
            }
        case .parts(let parts):
            switch parts.read(exchange, range, limit: limit) {
            case .piece(let piece):
                step = .send(piece)
                taken = piece.count
            case .wait: return .wait
            case .failed: return .failed
            }
        }
        segments[index] = .span((range.lowerBound + Int64(taken))..<range.upperBound)
        return step
    }
}
