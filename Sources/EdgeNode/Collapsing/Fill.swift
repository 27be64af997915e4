import EdgeHTTP
import EdgeOrigin
import EdgePolicy
import EdgePrimitives
import EdgeStore
import NIOCore
import Synchronization

/// One origin pull and the response that grows from it, shared by the request that leads and those that follow.
///
/// The pull thread writes, event loops read. Every change wakes each loop that has readers once; a reader then asks
/// what is new. Nothing polls.
///
///     pulling ──head──▶ streaming ──completed──▶ complete
///        │ 304, stale allowed      └──failed──▶ failed
///        ├──────────────▶ answered
///        └──failed──────▶ failed
final class Fill: Sendable {
    /// Bytes that a response which is not kept may be ahead of its slowest reader.
    static let windowBytes: Int64 = 1 << 20
    /// How far one of several readers of such a response may be behind the newest bytes before it loses its place:
    /// the fastest sets the pace, or a slow one would slow all the others.
    static let lagBytes: Int64 = 8 << 20

    enum Phase: Sendable {
        case pulling
        case streaming
        case complete
        case answered(FillAnswer)
        case failed(PullFailure)
    }

    struct Reader {
        let exchange: Exchange
        var offset: Int64
    }

    struct LoopReaders {
        let loop: any EventLoop
        var readers: [Reader]
        var wakePending = false
    }

    struct State {
        var phase = Phase.pulling
        var head: FillHead?
        var interims: [ResponseHead] = []
        var slab: BodySlab?
        var spool: Spool?
        var reservedBytes = 0
        var chunks = ChunkQueue()
        var received: Int64 = 0
        var trailers: FieldSection?
        var loops: [LoopReaders] = []
        /// Whether the response is to be stored when complete.
        var isKeeping = false
        var isDiscarded = false
        var isPaused = false
        /// Set while a second pull without conditions replaces the first.
        var attempt = 0
        var handle: PullHandle?
        var stored: StoredResponse?
    }

    let plan: FillPlan
    let node: Node
    /// When the request went out (RFC 9111 4.2.3, request_time).
    let requestTime: WallTime
    let state = Mutex(State())
    private let selecting: FieldValues

    init(plan: FillPlan, node: Node) {
        self.plan = plan
        self.node = node
        requestTime = SystemClock.wall()
        selecting = FieldValues(plan.requestFields)
        node.pullPositions.began(at: plan.position)
    }

    deinit {
        node.pullPositions.ended(at: plan.position)
    }

    // MARK: Pull control

    /// Starts the pull. Readers may have attached before.
    func start() {
        node.fillCounts.started(plan.kind)
        begin(plan.pull, attempt: 0)
    }

    func begin(_ request: PullRequest, attempt: Int) {
        let handle = node.pulls.pull(request, sink: sink(number: attempt))
        state.withLock { state in
            if state.attempt == attempt { state.handle = handle }
        }
    }

    var handle: PullHandle? { state.withLock { $0.handle } }

    /// The response is not to be kept: its key was invalidated or purged while it was on its way.
    func discard() {
        let abandoned: PullHandle? = state.withLock { state in
            state.isDiscarded = true
            state.isKeeping = false
            // Nobody waits and nothing is kept: what the pull still brings would only fill its window.
            let hasReaders = state.loops.contains { !$0.readers.isEmpty }
            return hasReaders || state.head == nil ? nil : state.handle
        }
        abandoned?.cancel()
    }

    /// Whether a request with these selecting fields, which would ask the origin for `ask`, may wait for this fill: its
    /// response selects them and holds those bytes, as far as is known.
    func mayServe(_ request: SelectingFields, hint: VaryRule?, ask: RangeAsk?) -> Bool {
        if let own = plan.ask, !(ask.map(own.covers) ?? false) { return false }
        let (head, isJoinable): (FillHead?, Bool) = state.withLock { state in
            switch state.phase {
            case .failed, .answered, .complete: (nil, false)
            case .pulling: (nil, true)
            // The body has to be there from its first byte on.
            case .streaming: (state.head, state.isKeeping || state.slab != nil)
            }
        }
        guard isJoinable, !isOutdated(head) else { return false }
        if let head { return head.isReusable && request.fit(of: head) != .none }
        // What is validated is what the answer may be.
        if let stored = plan.stored, request.fit(of: stored) == .none { return false }
        guard let hint else { return true }
        return request.agrees(with: selecting, by: hint)
    }

    /// Whether a purge has come since the pull was planned that may cover what it brings: requests from then on get
    /// none of it.
    private func isOutdated(_ head: FillHead?) -> Bool {
        guard node.store.stamps.head != plan.position else { return false }
        return node.store.stamps.verdict(pulledAt: plan.position, keyText: plan.keyText, tags: head?.tags)
            != .untouched
    }

    // MARK: Readers (on their event loop)

    /// False: the body's beginning is gone already, and this fill cannot serve another reader.
    func attach(_ exchange: Exchange) -> Bool {
        state.withLock { state in
            guard state.chunks.base == 0 || state.spool != nil else { return false }
            let reader = Reader(exchange: exchange, offset: 0)
            if let index = state.loops.firstIndex(where: { $0.loop === exchange.eventLoop }) {
                state.loops[index].readers.append(reader)
            } else {
                state.loops.append(LoopReaders(loop: exchange.eventLoop, readers: [reader]))
            }
            return true
        }
    }

    func detach(_ exchange: Exchange) {
        var cancelled: PullHandle?
        var resumed: PullHandle?
        state.withLock { state in
            for index in state.loops.indices {
                state.loops[index].readers.removeAll { $0.exchange === exchange }
            }
            let hasReaders = state.loops.contains { !$0.readers.isEmpty }
            // Without readers a pull goes on only for a response that is, or may turn out to be, kept.
            if !hasReaders, !state.isKeeping, state.head != nil || plan.kind == .pass {
                cancelled = state.handle
            }
            if hasReaders { resumed = trim(&state) }
        }
        cancelled?.cancel()
        resumed?.resume()
    }

    struct View {
        let phase: Phase
        let head: FillHead?
        let isKeeping: Bool
        let stored: StoredResponse?
    }

    var view: View {
        state.withLock { View(phase: $0.phase, head: $0.head, isKeeping: $0.isKeeping, stored: $0.stored) }
    }

    func interims(from index: Int) -> [ResponseHead] {
        state.withLock { $0.interims.count > index ? Array($0.interims[index...]) : [] }
    }

    enum Read {
        case bytes(ByteBuffer)
        case wait
        case end(FieldSection?)
        /// Those bytes are in memory no more: they were written to disk.
        case onDisk
        /// Those bytes are in memory no more, and nowhere else: all readers were past them.
        case gone
        case failed
    }

    /// Bytes of the body from `offset`, at most `limit`; they share the fill's storage.
    func read(_ exchange: Exchange, from offset: Int64, limit: Int) -> Read {
        var resumed: PullHandle?
        let result: Read = state.withLock { state in
            guard offset >= state.chunks.base else { return state.spool == nil ? .gone : .onDisk }
            if offset < state.received {
                let bytes = slice(&state, offset, limit)
                note(&state, exchange, offset + Int64(bytes.readableBytes))
                resumed = trim(&state)
                return .bytes(bytes)
            }
            // A reader of a range wants nothing of what comes before it.
            note(&state, exchange, offset)
            resumed = trim(&state)
            switch state.phase {
            case .complete: return .end(state.trailers)
            case .failed: return .failed
            case .pulling, .streaming, .answered: return .wait
            }
        }
        resumed?.resume()
        return result
    }

    private func slice(_ state: inout State, _ offset: Int64, _ limit: Int) -> ByteBuffer {
        if let slab = state.slab {
            let start = Int(offset)
            return slab.slice(start..<min(Int(state.received), start + limit))
        }
        return state.chunks.read(at: offset, limit: limit)
    }

    private func note(_ state: inout State, _ exchange: Exchange, _ offset: Int64) {
        guard !state.isKeeping || state.slab == nil else { return }
        guard let loop = state.loops.firstIndex(where: { $0.loop === exchange.eventLoop }) else { return }
        guard let reader = state.loops[loop].readers.firstIndex(where: { $0.exchange === exchange }) else {
            return
        }
        state.loops[loop].readers[reader].offset = offset
    }

    /// Drops chunks that every reader has had, where nothing is kept; returns the pull to resume.
    func trim(_ state: inout State) -> PullHandle? {
        if state.isKeeping, state.spool != nil { return trimSpooled(&state) }
        guard !state.isKeeping, state.slab == nil else { return nil }
        let offsets = state.loops.flatMap { loop in loop.readers.map { max($0.offset, 0) } }
        var slowest = offsets.min() ?? state.received
        if offsets.count > 1 { slowest = max(slowest, state.received - Self.lagBytes) }
        state.chunks.drop(before: slowest)
        guard state.isPaused, unread(state) <= Self.windowBytes / 2 else { return nil }
        state.isPaused = false
        return state.handle
    }

    /// How far a response that is not kept is ahead of who reads it: of the only reader, or of the fastest.
    func unread(_ state: borrowing State) -> Int64 {
        var fastest = state.chunks.base
        var count = 0
        for loop in state.loops {
            for reader in loop.readers {
                fastest = max(fastest, reader.offset)
                count += 1
            }
        }
        return state.received - (count > 1 ? fastest : state.chunks.base)
    }

    /// Whether the pull is to wait until who reads has read more.
    func isAheadOfReaders(_ state: borrowing State) -> Bool {
        // Readers are looked through only where what is held may be too much.
        guard !state.isKeeping, state.received - state.chunks.base > Self.windowBytes else { return false }
        return unread(state) > Self.windowBytes
    }

    // MARK: Waking

    /// Wakes every loop that has readers, once.
    func wake(_ state: inout State) -> [any EventLoop] {
        var loops: [any EventLoop] = []
        for index in state.loops.indices
        where !state.loops[index].wakePending && !state.loops[index].readers.isEmpty {
            state.loops[index].wakePending = true
            loops.append(state.loops[index].loop)
        }
        return loops
    }

    func deliver(to loops: [any EventLoop]) {
        for loop in loops {
            loop.execute {
                let readers: [Reader] = self.state.withLock { state in
                    guard let index = state.loops.firstIndex(where: { $0.loop === loop }) else { return [] }
                    state.loops[index].wakePending = false
                    return state.loops[index].readers
                }
                for reader in readers { reader.exchange.fillChanged() }
            }
        }
    }

    func forEachReader(_ body: @escaping @Sendable (Exchange) -> Void) {
        let readers = state.withLock {
            $0.loops.flatMap { loop in loop.readers.map { (loop.loop, $0.exchange) } }
        }
        for (loop, exchange) in readers { loop.execute { body(exchange) } }
    }
}
