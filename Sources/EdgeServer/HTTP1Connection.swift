import EdgeHTTP
import EdgeNode
import EdgePrimitives
import EdgeStore
import NIOCore
import NIOPosix

import struct Glibc.linger

/// One HTTP/1 connection of a client: bytes in, requests to the node in order, responses out.
///
/// A plain hit is answered on the spot: parse, look up, write. Everything else is an ``Exchange``, one at a time;
/// what the client pipelines behind it waits, unread past a bound.
///
///     idle ──head──▶ (plain hit) ──▶ idle
///      │    └──────▶ exchanging (upload and response) ──▶ idle | draining | lingering
///      └──refused──▶ lingering ──▶ closed
final class HTTP1Connection: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = IOData

    /// Bodies up to this size are copied behind their head: one vector less costs more than the copy.
    static let copiedBodyBytes = 4 * 1024

    /// Small answers to pipelined requests are gathered into one write up to this size.
    static let maxGatheredBytes = 128 * 1024

    enum Phase {
        case idle
        case exchanging
        /// The response is out; the rest of the request body is read and dropped.
        case draining
        /// Nothing more is answered; input is dropped until the client closes or the time is over.
        case lingering
        case closed
    }

    private let node: LoopContext
    private let limits: ConnectionLimits
    private let client: ClientAddress
    private let isTLS: Bool
    private let regions: RegionAllowance

    private(set) var context: ChannelHandlerContext?
    private(set) var phase = Phase.idle
    private var parser: RequestParser
    private var head = RequestHead()
    private(set) var input: ByteBuffer?
    private var exchange: Exchange?
    private var upload: UploadReader?
    /// The response of the exchange is complete, though its upload may not be.
    private var isResponseDone = false
    private var keepsAlive = true
    private var isInputClosed = false
    private var isReadPaused = false
    /// Whether the channel takes more, as it last said.
    private(set) var isWritable = true
    private var needsFlush = false
    private var isProcessing = false
    private var deadline = MonotonicTime(nanoseconds: .max)
    private var deadlineIsIdle = false
    /// Content of the upload that had been read when draining began.
    private var drainedFrom: UInt64 = 0
    private var direct = DirectOutput()
    private var progress = SendProgress()
    /// A plain hit was answered since the timer last looked.
    private var wasActive = false
    private var timer: Scheduled<Void>?
    /// When the bytes of a timed hit were read that is not flushed yet; 0: there is none.
    private var timedFrom: Int64 = 0

    init(
        node: LoopContext, limits: ConnectionLimits, client: ClientAddress, isTLS: Bool,
        regions: RegionAllowance
    ) {
        self.node = node
        self.limits = limits
        self.client = client
        self.isTLS = isTLS
        self.regions = regions
        parser = RequestParser(limits: limits.request)
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func channelActive(context: ChannelHandlerContext) {
        node.counters.connectionsAccepted.add(1)
        setDeadline(limits.idleMilliseconds)
        if !isTLS { direct.open(context) }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        node.counters.connectionsClosed.add(1)
        let wasOpen = exchange
        exchange = nil
        phase = .closed
        timer?.cancel()
        timer = nil
        wasOpen?.clientGone(uploadIncomplete: upload.map { !$0.isOver } ?? false)
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        if input == nil || input?.readableBytes == 0 {
            input = bytes
        } else {
            // What was read is dropped, or input that never ends on a request's end would only ever grow.
            input?.discardReadBytes()
            input?.writeImmutableBuffer(bytes)
        }
        direct.readBegan()
        process(context)
        direct.readEnded()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if needsFlush { flush(context) }
        if timedFrom != 0 { node.counters.timedHitFlushed(&timedFrom) }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        isWritable = context.channel.isWritable
        if isWritable {
            exchange?.connectionWritable()
            if phase == .idle {
                setReading(paused: false, context)
                processHeld(context)
            }
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .some(.inputClosed) = event as? ChannelEvent else {
            return context.fireUserInboundEventTriggered(event)
        }
        isInputClosed = true
        inputEnded(context)
    }

    private func inputEnded(_ context: ChannelHandlerContext) {
        switch phase {
        case .idle:
            // Whole requests that wait for room are still answered.
            if (input?.readableBytes ?? 0) == 0 || isWritable { closeWhenWritten(context) }
        case .draining, .lingering: closeWhenWritten(context)
        case .exchanging:
            // The client may have sent all it wants to say and still wait for the answers.
            if let upload, !upload.isWhole(in: input) { close(context) }
        case .closed: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { close(context) }

    /// The node drains: finish what is under way, take nothing new.
    func drain() {
        keepsAlive = false
        exchange?.endConnection()
        if phase == .idle, !parser.isInsideHead, (input?.readableBytes ?? 0) == 0, let context {
            closeWhenWritten(context)
        }
    }

    // MARK: Requests

    private func process(_ context: ChannelHandlerContext) {
        guard !isProcessing else { return }
        isProcessing = true
        defer { isProcessing = false }
        while input != nil {
            switch phase {
            case .idle:
                guard readRequests(context) else { return }
            case .exchanging:
                guard upload != nil, readUpload(context) else {
                    holdBack(context)
                    return
                }
            case .draining:
                guard drainUpload(context) else { return }
            case .lingering, .closed: input = nil
            }
            if input?.readableBytes == 0 { input = nil }
        }
        if isInputClosed { inputEnded(context) }
    }

    /// Goes on with what waits to be processed, unless a loop up the stack is about to.
    private func processHeld(_ context: ChannelHandlerContext) {
        guard !isProcessing, input != nil else { return }
        process(context)
        channelReadComplete(context: context)
    }

    /// Reads requests and answers plain hits, until one is something else.
    ///
    /// All that a hit touches is in local variables: the members of a class cost a check and a reference each time.
    ///
    /// - Returns: false when more bytes or more room are needed, or the connection ends.
    private func readRequests(_ context: ChannelHandlerContext) -> Bool {
        guard var bytes = input else { return true }
        input = nil
        var head = RequestHead()
        swap(&head, &self.head)
        defer { swap(&head, &self.head) }
        var output = ByteBuffer()
        node.swapScratch(&output)
        defer { node.swapScratch(&output) }
        var readAt = node.counters.bytesRead()
        while bytes.readableBytes > 0 {
            // A client that sends requests and takes no answers waits until it does.
            guard output.readableBytes < Self.maxGatheredBytes, isWritable else {
                send(&output, context)
                guard isWritable else {
                    input = bytes
                    setReading(paused: true, context)
                    return false
                }
                continue
            }
            switch bytes.withUnsafeReadableBytes({ parser.parse($0, into: &head) }) {
            case .incomplete:
                input = bytes
                send(&output, context)
                // What is missing of a head cannot come any more once the client has said all.
                if isInputClosed { closeWhenWritten(context) }
                if deadlineIsIdle || wasActive { setDeadline(limits.headMilliseconds, isIdle: false) }
                wasActive = false
                return false
            case .refused(let refusal):
                send(&output, context)
                refuse(refusal, context)
                return false
            case .complete(let consumed):
                bytes.moveReaderIndex(forwardBy: consumed)
            }
            if !keepsAlive { head.endConnection() }
            let logsHits = node.logsHits
            let started = logsHits ? SystemClock.monotonic() : MonotonicTime(nanoseconds: 0)
            if output.capacity == 0 { output.reserveCapacity(2048) }
            guard let hit = node.plainHit(head, isTLS: isTLS, into: &output) else {
                send(&output, context)
                if bytes.readableBytes > 0 { input = bytes }
                beginExchange(head, context)
                return true
            }
            finishHit(hit, context, &output)
            if readAt != 0 { timedFrom = node.counters.timedHitAnswered(&readAt) }
            if logsHits { node.logPlainHit(head, hit, client: client, started: started) }
            if !head.keepAlive {
                send(&output, context)
                linger(context)
                return false
            }
        }
        send(&output, context)
        return true
    }

    @inline(__always)
    private func finishHit(
        _ hit: LoopContext.PlainHit, _ context: ChannelHandlerContext, _ output: inout ByteBuffer
    ) {
        if hit.sendsBody {
            switch hit.stored.body {
            case .memory(let body):
                if body.readableBytes <= Self.copiedBodyBytes {
                    output.writeImmutableBuffer(body)
                } else {
                    enqueue(&output, context)
                    write(body, context)
                }
            case .pages(let extent):
                enqueue(&output, context)
                write(extent.slice(0..<extent.count), context)
            case .sparse:
                guard let region = hit.region else { preconditionFailure("a plain hit lacks its body") }
                enqueue(&output, context)
                write(region, context)
            }
        }
        wasActive = true
        if !deadlineIsIdle { setDeadline(limits.idleMilliseconds) }
    }

    private func beginExchange(_ head: RequestHead, _ context: ChannelHandlerContext) {
        phase = .exchanging
        isResponseDone = false
        setDeadline(.max / 4)
        upload = head.framing == .none ? nil : UploadReader(head.framing)
        let expects = head.expectsContinue
        node.begin(head, client: client, isTLS: isTLS, delegate: self) { exchange = $0 }
        if expects, upload != nil, exchange?.takesUpload == true, !isResponseDone {
            write(ByteBuffer(staticString: "HTTP/1.1 100 Continue\r\n\r\n"), context)
        }
        if upload != nil, phase == .exchanging { setDeadline(limits.stallMilliseconds) }
    }

    // MARK: Request bodies

    /// Hands upload bytes on; false: wait for room, or the body is over and what follows must wait its turn.
    private func readUpload(_ context: ChannelHandlerContext) -> Bool {
        guard var bytes = input, let upload, !upload.isOver, !isReadPaused else { return false }
        setDeadline(limits.stallMilliseconds)
        while !upload.isOver, bytes.readableBytes > 0 {
            switch upload.next(&bytes) {
            case .content(let content):
                let hasRoom = exchange?.receive(upload: content) ?? true
                if upload.isOver {
                    exchange?.receiveUploadEnd(trailers: nil)
                } else if !hasRoom {
                    input = bytes
                    setReading(paused: true, context)
                    return false
                }
            case .needMore: break
            case .end: exchange?.receiveUploadEnd(trailers: upload.trailers)
            case .malformed:
                input = nil
                let failed = exchange
                exchange = nil
                failed?.clientGone(uploadIncomplete: true)
                if isResponseDone || failed?.hasSentHead == true {
                    close(context)
                } else {
                    refuse(.malformedChunk, context)
                }
                return false
            }
        }
        input = bytes
        if upload.isOver {
            self.upload = nil
            setDeadline(.max / 4)
            if isResponseDone { becomeIdle(context) }
        }
        return true
    }

    private func drainUpload(_ context: ChannelHandlerContext) -> Bool {
        guard var bytes = input, let upload else {
            becomeIdle(context)
            return true
        }
        while !upload.isOver, bytes.readableBytes > 0 {
            if case .malformed = upload.next(&bytes) {
                close(context)
                return false
            }
        }
        input = bytes
        if upload.isOver {
            self.upload = nil
            becomeIdle(context)
        } else if upload.contentBytes - drainedFrom > limits.maxDrainBytes {
            linger(context)
            return false
        }
        return true
    }

    /// Input that cannot be used yet stays in the socket once a bound is reached.
    private func holdBack(_ context: ChannelHandlerContext) {
        if let held = input?.readableBytes, held > limits.maxPipelinedBytes {
            setReading(paused: true, context)
        }
    }

    private func setReading(paused: Bool, _ context: ChannelHandlerContext) {
        guard isReadPaused != paused else { return }
        isReadPaused = paused
        context.channel.setOption(.autoRead, value: !paused).whenFailure { _ in }
    }

    private func becomeIdle(_ context: ChannelHandlerContext) {
        guard keepsAlive, !isInputClosed || (input?.readableBytes ?? 0) > 0 else {
            linger(context)
            return
        }
        phase = .idle
        isResponseDone = false
        setReading(paused: false, context)
        setDeadline(limits.idleMilliseconds)
    }

    // MARK: Output

    @inline(__always)
    private func send(_ output: inout ByteBuffer, _ context: ChannelHandlerContext) {
        guard output.readableBytes > 0 else { return }
        let handed = output.readableBytes
        direct.send(&output, context)
        progress.handedBytes += Int64(handed - output.readableBytes)
        enqueue(&output, context)
    }

    /// Leaves `output` empty, and its storage to whoever writes into it next unless the channel has it now.
    @inline(__always)
    private func enqueue(_ output: inout ByteBuffer, _ context: ChannelHandlerContext) {
        guard output.readableBytes > 0 else {
            output.clear()
            return
        }
        var taken = ByteBuffer()
        swap(&taken, &output)
        write(taken, context)
    }

    @inline(__always)
    private func write(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        needsFlush = true
        direct.channelUsed()
        progress.handedBytes += Int64(bytes.readableBytes)
        context.write(wrapOutboundOut(.byteBuffer(bytes)), promise: nil)
    }

    /// Has the kernel send a part of a file.
    private func write(_ region: DiskRegion, _ context: ChannelHandlerContext) {
        guard let file = region.fileRegion(regions) else {
            if let bytes = region.bytes() { write(bytes, context) } else { close(context) }
            return
        }
        needsFlush = true
        direct.channelUsed()
        progress.handedBytes += Int64(region.count)
        let sent = context.eventLoop.makePromise(of: Void.self)
        sent.futureResult.whenComplete { [regions] _ in
            // Its bytes count as the store's until they are sent.
            withExtendedLifetime(region) { file.close(regions) }
        }
        context.write(wrapOutboundOut(.fileRegion(file)), promise: sent)
    }

    private func flush(_ context: ChannelHandlerContext) {
        needsFlush = false
        direct.channelUsed()
        context.flush()
    }

    func close(_ context: ChannelHandlerContext, mode: CloseMode = .all) {
        direct.channelUsed()
        context.close(mode: mode, promise: nil)
    }

    /// A refusal is written, the write side shut, and input read and dropped for a moment (RFC 9112 9.6): closing
    /// with unread input would reset the connection and could take the answer with it.
    private func refuse(_ refusal: RequestRefusal, _ context: ChannelHandlerContext) {
        node.refused(refusal, client: client)
        write(ByteBuffer(bytes: OwnAnswer.refusal(refusal)), context)
        linger(context)
    }

    private func linger(_ context: ChannelHandlerContext) {
        guard phase != .lingering, phase != .closed else { return }
        phase = .lingering
        input = nil
        flush(context)
        if isInputClosed {
            closeWhenWritten(context)
            return
        }
        setReading(paused: false, context)
        close(context, mode: .output)
        setDeadline(limits.lingerMilliseconds)
    }

    /// Closes once all that was written has gone out.
    private func closeWhenWritten(_ context: ChannelHandlerContext) {
        let channel = context.channel
        direct.channelUsed()
        let written = context.writeAndFlush(wrapOutboundOut(.byteBuffer(ByteBuffer())))
        written.whenComplete { _ in channel.close(promise: nil) }
    }

    // MARK: Deadlines

    /// One timer for a connection: it looks at the deadline when it fires and goes on from there, so that setting a
    /// deadline costs a store.
    private func setDeadline(_ milliseconds: Int64, isIdle: Bool? = nil) {
        deadlineIsIdle = isIdle ?? (milliseconds == limits.idleMilliseconds)
        let now = SystemClock.monotonic()
        deadline = milliseconds > 1_000_000_000 ? MonotonicTime(nanoseconds: .max) : now + milliseconds
        if timer == nil || milliseconds < limits.headMilliseconds {
            armTimer(after: min(milliseconds, 5_000))
        }
    }

    private func armTimer(after milliseconds: Int64) {
        guard let context else { return }
        // It holds the connection until it fires or the connection ends; ``Exchange/delegate`` says why not weakly.
        timer?.cancel()
        let loop = context.eventLoop.assumeIsolated()
        timer = loop.scheduleTask(in: .milliseconds(milliseconds)) { self.timerFired() }
    }

    private func timerFired() {
        timer = nil
        guard let context, phase != .closed else { return }
        let now = SystemClock.monotonic()
        if isSending(context, now) { return }
        if wasActive, phase == .idle {
            wasActive = false
            (deadline, deadlineIsIdle) = (now + limits.idleMilliseconds, true)
        }
        if now < deadline {
            let left = deadline.nanoseconds == .max ? 5_000 : deadline.milliseconds(since: now) + 1
            armTimer(after: max(1, min(5_000, left)))
        } else if phase == .idle, (input?.readableBytes ?? 0) > 0 {
            refuse(.headTimeout, context)
        } else {
            close(context)
        }
    }

    /// While output is on its way, one thing counts: that the client takes some of it now and then. Other deadlines
    /// wait, and lingering begins when the last byte has gone.
    private func isSending(_ context: ChannelHandlerContext, _ now: MonotonicTime) -> Bool {
        let pending = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        context.channel.readAcknowledgedBytes { self.progress.ackedBytes = $0 }
        switch progress.look(pending: Int64(pending), now: now) {
        case .empty(let isNew):
            if isNew, phase == .lingering { deadline = now + limits.lingerMilliseconds }
            return false
        case .waiting(let stalled):
            if stalled >= limits.stallMilliseconds {
                close(context)
            } else {
                armTimer(after: 1_000)
            }
            return true
        }
    }
}

extension HTTP1Connection: ExchangeDelegate {
    var exchangeMaySend: Bool { context != nil && isWritable }

    func exchange(_ exchange: Exchange, send bytes: ByteBuffer) {
        if let context { write(bytes, context) }
    }

    func exchange(_ exchange: Exchange, send extent: PageExtent, range: Range<Int>) {
        if let context { write(extent.slice(range), context) }
    }

    func exchange(_ exchange: Exchange, send region: DiskRegion) {
        if let context { write(region, context) }
    }

    func exchangeFlush(_ exchange: Exchange) {
        if let context { flush(context) }
    }

    func exchangeFinished(_ exchange: Exchange, keepAlive: Bool) {
        guard let context, phase == .exchanging else { return }
        keepsAlive = keepsAlive && keepAlive
        self.exchange = nil
        isResponseDone = true
        if let upload, !upload.isOver {
            // RFC 9112 9.3: the rest of the body is read, or the connection closed.
            guard keepsAlive else {
                linger(context)
                return
            }
            phase = .draining
            drainedFrom = upload.contentBytes
            isReadPaused = true
            setReading(paused: false, context)
        } else {
            becomeIdle(context)
        }
        // What was pipelined behind this exchange.
        processHeld(context)
    }

    func exchangeAborted(_ exchange: Exchange, needsReset: Bool) {
        guard let context else { return }
        self.exchange = nil
        phase = .lingering
        if needsReset, let socket = context.channel as? any SocketOptionProvider {
            _ = socket.setSoLinger(Glibc.linger(l_onoff: 1, l_linger: 0))
        }
        // Neither a last chunk nor the promised length was sent: the client sees that the body is not whole.
        close(context)
    }

    func exchangeResumeUpload(_ exchange: Exchange) {
        guard let context, phase == .exchanging else { return }
        setReading(paused: false, context)
        processHeld(context)
    }
}
