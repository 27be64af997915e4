import CCurl
import EdgeHTTP
import EdgePrimitives
import Glibc
import Synchronization

/// The pull thread: a libcurl multi handle for each origin on one epoll, driven by `curl_multi_socket_action`.
///
/// Other threads speak to it by commands alone. Limits on an origin's connections, deadlines in milliseconds, the
/// choice of a server and retries are decided here, in front of libcurl.
///
// Sendable because everything but the commands and the pools, which have locks, is touched by the pull thread alone.
final class PullLoop: @unchecked Sendable {
    enum Command {
        case start(PullTransfer)
        case cancel(UInt64)
        case resume(UInt64)
        case resumeUpload(UInt64)
        case reload([String: OriginConfiguration])
        case stop
    }

    private struct Inbox {
        var commands: [Command] = []
        var isAwake = false
        var isClosed = false
    }

    static let deadlineTickMilliseconds: Int64 = 20

    private let inbox = Mutex(Inbox())
    let pools: Mutex<[String: OriginPool]>
    let nextNumber = Atomic<UInt64>(1)
    private let wakeDescriptor = rockpool_eventfd()
    private let epoll = rockpool_epoll_create()
    private var thread = pthread_t()
    private var isStarted = false

    // Below: the pull thread's own.
    private var multis: [String: OriginMulti] = [:]
    /// By descriptor, whose socket it is.
    private var owners: [OriginMulti?] = []
    private var handles: EasyHandles?
    private var transfers: [UInt64: PullTransfer] = [:]
    private var touchedTransfers: [PullTransfer] = []
    /// When the thread last began to work; near enough for what is counted in seconds.
    private(set) var awokenAt = MonotonicTime(nanoseconds: 0)
    private var nextTick = MonotonicTime(nanoseconds: 0)
    private var isStopping = false
    private var hasChecks = false
    private var sockets: SocketTable

    static func now() -> MonotonicTime { SystemClock.monotonic() }

    init(configuration: [String: OriginConfiguration]) {
        pools = Mutex(Self.makePools(configuration, old: [:]))
        sockets = SocketTable(epoll: epoll)
        precondition(wakeDescriptor >= 0 && epoll >= 0, "no descriptors for the pull loop")
    }

    deinit {
        Glibc.close(wakeDescriptor)
        Glibc.close(epoll)
    }

    private static func makePools(
        _ configuration: [String: OriginConfiguration], old: [String: OriginPool]
    ) -> [String: OriginPool] {
        var pools: [String: OriginPool] = [:]
        for (name, origin) in configuration {
            var pool = OriginPool(name: name, configuration: origin)
            if let before = old[name] {
                pool.inherit(before)
                pool.active = before.active
                pool.queue = before.queue
            }
            pools[name] = pool
        }
        return pools
    }

    // MARK: From other threads

    func start() {
        precondition(!isStarted, "a pull loop starts once")
        isStarted = true
        CurlMemory.install()
        let status = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<PullLoop>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        precondition(status == 0, "no thread for the pull loop")
    }

    func stop() {
        guard isStarted else { return }
        enqueue(.stop)
        pthread_join(thread, nil)
        isStarted = false
    }

    func reload(_ configuration: [String: OriginConfiguration]) { enqueue(.reload(configuration)) }

    func pull(_ request: PullRequest, sink: any PullSink) -> PullHandle {
        let number = nextNumber.wrappingAdd(1, ordering: .relaxed).oldValue
        let handle = PullHandle(loop: self, number: number)
        let transfer = PullTransfer(
            number: number, request: request, sink: sink, handle: handle, now: Self.now())
        enqueue(.start(transfer))
        return handle
    }

    func enqueue(_ command: Command) {
        let (wakes, isClosed) = inbox.withLock { inbox in
            guard !inbox.isClosed else { return (false, true) }
            inbox.commands.append(command)
            defer { inbox.isAwake = true }
            return (!inbox.isAwake, false)
        }
        if isClosed, case .start(let transfer) = command {
            transfer.sink.pullFailed(Self.failure(.cancelled, .edge, "the node is shutting down"))
            transfer.sink.pullSettled()
        }
        guard wakes else { return }
        var one: UInt64 = 1
        _ = write(wakeDescriptor, &one, 8)
    }

    // MARK: The thread

    private func run() {
        let user = Unmanaged.passUnretained(self).toOpaque()
        handles = EasyHandles(loop: user)
        rockpool_epoll_watch(epoll, wakeDescriptor, 1, 0)
        hasChecks = pools.withLock { Self.hasChecks($0) }
        var descriptors = [Int32](repeating: 0, count: 64)
        var ready = [Int32](repeating: 0, count: 64)
        while !isStopping {
            let count = rockpool_epoll_wait(epoll, &descriptors, &ready, 64, waitMilliseconds())
            awokenAt = Self.now()
            for index in 0..<max(0, Int(count)) {
                if descriptors[index] == wakeDescriptor {
                    var value: UInt64 = 0
                    _ = read(wakeDescriptor, &value, 8)
                } else if sockets.takesEvent(descriptors[index]) {
                    owner(descriptors[index])?.act(on: descriptors[index], ready[index])
                }
            }
            runCommands()
            runTimers()
            collect()
            tick()
            settle()
        }
        finishAll()
        settle()
        handles = nil
        for multi in multis.values { multi.close() }
        multis = [:]
    }

    private func waitMilliseconds() -> Int32 {
        let now = Self.now()
        var wait: Int64 = 1_000
        for case let deadline? in multis.values.lazy.map(\.deadline) {
            wait = min(wait, deadline <= now ? 0 : deadline.milliseconds(since: now) + 1)
        }
        if !transfers.isEmpty { wait = min(wait, max(0, nextTick.milliseconds(since: now) + 1)) }
        return Int32(min(wait, hasChecks ? 100 : 1_000))
    }

    private static func hasChecks(_ pools: [String: OriginPool]) -> Bool {
        pools.values.contains { $0.retiredAt == nil && $0.configuration.health != nil }
    }

    private func runCommands() {
        let commands = inbox.withLock { inbox in
            inbox.isAwake = false
            var taken: [Command] = []
            swap(&taken, &inbox.commands)
            return taken
        }
        for command in commands {
            switch command {
            case .start(let transfer): admit(transfer)
            case .cancel(let number): cancel(number)
            case .resume(let number):
                guard let transfer = transfers[number], transfer.isPaused, let easy = transfer.easy else {
                    continue
                }
                transfer.isPaused = false
                transfer.lastProgress = awokenAt
                curl_easy_pause(easy, CURLPAUSE_CONT)
            case .resumeUpload(let number):
                guard let transfer = transfers[number], let easy = transfer.easy else { continue }
                curl_easy_pause(easy, transfer.isPaused ? CURLPAUSE_RECV : CURLPAUSE_CONT)
            case .reload(let configuration): install(configuration)
            case .stop: isStopping = true
            }
        }
    }

    /// For how long an origin that a reload took out may still be asked.
    private static let retirementMilliseconds: Int64 = 60_000

    private func install(_ configuration: [String: OriginConfiguration]) {
        var orphans: [PullTransfer] = []
        let now = Self.now()
        let names = pools.withLock { pools in
            var fresh = Self.makePools(configuration, old: pools)
            for (name, pool) in pools where fresh[name] == nil {
                let retiredAt = pool.retiredAt ?? now
                if now.milliseconds(since: retiredAt) < Self.retirementMilliseconds {
                    fresh[name] = pool
                    fresh[name]?.retiredAt = retiredAt
                } else {
                    while let waiting = pools[name]?.queue.next() { orphans.append(waiting) }
                }
            }
            pools = fresh
            hasChecks = Self.hasChecks(pools)
            return Array(pools.keys)
        }
        handles?.clear()
        for transfer in orphans {
            transfers[transfer.number] = nil
            transfer.fail(Self.failure(.internalError, .edge, "the origin is no longer configured"))
        }
        // There may be more connections than before.
        for name in names { startWaiting(name) }
    }

    private func runTimers() {
        let now = Self.now()
        for multi in multis.values { multi.runTimer(now) }
    }

    private func collect() {
        for multi in multis.values where multi.hasNews {
            while let (transfer, result) = multi.nextEnd() { finished(transfer, result) }
        }
    }

    func touched(_ transfer: PullTransfer) { touchedTransfers.append(transfer) }

    /// A head is proof enough that its server is well; a half-open one need not wait for the body.
    private func credit(_ transfer: PullTransfer) {
        guard transfer.hasHead, !transfer.isCredited, !transfer.isCheck else { return }
        transfer.isCredited = true
        _ = update(transfer.request.origin) { pool in
            if let server = pool.index(of: transfer.endpoint) { pool.servers[server].health.succeeded() }
            pool.timings.firstByte.record(from: transfer.created, to: Self.now())
        }
    }

    /// Tells the sinks that heard something that this was all for now.
    private func settle() {
        guard !touchedTransfers.isEmpty else { return }
        for transfer in touchedTransfers {
            transfer.isTouched = false
            credit(transfer)
            transfer.sink.pullSettled()
        }
        touchedTransfers.removeAll(keepingCapacity: true)
    }

    /// Ends everything: the node shuts down.
    private func finishAll() {
        let waiting = inbox.withLock { inbox in
            inbox.isClosed = true
            return inbox.commands
        }
        for case .start(let transfer) in waiting {
            transfer.fail(Self.failure(.cancelled, .edge, "the node is shutting down"))
        }
        for transfer in transfers.values {
            detach(transfer)
            transfer.fail(Self.failure(.cancelled, .edge, "the node is shutting down"))
        }
        transfers = [:]
    }

    // MARK: libcurl's sockets and timer

    func watch(_ descriptor: Int32, _ what: Int32, _ multi: OriginMulti) {
        setOwner(descriptor, multi)
        sockets.watch(descriptor, what)
    }

    func socketOpened(_ descriptor: Int32, _ multi: OriginMulti) {
        setOwner(descriptor, multi)
        multi.opened(descriptor)
        sockets.opened(descriptor)
    }

    func socketClosed(_ descriptor: Int32) {
        owner(descriptor)?.closed(descriptor)
        setOwner(descriptor, nil)
        sockets.closed(descriptor)
    }

    private func owner(_ descriptor: Int32) -> OriginMulti? {
        owners.indices.contains(Int(descriptor)) ? owners[Int(descriptor)] : nil
    }

    private func setOwner(_ descriptor: Int32, _ multi: OriginMulti?) {
        while owners.count <= Int(descriptor) { owners.append(nil) }
        owners[Int(descriptor)] = multi
    }

    private func multi(_ origin: String) -> OriginMulti {
        if let multi = multis[origin] { return multi }
        let multi = OriginMulti(loop: self)
        multis[origin] = multi
        return multi
    }

    /// Looks after connections that lie idle, and forgets origins that are configured no more.
    private func sweepConnections(_ now: MonotonicTime) {
        for (name, multi) in multis {
            multi.sweep(now)
            guard multi.attached == 0, pools.withLock({ $0[name] == nil }) else { continue }
            for index in owners.indices where owners[index] === multi { owners[index] = nil }
            multis[name] = nil
            multi.close()
        }
    }
    func isUnclean(localPort: Int) -> Bool { sockets.isUnclean(localPort: localPort) }

    // MARK: The way of a pull

    private enum Admission {
        case go
        case wait
        case refuse(PullFailure)
    }

    /// Changes a pool in its place; nil where there is none of that name.
    func update<Result: Sendable>(_ name: String, _ body: (inout OriginPool) -> Result) -> Result? {
        pools.withLock { pools in
            guard let index = pools.index(forKey: name) else { return nil }
            return body(&pools.values[index])
        }
    }

    private func admit(_ transfer: PullTransfer) {
        let now = Self.now()
        let placed: Admission? = update(transfer.request.origin) { pool in
            transfer.settings = pool.settings
            guard pool.active < pool.configuration.maxConnections else {
                if pool.queue.append(transfer, client: transfer.request.client) { return .wait }
                return .refuse(Self.failure(.saturated, .edge, "too many pulls wait for this origin"))
            }
            return Self.place(transfer, &pool, now)
        }
        let unknown = Self.failure(.internalError, .edge, "no origin of the name \(transfer.request.origin)")
        switch placed ?? .refuse(unknown) {
        case .go: launch(transfer)
        case .wait:
            transfers[transfer.number] = transfer
            armTick(now)
        case .refuse(let failure):
            transfers[transfer.number] = nil
            transfer.fail(failure)
        }
    }

    /// Chooses a server and takes one of the origin's connections.
    private static func place(_ transfer: PullTransfer, _ pool: inout OriginPool, _ now: MonotonicTime)
        -> Admission
    {
        guard let server = pool.choose(hashKey: transfer.request.hashKey, tried: transfer.tried, now: now)
        else {
            return .refuse(failure(.unhealthy, .origin, "every server of the origin is out"))
        }
        transfer.endpoint = pool.servers[server].endpoint
        transfer.isActive = true
        pool.active += 1
        pool.servers[server].active += 1
        pool.servers[server].pulls += 1
        return .go
    }

    func launch(_ transfer: PullTransfer) {
        let now = Self.now()
        transfers[transfer.number] = transfer
        armTick(now)
        let multi = multi(transfer.request.origin)
        transfer.multi = multi
        guard let settings = transfer.settings, let easy = handles?.prepare(transfer, settings) else {
            end(transfer, .failed(Self.failure(.internalError, .edge, "no handle for the pull")))
            return
        }
        transfer.reset(now: now)
        transfer.easy = easy
        multi.add(easy, settings.configuration, now: now)
    }

    private func armTick(_ now: MonotonicTime) {
        if nextTick < now { nextTick = now + Self.deadlineTickMilliseconds }
    }

    private func cancel(_ number: UInt64) {
        guard let transfer = transfers[number] else { return }
        end(transfer, .failed(Self.failure(.cancelled, .client, "cancelled")))
    }

    private func finished(_ transfer: PullTransfer, _ result: CURLcode) {
        if result == CURLE_OK, transfer.hasHead, !transfer.isInsideHead, transfer.isWhole {
            end(transfer, .completed)
            return
        }
        if transfer.socketWasUnclean, !transfer.hasAnyLine {
            // Not this pull's doing: the same server on a connection of its own.
            transfer.isFresh = true
            detach(transfer)
            launch(transfer)
            return
        }
        end(transfer, .failed(CurlFailure.classify(result, transfer)))
    }

    private static func mayRetry(_ failure: PullFailure, _ request: PullRequest) -> Bool {
        switch failure.retry {
        case .no: false
        case .ifIdempotent: request.isIdempotent
        case .yes: true
        }
    }

    private enum End {
        case completed
        case failed(PullFailure)
    }

    /// Takes a transfer out of libcurl and gives its handle back.
    private func detach(_ transfer: PullTransfer) {
        guard let easy = transfer.easy else {
            transfer.freeList()
            return
        }
        transfer.easy = nil
        transfer.multi?.remove(easy)
        handles?.release(easy, transfer)
    }

    private func end(_ transfer: PullTransfer, _ end: End) {
        detach(transfer)
        let now = Self.now()
        let retries = update(transfer.request.origin) { pool in
            guard transfer.isActive else {
                _ = pool.queue.remove { $0 === transfer }
                return false
            }
            transfer.isActive = false
            pool.active = max(0, pool.active - 1)
            if transfer.isCheck { return false }
            Self.settle(transfer, end, &pool, now)
            // Nothing was sent where no connection was made: any method may go to the next server.
            guard case .failed(let failure) = end, Self.mayRetry(failure, transfer.request),
                !transfer.hasAnyLine,
                transfer.handle.isUntouched, let endpoint = transfer.endpoint
            else { return false }
            transfer.tried.append(endpoint)
            guard pool.servers.contains(where: { !transfer.tried.contains($0.endpoint) }) else {
                return false
            }
            if let server = pool.index(of: endpoint) { pool.servers[server].retries += 1 }
            return true
        }
        if retries == true {
            admit(transfer)
        } else {
            transfers[transfer.number] = nil
            switch end {
            case .completed: transfer.complete()
            case .failed(let failure): transfer.fail(failure)
            }
        }
        startWaiting(transfer.request.origin)
    }

    /// What the end of a transfer says of its server.
    private static func settle(
        _ transfer: PullTransfer, _ end: End, _ pool: inout OriginPool, _ now: MonotonicTime
    ) {
        guard let server = pool.index(of: transfer.endpoint) else { return }
        pool.servers[server].active = max(0, pool.servers[server].active - 1)
        // What a check found is judged by its own rules: that it was answered at all is not enough.
        guard !transfer.isCheck else { return }
        switch end {
        case .completed:
            pool.servers[server].health.succeeded()
            pool.timings.whole.record(from: transfer.created, to: now)
        case .failed(let failure):
            if failure.side == .origin {
                pool.servers[server].failures += 1
                pool.servers[server].lastFailure = failure.detail
            }
            if transfer.hasHead {
                pool.servers[server].health.succeeded()
            } else if failure.speaksOfServer {
                pool.servers[server].health.failed(
                    now: now, connecting: failure.isConnectionFailure)
            } else {
                pool.servers[server].health.undecided(now: now)
            }
        }
    }

    private func startWaiting(_ origin: String) {
        while true {
            let next = update(origin) { pool in
                pool.active < pool.configuration.maxConnections ? pool.queue.next() : nil
            }
            guard case .some(.some(let next)) = next else { return }
            admit(next)
        }
    }

    // MARK: Deadlines

    private func tick() {
        let now = Self.now()
        guard now >= nextTick else { return }
        nextTick = now + Self.deadlineTickMilliseconds
        if !transfers.isEmpty {
            var late: [(PullTransfer, PullFailure)] = []
            for transfer in transfers.values {
                guard let limits = transfer.settings?.configuration else { continue }
                if let failure = overdue(transfer, limits, now) { late.append((transfer, failure)) }
            }
            for (transfer, failure) in late { end(transfer, .failed(failure)) }
        }
        sweepConnections(now)
        if hasChecks { runChecks(now) }
    }

    private func overdue(
        _ transfer: PullTransfer, _ limit: OriginConfiguration, _ now: MonotonicTime
    ) -> PullFailure? {
        let age = now.milliseconds(since: transfer.created)
        if limit.fetchTimeoutMilliseconds > 0, age >= limit.fetchTimeoutMilliseconds {
            return Self.failure(.fetchTimeout, .origin, "not done after \(limit.fetchTimeoutMilliseconds) ms")
        }
        if !transfer.isActive, age >= limit.firstByteTimeoutMilliseconds {
            return Self.failure(.saturated, .edge, "no connection to the origin came free in time")
        }
        guard transfer.isActive, !transfer.isPaused else { return nil }
        let quiet = now.milliseconds(since: transfer.lastProgress)
        if !transfer.hasHead {
            let isUpload = transfer.request.body != .none
            // A client that takes its time to send is not the origin's fault; its connection has a deadline of its own.
            if isUpload, transfer.handle.waitsForClient { return nil }
            let wait = isUpload ? quiet : now.milliseconds(since: transfer.started)
            guard wait >= limit.firstByteTimeoutMilliseconds else { return nil }
            return Self.failure(
                .firstByteTimeout, .origin, "no answer within \(limit.firstByteTimeoutMilliseconds) ms")
        }
        if quiet >= limit.stallTimeoutMilliseconds {
            return Self.failure(
                .stallTimeout, .origin, "nothing came for \(limit.stallTimeoutMilliseconds) ms")
        }
        return nil
    }

    static func failure(_ kind: PullFailure.Kind, _ side: PullFailure.Side, _ detail: String) -> PullFailure {
        PullFailure(kind: kind, side: side, retry: .no, detail: detail)
    }
}
