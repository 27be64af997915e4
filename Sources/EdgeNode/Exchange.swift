import EdgeHTTP
import EdgeOrigin
import EdgePolicy
import EdgePrimitives
import EdgeStore
import NIOCore

/// What an exchange needs of the connection it answers on. All calls happen on the connection's event loop.
public protocol ExchangeDelegate: AnyObject {
    /// Whether the connection takes more bytes without holding too many.
    var exchangeMaySend: Bool { get }
    func exchange(_ exchange: Exchange, send bytes: ByteBuffer)
    func exchange(_ exchange: Exchange, send extent: PageExtent, range: Range<Int>)
    func exchange(_ exchange: Exchange, send region: DiskRegion)
    func exchangeFlush(_ exchange: Exchange)
    /// The response is complete.
    func exchangeFinished(_ exchange: Exchange, keepAlive: Bool)
    /// The response cannot be completed: the connection must end in a way the client cannot take for a clean end.
    ///
    /// - Parameter needsReset: the client would take the end of the connection for the end of the body.
    func exchangeAborted(_ exchange: Exchange, needsReset: Bool)
    /// The upload's buffer has room again.
    func exchangeResumeUpload(_ exchange: Exchange)
}

/// The life of one request that is not answered by a plain hit: an event comes in (the fill changed, the connection
/// has room, upload bytes came, the client left), an action goes out to the delegate or the fill.
///
///     begun ──▶ waiting (on a fill's head) ──▶ delivering (head sent, body on its way) ──▶ done
///       │ └──▶ loading (from disk) ──▶ begun        │
///       └───────────── stored answer, refusal ─────▶┘
///
// Sendable because a fill holds it; every access happens on `eventLoop`.
public final class Exchange: @unchecked Sendable {
    /// Rounds of sending, of up to half a mebibyte each, before other connections of the loop have their turn.
    private static let maxRounds = 8

    enum Phase {
        case begun
        /// What is on disk is being read.
        case loading
        /// A purge is being written down.
        case purging
        case waiting(Fill, isLeader: Bool)
        case delivering(Delivery)
        case done
    }

    let context: LoopContext
    public var eventLoop: any EventLoop { context.eventLoop }
    /// Nil once the client has gone.
    /// Let go of when the response or the client is gone: a weak reference would slow every hit of a connection,
    /// since an object that has one counts its references in a side table.
    private(set) var delegate: (any ExchangeDelegate)?
    let request: ExchangeRequest
    var phase = Phase.begun
    /// How the request went forward, for Cache-Status.
    var forward = CacheStatus.Forward.uriMiss
    var forwardReason: Reason?
    /// The stored response that this request's pull validates.
    var candidate: StoredResponse?
    /// The stored parts that this request's pull adds to.
    var base: StoredResponse?
    /// Set when parts could not be joined: pull the whole.
    var asksWhole = false
    /// What the disk has under the key; nil until it was asked.
    var loaded: [StoredResponse]?
    /// Something was found that a purge hides.
    var isPurged = false
    /// Where the log of purges stood before the store was last looked at for this request. Its pulls carry it: what
    /// they validate, or are joined with, is no newer.
    var position: PurgePosition
    /// How many pulls of the key there may be before this request waits for one of them.
    var collapseWidth = 1
    /// The surrogate keys of the parts that are being sent.
    var partTags: [[UInt8]] = []
    var record: AccessRecord
    var upload: PullHandle?
    private var interimsSent = 0
    private var staleTimer: Scheduled<Void>?
    var keepAlive: Bool
    private var isPumping = false

    init(context: LoopContext, delegate: any ExchangeDelegate, request: ExchangeRequest) {
        self.context = context
        self.delegate = delegate
        self.request = request
        keepAlive = request.head.keepAlive
        position = context.node.store.stamps.head
        record = AccessRecord(request)
    }

    /// The request goes to the origin.
    func went(_ forward: CacheStatus.Forward, _ reason: Reason) {
        self.forward = forward
        forwardReason = reason
    }

    var node: Node { context.node }
    var head: RequestHead { request.head }

    // MARK: Events from the connection

    /// Upload content; false: wait for ``ExchangeDelegate/exchangeResumeUpload(_:)``.
    public func receive(upload bytes: ByteBuffer) -> Bool {
        upload?.send(bytes) ?? true
    }

    public func receiveUploadEnd(trailers: FieldSection?) {
        upload?.finishUpload(trailers: trailers)
    }

    /// The connection ends after this answer, which says so if its head has not gone out (RFC 9112 9.6).
    public func endConnection() { keepAlive = false }

    /// Whether a final head went out.
    public var hasSentHead: Bool { record.status != 0 }

    /// Whether upload bytes have anywhere to go.
    public var takesUpload: Bool { upload != nil }

    /// The connection has room again.
    public func connectionWritable() {
        if case .delivering = phase { pump() }
    }

    /// The client has gone. A fill that others may use goes on without it.
    public func clientGone(uploadIncomplete: Bool) {
        delegate = nil
        staleTimer?.cancel()
        if uploadIncomplete { upload?.abortUpload() }
        switch phase {
        case .waiting(let fill, _): fill.detach(self)
        case .delivering(let delivery): delivery.detach(self)
        case .begun, .loading, .purging, .done: break
        }
        if case .done = phase { return }
        phase = .done
        record.isAborted = true
        context.finish(&record)
    }

    // MARK: Events from the fill

    func uploadWritable() {
        delegate?.exchangeResumeUpload(self)
    }

    func fillChanged() {
        switch phase {
        case .waiting(let fill, let isLeader): advance(fill, isLeader: isLeader)
        case .delivering: pump()
        case .begun, .loading, .purging, .done: break
        }
    }

    /// Waits for `fill`; starts it where this request leads.
    func wait(for fill: Fill, isLeader: Bool) {
        guard fill.attach(self) else {
            context.continueAlone(self, mayCollapse: false)
            return
        }
        phase = .waiting(fill, isLeader: isLeader)
        if isLeader { fill.start() }
        if request.head.framing != .none { upload = fill.handle }
        armStaleTimer(fill)
        advance(fill, isLeader: isLeader)
    }

    /// `stale.after`: an operator's permission to answer stale when the pull takes its time.
    private func armStaleTimer(_ fill: Fill) {
        guard let stored = candidate, let after = request.rules.caching.stale.afterMilliseconds,
            request.missing(in: stored) == nil
        else { return }
        let allowed = node.mayServeStale(stored, .slow, request.rules.caching, now: context.wallNow())
        guard let reason = allowed else { return }
        staleTimer = context.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(after)) {
            [weak self] in
            guard let self, case .waiting(let fill, _) = self.phase, fill.view.head == nil else { return }
            fill.detach(self)
            // What goes on behind the answer is the GET.
            if self.request.head.method == .head { self.context.pullBehind(self, stored, nil) }
            self.serve(stored, as: .hit, outcome: .stale, reason: reason)
        }
    }

    private func advance(_ fill: Fill, isLeader: Bool) {
        sendInterims(fill, isLeader: isLeader)
        guard case .waiting = phase else { return }
        let view = fill.view
        switch view.phase {
        case .pulling: return
        case .answered(let answer):
            settle(fill)
            serve(answer, isLeader: isLeader)
        case .failed(let failure) where view.head == nil:
            settle(fill)
            refuse(failure)
        case .streaming, .complete, .failed:
            guard let head = view.head else { return }
            staleTimer?.cancel()
            let isSelected = request.selecting.fit(of: head) != .none
            let isShared = head.isShared && isSelected && !request.hasCredentials
            if !isLeader, !isShared, !head.isReusable || !isSelected {
                fill.detach(self)
                if head.response.status >= 400, head.refusal != nil {
                    context.continueAfterError(self)
                    return
                }
                // RFC 9111 4: what may not be reused for this request sends it to a pull of its own.
                context.continueAlone(self, mayCollapse: head.isReusable)
                return
            }
            if !isLeader, !isShared, !view.isKeeping, case .streaming = view.phase, head.hasBody {
                // What is not kept is held for one reader: with more, the slowest would set the pace.
                fill.detach(self)
                context.continueAlone(self, mayCollapse: false)
                return
            }
            respond(fill, head, view, isLeader: isLeader)
        }
    }

    private func settle(_ fill: Fill) {
        staleTimer?.cancel()
        fill.detach(self)
    }

    private func sendInterims(_ fill: Fill, isLeader: Bool) {
        let interims = fill.interims(from: interimsSent)
        interimsSent += interims.count
        guard request.head.minorVersion >= 1, let delegate, !interims.isEmpty else { return }
        for interim in interims {
            var writer = HeadWriter(status: interim.status, reason: interim.reason)
            var fields = interim.fields
            HopByHop.strip(&fields)
            // RFC 9110 8.6: no length in a 1xx.
            fields.remove(.contentLength)
            // Whether the final response is for followers is not known yet.
            if !isLeader { fields.remove(.setCookie) }
            writer.append(fields)
            writer.endLine()
            delegate.exchange(self, send: ByteBuffer(bytes: writer.bytes))
        }
        delegate.exchangeFlush(self)
    }

    private func serve(_ answer: FillAnswer, isLeader: Bool) {
        switch answer {
        case .revalidated(let stored, let cookies, let isForAll):
            if !isLeader {
                // Another Vary than before may select it for the leader alone.
                let isSelected = request.selecting.fit(of: stored) != .none
                // A follower shares a validation only where the result may be reused without another (no-cache).
                guard isForAll, isSelected, Reuse.isPlainlyFresh(stored.metadata, now: context.wallNow())
                else {
                    context.continueAlone(self, mayCollapse: isForAll && !isSelected)
                    return
                }
            }
            record.originStatus = 304
            if let ask = request.missing(in: stored) {
                context.complete(self, stored, ask)
                return
            }
            let forwarded = ForwardOutcome(status: 304, isStored: isForAll, isCollapsed: !isLeader)
            serve(
                stored, as: .forwarded(forwarded), outcome: .revalidated, reason: .revalidated,
                cookies: isLeader ? cookies : nil)
        case .stale(let stored, let reason, let status):
            record.originStatus = status
            guard request.missing(in: stored) == nil else {
                refuse(
                    status: status == nil ? 504 : 502, reason: .originUnreachable,
                    error: .destinationUnavailable,
                    details: "part of what is stored is missing, and the origin failed", outcome: .error,
                    extra: [])
                return
            }
            let forwarded = ForwardOutcome(status: status, isStored: false, isCollapsed: !isLeader)
            serve(stored, as: .forwarded(forwarded), outcome: .stale, reason: reason)
        }
    }

    // MARK: Responses of a fill

    private func respond(_ fill: Fill, _ head: FillHead, _ view: Fill.View, isLeader: Bool) {
        record.originStatus = head.response.status
        if let ask = fill.plan.ask, head.part == nil, [206, 416].contains(head.response.status),
            base != nil || !ask.isOwn(request.head.fields, status: head.response.status)
        {
            // It answers a range that this client did not ask for.
            fill.detach(self)
            context.pullUnranged(self)
            return
        }
        let isPass = fill.plan.kind == .pass
        let outcome: RequestOutcome = isPass || head.refusal != nil ? .pass : .miss
        let reason = head.refusal ?? forwardReason
        var status = CacheStatus(outcome: .forward(forward))
        status.fwdStatus = head.response.status
        status.stored = view.isKeeping || view.stored != nil
        status.collapsed = !isLeader
        // Storable, and yet not kept: there was no room for it.
        status.detail = head.metadata != nil && !status.stored ? .tooLarge : reason
        if status.stored, let metadata = head.metadata {
            let now = context.wallNow()
            status.ttlSeconds = ttlSeconds(metadata, now)
        }
        if let part = head.part {
            respond(part, fill, head, status, outcome, isLeader: isLeader)
            return
        }
        record.set(outcome, reason)
        let answer = FillResponse(fill: fill, head: head, cacheStatus: status, isLeader: isLeader)
        // A pass is answered as the origin did. What was pulled whole is cut to what this client asked for.
        guard !isPass, head.response.status == 200 else {
            sendWhole(answer)
            return
        }
        // Without its length, a response can be told to be unmodified and nothing else.
        let length = head.contentLength ?? .max
        let shape = Representation.shape(
            for: request, status: 200, fields: head.clientFields, length: length)
        switch shape {
        case .notModified:
            fill.detach(self)
            send(shape, of: answer.representation(length: 0, source: .none))
        case .single where head.contentLength != nil:
            send(
                shape,
                of: answer.representation(length: length, source: source(fill, head)))
        case .whole, .single, .multiple, .unsatisfiable: sendWhole(answer)
        }
    }

    /// Whether a purge has come since this request looked at the store that covers parts with these surrogate keys.
    /// What is pulled from then on must not be joined with them, though it have the same validator.
    func isPurged(_ tags: [[UInt8]]) -> Bool {
        node.store.stamps.verdict(pulledAt: position, keyText: request.keyText, tags: tags) == .hidden
    }

    /// Answers from a pull of a range, with what is stored and what later pulls bring.
    private func respond(
        _ part: PartialContent, _ fill: Fill, _ head: FillHead, _ status: CacheStatus,
        _ outcome: RequestOutcome, isLeader: Bool
    ) {
        partTags = head.tags
        if let base, isPurged(base.tags) || isPurged(partTags) {
            fill.detach(self)
            self.base = nil
            context.decide(self)
            return
        }
        let length = part.completeLength
        let validator = StrongValidator(head.clientFields)
        var shape = Representation.shape(
            for: request, status: 200, fields: head.clientFields, length: length)
        var joined: StoredResponse?
        if let base, let validator, StrongValidator(base.fields) == validator,
            Int64(base.body.count) == length
        {
            joined = base
        }
        let isCovered = shape.needs(of: length).allSatisfy {
            part.range.lowerBound <= $0.lowerBound && $0.upperBound <= part.range.upperBound
        }
        let isKept = status.stored
        if !isCovered, validator == nil || (joined == nil && base != nil) {
            // What is missing cannot be proved to be of the same representation.
            guard case .single = shape, isLeader, base == nil,
                fill.plan.ask?.isOwn(request.head.fields, status: 206) == true
            else {
                fill.detach(self)
                context.pullUnranged(self)
                return
            }
            // The origin answers with a range of its own choice, and says so (RFC 9110 15.3.7.1).
            shape = .single(part.range)
        } else if validator == nil, !isKept, case .multiple = shape {
            // Read in the order that the client wants, parts may be gone before their turn.
            fill.detach(self)
            context.pullUnranged(self)
            return
        }
        record.set(outcome, head.refusal ?? forwardReason)
        let answer = FillResponse(fill: fill, head: head, cacheStatus: status, isLeader: isLeader)
        let needsBody = request.head.method != .head && !shape.needs(of: length).isEmpty
        if !needsBody { fill.detach(self) }
        let source = PartSource(
            completeLength: length, validator: validator, body: joined?.body ?? fill.spooledBody(length),
            fill: needsBody ? fill : nil)
        send(shape, of: answer.representation(length: length, source: .parts(source)))
    }

    private func sendWhole(_ answer: FillResponse) {
        let head = answer.head
        var writer = HeadWriter(status: head.response.status, reason: head.response.reason)
        var fields = answer.fields
        request.rules.edit(&fields, now: context.wallNow())
        writer.append(fields)
        if head.metadata != nil, head.initialAgeSeconds > 0, !request.rules.ownsLifetime {
            writer.append(.age, decimal: Int(head.initialAgeSeconds))
        }
        writer.append(answer.cacheStatus)
        var segments: [Delivery.Segment] = []
        // A 204 has no length and a 304's is the selected representation's, where the origin gave it.
        if let length = head.contentLength, head.response.status != 204 {
            writer.append(.contentLength, decimal: Int(length))
            if head.hasBody { segments = [.span(0..<length)] }
        } else if head.hasBody {
            if request.head.minorVersion >= 1 {
                writer.append("Transfer-Encoding: chunked\r\n")
            } else {
                keepAlive = false
            }
            segments = [.rest(from: 0)]
        }
        if request.head.method == .head { segments = [] }
        start(
            writer, status: head.response.status,
            Delivery(source: source(answer.fill, head), segments: segments))
    }

    /// Where the body of a fill is read from: what goes to disk as it comes may be there only, for who is late.
    private func source(_ fill: Fill, _ head: FillHead) -> Delivery.Source {
        guard let length = head.contentLength, let body = fill.spooledBody(length) else { return .fill(fill) }
        return .parts(
            PartSource(
                completeLength: length, validator: StrongValidator(head.clientFields), body: body, fill: fill)
        )
    }

    /// Lifetime less age, both in whole seconds, so that ttl and the Age field add up.
    func ttlSeconds(_ metadata: StoredMetadata, _ now: WallTime) -> Int64 {
        metadata.freshnessLifetimeMilliseconds / 1000 - metadata.currentAgeMilliseconds(at: now) / 1000
    }

    // MARK: Sending

    /// Sends a head and begins the body.
    func start(_ head: HeadWriter, status: Int, _ delivery: Delivery) {
        guard let delegate else {
            delivery.detach(self)
            return
        }
        var writer = head
        writer.finish(keepAlive: keepAlive, minorVersion: request.head.minorVersion)
        record.status = status
        record.headSent = SystemClock.monotonic()
        delegate.exchange(self, send: ByteBuffer(bytes: writer.bytes))
        phase = .delivering(delivery)
        pump()
    }

    /// Sends what there is while the connection takes it.
    private func pump() {
        guard !isPumping, case .delivering(var delivery) = phase, let delegate else { return }
        isPumping = true
        var outcome = Pumped.full
        var rounds = 0
        // A flush may make room at once, and its event then finds this function busy: so look again.
        repeat {
            outcome = send(&delivery, delegate)
            if case .delivering = phase { phase = .delivering(delivery) }
            delegate.exchangeFlush(self)
            rounds += 1
        } while outcome == .full && delegate.exchangeMaySend && self.delegate != nil
            && rounds < Self.maxRounds
        isPumping = false
        if outcome == .full, delegate.exchangeMaySend, rounds == Self.maxRounds {
            // A client that takes all it gets must not keep its loop from the others.
            eventLoop.execute { self.connectionWritable() }
        }
        guard case .delivering = phase else { return }
        switch outcome {
        case .full, .waiting: break
        case .failed: abort(delivery)
        case .ended:
            delivery.detach(self)
            finish()
        }
    }

    /// Why a round of sending stopped.
    private enum Pumped {
        /// The connection takes no more for now.
        case full
        /// The fill has no more for now.
        case waiting
        case ended
        case failed
    }

    private func send(_ delivery: inout Delivery, _ delegate: any ExchangeDelegate) -> Pumped {
        while delegate.exchangeMaySend {
            switch delivery.next(self) {
            case .send(.bytes(let bytes)):
                record.bodyBytes += Int64(bytes.readableBytes)
                delegate.exchange(self, send: bytes)
            case .send(.pages(let extent, let range)):
                record.bodyBytes += Int64(range.count)
                delegate.exchange(self, send: extent, range: range)
            case .send(.file(let region)):
                record.bodyBytes += Int64(region.count)
                delegate.exchange(self, send: region)
            case .sendChunk(let bytes):
                record.bodyBytes += Int64(bytes.readableBytes)
                sendChunk(bytes, delegate)
            case .wait: return .waiting
            case .end(let trailers):
                if isChunked(delivery) { sendLastChunk(trailers, delegate) }
                return .ended
            case .failed: return .failed
            }
        }
        return .full
    }

    private func isChunked(_ delivery: Delivery) -> Bool {
        !delivery.hasLength && request.head.minorVersion >= 1
    }

    private func sendChunk(_ bytes: ByteBuffer, _ delegate: any ExchangeDelegate) {
        guard request.head.minorVersion >= 1 else {
            delegate.exchange(self, send: bytes)
            return
        }
        var prefix = ByteBuffer()
        prefix.writeString(String(bytes.readableBytes, radix: 16))
        prefix.writeStaticString("\r\n")
        delegate.exchange(self, send: prefix)
        delegate.exchange(self, send: bytes)
        delegate.exchange(self, send: ByteBuffer(staticString: "\r\n"))
    }

    private func sendLastChunk(_ trailers: FieldSection?, _ delegate: any ExchangeDelegate) {
        var last: [UInt8] = Array("0\r\n".utf8)
        if let trailers { Self.mergeable(trailers).serialise(into: &last) }
        last.append(contentsOf: [Octet.cr, Octet.lf])
        delegate.exchange(self, send: ByteBuffer(bytes: last))
    }

    /// RFC 9110 6.5.1: nothing in a trailer section that frames, routes or steers the message.
    private static func mergeable(_ trailers: FieldSection) -> FieldSection {
        var fields = trailers
        HopByHop.strip(&fields)
        let barred = FieldNameSet(
            .contentLength, .transferEncoding, .host, .trailer, .cacheControl, .age, .expires, .date,
            .location,
            .vary, .setCookie, .contentType, .contentEncoding, .contentRange, .authorization, .cacheStatus)
        fields.removeAll { _, line in barred.contains(line.name) }
        return fields
    }

    /// Whether the client takes the end of the connection for the end of the body.
    public var endsWithConnection: Bool {
        guard case .delivering(let delivery) = phase else { return false }
        return !delivery.hasLength && request.head.minorVersion == 0
    }

    private func abort(_ delivery: Delivery) {
        delivery.detach(self)
        record.isAborted = true
        record.reason = .originIncomplete
        let looksClean = endsWithConnection
        phase = .done
        let last = delegate
        delegate = nil
        last?.exchangeFlush(self)
        last?.exchangeAborted(self, needsReset: looksClean)
        context.finish(&record)
    }

    func finish() {
        phase = .done
        context.finish(&record)
        let last = delegate
        delegate = nil
        last?.exchangeFinished(self, keepAlive: keepAlive)
    }
}
