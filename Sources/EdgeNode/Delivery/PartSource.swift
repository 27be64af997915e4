import EdgeHTTP
import EdgePolicy
import EdgeStore
import NIOCore

/// The body of a representation of which parts are stored and parts are not: what is stored is taken from there, what
/// is missing from pulls of those bytes, one after the other as the delivery comes to them.
///
/// All parts are of one representation: a pull that brings another one ends the delivery as a failure, since its bytes
/// must not follow those that were sent. Confined to the exchange's event loop.
final class PartSource {
    enum Read {
        case bytes(ByteBuffer)
        case wait
        case failed
    }

    let completeLength: Int64
    private let validator: StrongValidator?
    private var stored: StoredResponse?
    private var fill: Fill?
    /// Whether the head of `fill` was seen to fit.
    private var isJudged = false

    /// - Parameters:
    ///   - stored: what is stored of the representation.
    ///   - fill: a pull whose head has come and fits.
    init(completeLength: Int64, validator: StrongValidator?, stored: StoredResponse?, fill: Fill?) {
        self.completeLength = completeLength
        self.validator = validator
        self.stored = stored
        self.fill = fill
        isJudged = fill != nil
    }

    /// The next bytes of `range`, at most `limit` of them.
    func read(_ exchange: Exchange, _ range: Range<Int64>, limit: Int) -> Read {
        let offset = range.lowerBound
        while true {
            if let fill {
                switch read(fill, exchange, offset, limit) {
                case .some(let read): return read
                case .none: break
                }
                fill.detach(exchange)
                self.fill = nil
            }
            if let bytes = storedBytes(offset, limit) { return .bytes(bytes) }
            refresh(exchange)
            if let bytes = storedBytes(offset, limit) { return .bytes(bytes) }
            guard let validator else { return .failed }
            let ask = RangeAsk(hole: hole(range), wanted: range, completeLength: completeLength)
            guard let gap = exchange.context.pull(ask, validator: validator, for: exchange) else {
                return .failed
            }
            fill = gap
            isJudged = false
        }
    }

    func detach(_ exchange: Exchange) {
        fill?.detach(exchange)
        fill = nil
    }

    /// What the pull has at `offset`; nil where that lies outside of what it brings.
    private func read(_ fill: Fill, _ exchange: Exchange, _ offset: Int64, _ limit: Int) -> Read? {
        let view = fill.view
        guard let head = view.head else {
            switch view.phase {
            case .pulling: return .wait
            case .streaming, .complete, .answered, .failed: return .failed
            }
        }
        guard let (range, length) = content(of: head), range.contains(offset) else {
            return isJudged ? nil : .failed
        }
        if !isJudged {
            guard length == completeLength, StrongValidator(head.clientFields) == validator,
                head.secondaryKey?.matches(exchange.request.head.fields) ?? true
            else { return .failed }
            isJudged = true
        }
        let available = min(limit, Int(min(range.upperBound - offset, Int64(Int32.max))))
        switch fill.read(exchange, from: offset - range.lowerBound, limit: available) {
        case .bytes(let bytes): return .bytes(bytes)
        case .wait: return .wait
        case .end, .failed: return .failed
        }
    }

    /// Which bytes of how many a pull brings: a part, or the whole that others had asked for. Where that tells no
    /// length, an equal validator is proof enough that it has the same.
    private func content(of head: FillHead) -> (range: Range<Int64>, completeLength: Int64)? {
        if let part = head.part { return (part.range, part.completeLength) }
        guard head.response.status == 200 else { return nil }
        let length = head.contentLength ?? completeLength
        return (0..<length, length)
    }

    private func storedBytes(_ offset: Int64, _ limit: Int) -> ByteBuffer? {
        switch stored?.body {
        case .none: nil
        case .sparse(let body): body.bytes(from: offset, limit: limit)
        case .memory(let body):
            body.getSlice(
                at: body.readerIndex + Int(offset), length: min(limit, body.readableBytes - Int(offset)))
        case .pages(let extent): extent.slice(Int(offset)..<min(Int(offset) + limit, extent.count))
        }
    }

    private func hole(_ range: Range<Int64>) -> Range<Int64> {
        guard case .sparse(let body) = stored?.body, let hole = body.hole(in: range) else {
            return 0..<completeLength
        }
        return hole
    }

    /// Looks again what is stored: other requests' pulls may have brought more.
    private func refresh(_ exchange: Exchange) {
        guard let validator, let current = exchange.context.stored(for: exchange.request),
            Int64(current.body.count) == completeLength, StrongValidator(current.fields) == validator
        else { return }
        stored = current
    }
}
