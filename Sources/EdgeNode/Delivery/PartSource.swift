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
        case piece(Delivery.Piece)
        case wait
        case failed
    }

    /// What is sent of a file at once. Nothing of it is held in memory.
    private static let filePieceBytes = 1 << 20

    let completeLength: Int64
    private let validator: StrongValidator?
    private var body: StoredBody?
    private var fill: Fill?
    /// Whether the head of `fill` was seen to fit.
    private var isJudged = false
    /// Whether the pull before this one did not bring what it was asked for.
    private var isExact = false
    /// The block that was prepared last, by its first byte: it is sent without another look at the page cache.
    private var preparedBlock: Int64?
    private var isPreparing = false

    /// - Parameters:
    ///   - body: what is stored of the representation.
    ///   - fill: a pull whose head has come and fits.
    init(completeLength: Int64, validator: StrongValidator?, body: StoredBody?, fill: Fill?) {
        self.completeLength = completeLength
        self.validator = validator
        self.body = body
        self.fill = fill
        isJudged = fill != nil
    }

    /// The next bytes of `range`; of bytes in memory at most `limit`.
    func read(_ exchange: Exchange, _ range: Range<Int64>, limit: Int) -> Read {
        let limit = Int(min(Int64(limit), range.upperBound - range.lowerBound))
        while true {
            if isPreparing { return .wait }
            if let fill {
                switch read(fill, exchange, range.lowerBound, limit) {
                case .read(let read): return read
                case .elsewhere: break
                case .outside:
                    fill.detach(exchange)
                    self.fill = nil
                }
            }
            if let read = stored(exchange, range, limit) { return read }
            refresh(exchange)
            if let read = stored(exchange, range, limit) { return read }
            guard let validator else { return .failed }
            // An origin may send less than it is asked for (RFC 9110 15.3.7.1): then once just what is wanted.
            let ask: RangeAsk =
                isExact
                ? .bytes(range)
                : RangeAsk(hole: hole(range), wanted: range, completeLength: completeLength)
            detach(exchange)
            guard
                let gap = exchange.context.pull(
                    ask, validator: validator, for: exchange, sharesPull: !isExact)
            else { return .failed }
            fill = gap
            isJudged = false
        }
    }

    func detach(_ exchange: Exchange) {
        fill?.detach(exchange)
        fill = nil
    }

    private enum FillRead {
        case read(Read)
        /// The pull brought it, and it lies on disk by now.
        case elsewhere
        /// The pull does not bring it.
        case outside
    }

    private func read(_ fill: Fill, _ exchange: Exchange, _ offset: Int64, _ limit: Int) -> FillRead {
        let view = fill.view
        guard let head = view.head else {
            switch view.phase {
            case .pulling: return .read(.wait)
            case .streaming, .complete, .answered, .failed: return .read(.failed)
            }
        }
        guard let (range, length) = content(of: head) else { return .read(.failed) }
        guard range.contains(offset) else {
            if isJudged { return .outside }
            if isExact { return .read(.failed) }
            isExact = true
            return .outside
        }
        if !isJudged {
            guard length == completeLength, StrongValidator(head.clientFields) == validator,
                exchange.request.selecting.fit(of: head) != .none
            else { return .read(.failed) }
            isJudged = true
            isExact = false
        }
        let available = min(limit, Int(min(range.upperBound - offset, Int64(Int32.max))))
        switch fill.read(exchange, from: offset - range.lowerBound, limit: available) {
        case .bytes(let bytes): return .read(.piece(.bytes(bytes)))
        case .wait: return .read(.wait)
        case .onDisk: return .elsewhere
        case .gone: return .outside
        case .end, .failed: return .read(.failed)
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

    /// What is stored at the beginning of `range`; nil where it is missing.
    private func stored(_ exchange: Exchange, _ range: Range<Int64>, _ limit: Int) -> Read? {
        let offset = range.lowerBound
        switch body {
        case .none: return nil
        case .memory(let body):
            let count = min(limit, body.readableBytes - Int(offset))
            return body.getSlice(at: body.readerIndex + Int(offset), length: count).map { .piece(.bytes($0)) }
        case .pages(let extent):
            return .piece(.pages(extent, Int(offset)..<min(Int(offset) + limit, extent.count)))
        case .sparse(let body):
            switch body.part(from: offset, limit: limit) {
            case .missing: return nil
            case .bytes(let bytes): return .piece(.bytes(bytes))
            case .block(let block):
                guard let blocks = body.blocks else { return nil }
                return read(block, of: blocks, range, exchange)
            }
        }
    }

    private func read(_ block: DiskBlock, of blocks: DiskBlocks, _ range: Range<Int64>, _ exchange: Exchange)
        -> Read
    {
        let start = Int(range.lowerBound - block.range.lowerBound)
        let end = Int(min(range.upperBound, block.range.upperBound) - block.range.lowerBound)
        if let region = blocks.region(of: block) {
            let piece = region.slice(start..<min(end, start + Self.filePieceBytes))
            if preparedBlock == block.range.lowerBound || piece.isWarm { return .piece(.file(piece)) }
        }
        isPreparing = true
        let loop = exchange.eventLoop
        let source = NIOLoopBound(self, eventLoop: loop)
        blocks.prepare(block) { isThere in
            loop.execute {
                source.value.isPreparing = false
                source.value.preparedBlock = isThere ? block.range.lowerBound : nil
                exchange.fillChanged()
            }
        }
        return .wait
    }

    private func hole(_ range: Range<Int64>) -> Range<Int64> {
        guard case .sparse(let body) = body, let hole = body.hole(in: range) else {
            return 0..<completeLength
        }
        return hole
    }

    /// Looks again what is stored: other requests' pulls may have brought more.
    private func refresh(_ exchange: Exchange) {
        guard let validator, let current = exchange.context.stored(for: exchange),
            Int64(current.body.count) == completeLength, StrongValidator(current.fields) == validator
        else { return }
        body = current.body
    }
}
