import EdgeHTTP
import EdgeOrigin
import EdgePolicy
import EdgePrimitives
import EdgeStore
import NIOCore
import Synchronization

// MARK: - What the pull brings (on the pull thread)

extension Fill {
    /// Takes what the pull of that number brings.
    func sink(number: Int) -> any PullSink { FillAttempt(fill: self, number: number) }

    fileprivate func isCurrent(_ attempt: Int) -> Bool { state.withLock { $0.attempt == attempt } }

    fileprivate func interim(_ head: ResponseHead) {
        // 100 answers an Expect that was never sent on; 102 and above are the client's (RFC 9110 15.2).
        guard head.status != 100 else { return }
        state.withLock { $0.interims.append(head) }
    }

    fileprivate func received(head: ResponseHead) {
        let now = SystemClock.wall()
        let monotonic = SystemClock.monotonic()
        node.outages.pullSucceeded(plan.origin, now: monotonic)
        switch plan.kind {
        case .pass:
            guard head.status != 304 || plan.asksCondition else {
                unaskedNotModified()
                return
            }
            node.settlePass(plan, head, requestTime: requestTime)
            if plan.isHead, answeredStale(head, now) { return }
            if let stored = postHead(head, now: now) {
                proceed(with: stored, keep: true)
            } else {
                proceed(with: passHead(head), keep: false)
            }
        case .cacheable:
            if head.status == 304 {
                guard plan.isConditional, let stored = plan.stored, !isUnconditional else {
                    unaskedNotModified()
                    return
                }
                validated(stored, by: head, now: now)
                return
            }
            if answeredStale(head, now) { return }
            if head.status == 416, plan.ask != nil, let stored = plan.stored {
                // Its length has changed, so it is another representation now.
                node.store.remove(stored)
            }
            let isFailure = [500, 502, 503, 504].contains(head.status)
            if !isFailure { node.marks.pullSucceeded(plan.key) }
            let fillHead = cacheableHead(head, traits: plan.traits, now: now)
            if withdraws(head, fillHead) {
                node.withdraw(plan, hasVary: head.fields.contains(.vary), requestTime: requestTime)
            }
            if fillHead.isReusable {
                node.marks.clearHitForMiss(plan.key)
            } else {
                if saysOfOthers(fillHead) { node.marks.markHitForMiss(plan.key, now: monotonic) }
                node.collapser.leave(self)
            }
            proceed(with: fillHead, keep: fillHead.metadata != nil)
        }
    }

    /// Whether a response that may not be reused foretells what others will get, so that they need not wait for each
    /// other. Not one that is this request's own doing, and not an error of which the origin says nothing: the next
    /// answer may be a page, and a crowd that comes for it is what the origin can bear least.
    private func saysOfOthers(_ head: FillHead) -> Bool {
        switch head.refusal {
        case .authorization, .range, .clientNoStore, .method: false
        case .noFreshness, .setCookie, .statusNotStorable: head.response.status < 400
        default: true
        }
    }

    /// Whether the answer takes back what is stored: the target is gone, or its new representation is not to be
    /// stored, so that the old one must not come back when that one cannot be had. What was made for somebody's
    /// credentials says nothing of what others see, and every other error speaks of this request or this moment.
    private func withdraws(_ head: ResponseHead, _ judged: FillHead) -> Bool {
        switch head.status {
        case 404, 410, 451: return true
        case 200..<400:
            guard let refusal = judged.refusal, !plan.hasCredentials else { return false }
            switch refusal {
            case .authorization, .range, .clientNoStore, .method: return false
            // Of what we asked for a part of, one that cannot be placed says nothing.
            case .partial: return plan.ask == nil
            default: return true
            }
        default: return false
        }
    }

    /// Answers with what is stored where it may stand in for an error of the origin.
    private func answeredStale(_ head: ResponseHead, _ now: WallTime) -> Bool {
        guard let stored = plan.stored, let reason = staleInsteadOf(head, stored, now) else { return false }
        node.marks.pullFailed(
            plan.key, .serverError(status: head.status), origin: plan.origin,
            now: SystemClock.monotonic())
        answer(.stale(stored, reason, forwardStatus: head.status))
        return true
    }

    /// A 304 that neither we nor the client asked for says nothing that anybody could use (RFC 9110 15.4.5).
    private func unaskedNotModified() {
        failed(
            PullFailure(
                kind: .protocolError, side: .origin, retry: .no,
                detail: "304 to a request without conditions"))
    }

    /// Whether the pull that runs is the second one, without conditions.
    private var isUnconditional: Bool { state.withLock { $0.attempt > 0 } }

    private func staleInsteadOf(_ head: ResponseHead, _ stored: StoredResponse, _ now: WallTime) -> Reason? {
        guard [500, 502, 503, 504].contains(head.status) else { return nil }
        return node.mayServeStale(stored, .serverError(status: head.status), plan.rules, now: now)
    }

    private func passHead(_ head: ResponseHead) -> FillHead {
        let hasBody = !plan.isHead && head.status != 204 && head.status != 304
        return FillHead(
            response: head,
            clientFields: ResponseFields.forClient(
                head.fields, status: head.status, receivedAt: SystemClock.wall()),
            contentLength: Self.length(head),
            hasBody: hasBody, metadata: nil, refusal: nil, isReusable: false, secondaryKey: nil)
    }

    /// The head of a POST's response that later GETs may have: explicitly fresh, and a representation of its target.
    private func postHead(_ head: ResponseHead, now: WallTime) -> FillHead? {
        guard plan.mayStorePost?(head) == true else { return nil }
        let stored = cacheableHead(head, traits: RequestTraits(getFrom: plan.traits), now: now)
        guard let metadata = stored.metadata else { return nil }
        switch metadata.freshnessSource {
        case .cdnCacheControl, .sMaxage, .maxAge, .expires: return stored
        case .heuristic, .rule, .none: return nil
        }
    }

    private func cacheableHead(_ head: ResponseHead, traits: RequestTraits, now: WallTime) -> FillHead {
        let part = plan.ask == nil ? nil : PartialContent(head)
        // A part is stored as what it is a part of (RFC 9111 3.4).
        var judged = head
        if part != nil {
            judged.status = 200
            judged.fields.remove(.contentRange)
        }
        var verdict = Storability.decide(
            request: traits, response: judged, rules: plan.rules, requestTime: requestTime, responseTime: now)
        let length = part.map { $0.range.upperBound - $0.range.lowerBound } ?? Self.length(head)
        if case .storable = verdict, let whole = part?.completeLength ?? length,
            whole > node.maxStoredBytes(plan.rules)
        {
            verdict = .notStorable(.tooLarge)
        }
        // It answers a range that may not be the client's own.
        if head.status == 416, plan.ask != nil { verdict = .notStorable(.range) }
        let hasBody = head.status != 204 && head.status != 304
        switch verdict {
        case .notStorable(let reason):
            // What is gone is gone for all who waited; an error of another kind may be one request's own.
            let isShared =
                [404, 410].contains(head.status) && reason == .noFreshness && !plan.hasCredentials
                && Storability.fieldsToDrop(response: judged).isEmpty
            var fields = ResponseFields.forClient(judged.fields, status: head.status, receivedAt: now)
            if plan.rules.cookies == .strip { fields.remove(.setCookie) }
            return FillHead(
                response: head,
                clientFields: fields,
                contentLength: length, part: part,
                hasBody: hasBody, metadata: nil, refusal: reason, isReusable: false,
                isShared: isShared, secondaryKey: isShared ? secondaryKey(head.fields) : nil)
        case .storable(let metadata):
            let drop = Storability.fieldsToDrop(response: judged)
            var fields = ResponseFields.forStorage(
                judged.fields, drop: drop, status: judged.status, receivedAt: now)
            if plan.rules.cookies == .strip { fields.remove(.setCookie) }
            let reusable: Bool
            switch Reuse.decide(metadata, request: traits, rules: plan.rules, now: now, softPurgedAt: nil) {
            case .fresh, .staleWhileRevalidate: reusable = true
            case .validate: reusable = false
            }
            var leaderFields: FieldSection?
            if !drop.isEmpty {
                leaderFields = ResponseFields.forStorage(
                    judged.fields, drop: [], status: judged.status, receivedAt: now)
            }
            return FillHead(
                response: head, clientFields: fields, leaderFields: leaderFields, contentLength: length,
                part: part,
                hasBody: hasBody, metadata: metadata,
                refusal: nil, isReusable: reusable, secondaryKey: secondaryKey(head.fields))
        }
    }

    /// What selects a response with these fields for later requests; nil where it has no Vary.
    private func secondaryKey(_ fields: FieldSection) -> SecondaryKey? {
        SecondaryKey(request: plan.requestFields, response: fields)
    }

    private static func length(_ head: ResponseHead) -> Int64? {
        guard let value = head.fields.first(.contentLength) else { return nil }
        return Int64(String(decoding: value, as: UTF8.self))
    }

    private func proceed(with head: FillHead, keep: Bool) {
        var cancelled: PullHandle?
        var isRefused = false
        let wanted = keep && head.hasBody ? Int(head.contentLength ?? 0) : 0
        let isLarge = Int64(wanted) > node.spooledBytes
        var reserved =
            wanted > 0 && !isLarge && node.store.reserveFill(bytes: wanted, mayTrim: true) ? wanted : 0
        var needed = wanted
        var spool: Spool?
        // What memory has no room for goes to disk as it comes.
        if reserved < wanted, let made = makeSpool(head, bytes: Int64(wanted)) {
            spool = made
            needed = min(wanted, made.memoryBytes)
        }
        if reserved < needed, node.store.reserveFill(bytes: needed, mayTrim: true) { reserved = needed }
        let slab = spool == nil && reserved > 0 ? node.makeSlab(reserved) : nil
        state.withLock { state in
            state.head = head
            state.phase = .streaming
            state.isKeeping = keep && !state.isDiscarded && reserved == needed
            isRefused = keep && !state.isKeeping
            state.slab = slab
            state.spool = state.isKeeping ? spool : nil
            state.reservedBytes = reserved
            if !state.isKeeping, state.loops.allSatisfy({ $0.readers.isEmpty }) { cancelled = state.handle }
        }
        // What is not kept serves those who wait and nobody after them.
        if isRefused { node.collapser.leave(self) }
        cancelled?.cancel()
    }

    /// A 304 came for `stored` (RFC 9111 4.3.4).
    private func validated(_ stored: StoredResponse, by head: ResponseHead, now: WallTime) {
        guard Validation.notModifiedSelects(stored: stored.fields, notModified: head.fields) else {
            pullAgainWithoutConditions()
            return
        }
        let received = ResponseFields.forStorage(head.fields, drop: [], status: 304, receivedAt: now)
        let keepsCookies = Freshness.isExplicit(head.fields, responseTime: now)
        var merged = Validation.freshen(stored: stored.fields, from: received, keepsCookies: keepsCookies)
        guard Validation.isWithinLimits(merged) else {
            pullAgainWithoutConditions()
            return
        }
        node.marks.pullSucceeded(plan.key)
        if plan.rules.cookies == .strip { merged.remove(.setCookie) }
        var judged = merged
        // The age is the 304's own: how long ago the origin, or a cache before it, said so (RFC 9111 4.2.3).
        if let age = head.fields.first(.age) { judged.append(.age, age) }
        var verdict = Storability.decide(
            request: plan.traits, response: ResponseHead(status: stored.metadata.status, fields: judged),
            rules: plan.rules, requestTime: requestTime, responseTime: now)
        // The tags are the 304's own as well.
        if SurrogateKey.areTooMany(head.fields) { verdict = .notStorable(.tooManyTags) }
        let drop = Storability.fieldsToDrop(
            response: ResponseHead(status: stored.metadata.status, fields: merged))
        let fields = ResponseFields.forStorage(
            merged, drop: drop, status: stored.metadata.status, receivedAt: now)
        // What is stored anyway comes with it.
        let cookies = fields.contains(.setCookie) && keepsCookies ? nil : cookies(received)
        switch verdict {
        case .storable(let metadata):
            let fresh = node.freshened(stored, metadata: metadata, fields: fields, by: head, plan: plan)
            replace(stored, with: fresh)
            if Reuse.isPlainlyFresh(metadata, now: now) { node.marks.clearHitForMiss(plan.key) }
            answer(.revalidated(fresh, cookies: cookies, isForAll: true))
        case .notStorable(let reason):
            // The origin took its permission back: this client is served, nobody after it. What a request's own
            // credentials brought takes nothing back: what is stored came without them.
            let last = node.freshened(stored, metadata: stored.metadata, fields: fields, by: head, plan: plan)
            if reason != .authorization, !plan.hasCredentials {
                node.store.remove(stored)
                node.marks.markWithdrawn(plan.key)
            }
            answer(.revalidated(last, cookies: cookies, isForAll: false))
        }
    }

    /// Puts what a 304 freshened in its place. Under another secondary key it is another variant, and the old one goes.
    private func replace(_ stored: StoredResponse, with fresh: StoredResponse) {
        guard !state.withLock({ $0.isDiscarded }) else { return }
        guard fresh.secondaryKey != stored.secondaryKey else {
            node.store.replace(stored, with: fresh, isRefresh: true)
            return
        }
        node.store.remove(stored)
        // The blocks of a large body are found by their variant: there it is pulled anew.
        if !fresh.isOnDisk { node.store.insert(fresh) }
    }

    /// The Set-Cookie lines that a 304 brought: for the client whose request it answers.
    private func cookies(_ received: FieldSection) -> FieldSection? {
        guard received.contains(.setCookie), plan.rules.cookies != .strip else { return nil }
        var cookies = received
        cookies.removeAll { _, line in line.name != .setCookie }
        return cookies.compacted()
    }

    private func pullAgainWithoutConditions() {
        guard let fields = plan.unconditionalFields, !isUnconditional else {
            failed(
                PullFailure(
                    kind: .protocolError, side: .origin, retry: .no,
                    detail: "304 selects no stored response"))
            return
        }
        var request = plan.pull
        request.fields = fields
        let attempt = state.withLock { state in
            state.attempt += 1
            return state.attempt
        }
        begin(request, attempt: attempt)
    }

    private func answer(_ answer: FillAnswer) {
        node.collapser.leave(self)
        state.withLock { $0.phase = .answered(answer) }
    }

    /// Takes body bytes; false pauses the pull, and the same bytes come again when it resumes.
    fileprivate func received(body: UnsafeRawBufferPointer) -> Bool {
        var exhausted: PullHandle?
        var isTooLarge = false
        let accepted: Bool = state.withLock { state in
            if case .answered = state.phase { return true }
            guard let head = state.head, head.hasBody else { return true }
            if state.spool != nil {
                guard !isAheadOfReaders(state), !isAheadOfDisk(state) else {
                    state.isPaused = true
                    return false
                }
                appendSpooled(body, &state)
            } else if let slab = state.slab {
                // The parser holds the origin to its Content-Length; only a chunked 206 can bring more than its
                // Content-Range names. It is then not what it says: nothing of the surplus is taken, and nothing kept.
                let room = slab.capacity - slab.count
                guard body.count <= room else {
                    isTooLarge = state.isKeeping
                    state.isKeeping = false
                    _ = slab.append(UnsafeRawBufferPointer(rebasing: body[..<room]))
                    state.received += Int64(room)
                    return true
                }
                _ = slab.append(body)
            } else {
                if isAheadOfReaders(state) {
                    state.isPaused = true
                    return false
                }
                state.chunks.append(body)
                if state.isKeeping, !hasRoom(for: state.received + Int64(body.count), &state) {
                    state.isKeeping = false
                    isTooLarge = true
                    if state.loops.allSatisfy({ $0.readers.isEmpty }) { exhausted = state.handle }
                }
            }
            state.received += Int64(body.count)
            return true
        }
        if isTooLarge { node.collapser.leave(self) }
        exhausted?.cancel()
        return accepted
    }

    /// A body whose length nobody told is charged as it grows, so that many of them stay within the budget together.
    private func hasRoom(for bytes: Int64, _ state: inout State) -> Bool {
        guard bytes <= min(node.maxStoredBytes(plan.rules), node.maxInMemoryBytes) else { return false }
        guard bytes > Int64(state.reservedBytes) else { return true }
        let growth = max(65_536, Int(bytes) - state.reservedBytes, state.reservedBytes / 2)
        guard node.store.reserveFill(bytes: growth) else { return false }
        state.reservedBytes += growth
        return true
    }

    fileprivate func received(trailers: FieldSection) {
        state.withLock { $0.trailers = trailers }
    }

    /// - Parameter isEndProved: false where a body without a length may have been cut off; that is not kept.
    fileprivate func completed(isEndProved: Bool) {
        struct Finished {
            let head: FillHead
            let body: StoredBody?
            let reserved: Int
            let spool: Spool?
        }
        let finished: Finished? = state.withLock { state in
            if case .answered = state.phase { return nil }
            guard let head = state.head else { return nil }
            let isWhole = !head.hasBody || head.contentLength.map { $0 == state.received } ?? isEndProved
            let isKept = state.isKeeping && isWhole
            if isKept { endSpool(&state) }
            let body = isKept && state.spool == nil ? wholeBody(state) : nil
            return Finished(
                head: head, body: body, reserved: state.reservedBytes, spool: isKept ? state.spool : nil)
        }
        guard let finished else { return }
        var stored: StoredResponse?
        if let spool = finished.spool, let metadata = finished.head.metadata {
            let body = SparseBody(completeLength: spool.completeLength, blocks: spool.blocks)
            stored = node.store(
                finished.head, metadata, body: .sparse(body), bodyID: spool.blocks.id,
                reservedBytes: finished.reserved, plan: plan
            ) { self.state.withLock { $0.isDiscarded } }
        } else if let body = finished.body, let metadata = finished.head.metadata {
            let isDiscarded = { self.state.withLock { $0.isDiscarded } }
            if let part = finished.head.part {
                stored = node.store(
                    part, of: finished.head, metadata, body: body.buffer, reservedBytes: finished.reserved,
                    plan: plan, isDiscarded: isDiscarded)
            } else {
                stored = node.store(
                    finished.head, metadata, body: body, reservedBytes: finished.reserved, plan: plan,
                    isDiscarded: isDiscarded)
            }
        } else if finished.reserved > 0 {
            node.store.releaseFill(bytes: finished.reserved)
        }
        state.withLock { state in
            state.stored = stored
            state.phase = .complete
            state.reservedBytes = 0
        }
        node.collapser.leave(self)
    }

    private func wholeBody(_ state: borrowing State) -> StoredBody {
        if let slab = state.slab { return slab.storedBody() }
        let length = Int(state.received)
        guard length > 0 else { return .memory(ByteBuffer()) }
        let slab = node.makeSlab(length)
        state.chunks.eachPiece { _ = slab.append($0) }
        return slab.storedBody()
    }

    fileprivate func failed(_ failure: PullFailure) {
        let now = SystemClock.wall()
        let isBeforeHead: Bool? = state.withLock { state in
            if case .answered = state.phase { return nil }
            return state.head == nil
        }
        guard let isBeforeHead else { return }
        node.collapser.leave(self)
        remember(failure)
        if isBeforeHead, let stored = plan.stored, let reason = staleInsteadOf(failure, stored, now) {
            answer(.stale(stored, reason, forwardStatus: nil))
            return
        }
        let reserved = state.withLock { state in
            let reserved = state.reservedBytes
            state.phase = .failed(failure)
            state.isKeeping = false
            state.reservedBytes = 0
            return reserved
        }
        if reserved > 0 { node.store.releaseFill(bytes: reserved) }
    }

    /// What a failed pull says of its key and its origin.
    private func remember(_ failure: PullFailure) {
        // A pull that began before a reload says nothing of what was changed by it.
        guard failure.side == .origin, plan.configurationNumber == node.configurationNumber else { return }
        let now = SystemClock.monotonic()
        guard failure.kind != .unhealthy else {
            node.outages.pullRefused(plan.origin, now: now)
            return
        }
        if plan.kind == .cacheable || plan.isHead {
            let kind: OriginFailure = failure.isUnreachable ? .unreachable : .serverError(status: 502)
            node.marks.pullFailed(plan.key, kind, origin: plan.origin, now: now)
        }
        node.outages.pullFailed(
            plan.origin, key: plan.key, connecting: failure.isConnectionFailure, now: now)
    }

    private func staleInsteadOf(_ failure: PullFailure, _ stored: StoredResponse, _ now: WallTime) -> Reason?
    {
        guard failure.side != .client else { return nil }
        guard failure.isUnreachable else {
            return node.mayServeStale(stored, .serverError(status: 502), plan.rules, now: now)
        }
        return node.mayServeStaleUnreached(stored, plan.rules, now: now)
    }

    /// Whether anybody but one client may get what comes.
    fileprivate var isShared: Bool {
        state.withLock { state in
            state.isKeeping || state.loops.reduce(0) { $0 + $1.readers.count } > 1
        }
    }

    /// Wakes the readers of whatever came since the last time.
    fileprivate func settled() {
        let loops = state.withLock { wake(&$0) }
        deliver(to: loops)
    }

    fileprivate func uploadWritable() {
        forEachReader { $0.uploadWritable() }
    }
}

/// The sink of one pull of a fill. A fill pulls a second time when a 304 selects nothing it has; what the first
/// pull still brings then goes nowhere.
private final class FillAttempt: PullSink {
    let fill: Fill
    let number: Int

    init(fill: Fill, number: Int) {
        self.fill = fill
        self.number = number
    }

    func pull(interim: ResponseHead) { if fill.isCurrent(number) { fill.interim(interim) } }
    func pull(head: ResponseHead) { if fill.isCurrent(number) { fill.received(head: head) } }

    func pull(body: UnsafeRawBufferPointer) -> Bool {
        fill.isCurrent(number) ? fill.received(body: body) : true
    }

    func pull(trailers: FieldSection) { if fill.isCurrent(number) { fill.received(trailers: trailers) } }
    func pullCompleted(isEndProved: Bool) {
        if fill.isCurrent(number) { fill.completed(isEndProved: isEndProved) }
    }
    func pullFailed(_ failure: PullFailure) { if fill.isCurrent(number) { fill.failed(failure) } }
    func pullUploadWritable() { fill.uploadWritable() }
    func pullSettled() { fill.settled() }
    var isShared: Bool { fill.isShared }
}
