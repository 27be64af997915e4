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
        case reload([String: OriginConfiguration], siteHosts: [String: String])
        /// What a look-up of a name found.
        case found([String]?, of: String)
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

    let resolver: NameResolver

    // Below: the pull thread's own.
    private var multis: [String: OriginMulti] = [:]
    /// By descriptor, whose socket it is.
    private var owners: [OriginMulti?] = []
    private(set) var handles: EasyHandles?
    var transfers: [UInt64: PullTransfer] = [:]
    private var touchedTransfers: [PullTransfer] = []
    /// When the thread last began to work; near enough for what is counted in seconds.
    private(set) var awokenAt = MonotonicTime(nanoseconds: 0)
    var nextTick = MonotonicTime(nanoseconds: 0)
    /// When the next check or look-up of a name is due.
    private var nextUpkeep = MonotonicTime(nanoseconds: 0)
    private var isStopping = false
    private(set) var sockets: SocketTable
    var names: OriginNames
    /// When a socket could not be had, which is no origin's fault.
    private var noSocketAt: MonotonicTime?
    /// Pulls that wait for the first answer for their server's name.
    var namelessTransfers: [PullTransfer] = []
    /// Local ports of connections to addresses that left their names, with a request under way.
    var departedPorts: Set<Int> = []

    static func now() -> MonotonicTime { SystemClock.monotonic() }

    init(
        configuration: [String: OriginConfiguration], siteHosts: [String: String] = [:],
        resolver: NameResolver = .system
    ) {
        self.resolver = resolver
        names = OriginNames(regularMilliseconds: resolver.intervalMilliseconds)
        pools = Mutex(Self.makePools(configuration, siteHosts, old: [:]))
        sockets = SocketTable(epoll: epoll)
        precondition(wakeDescriptor >= 0 && epoll >= 0, "no descriptors for the pull loop")
    }

    deinit {
        Glibc.close(wakeDescriptor)
        Glibc.close(epoll)
    }

    private static func makePools(
        _ configuration: [String: OriginConfiguration], _ siteHosts: [String: String],
        old: [String: OriginPool]
    ) -> [String: OriginPool] {
        var pools: [String: OriginPool] = [:]
        for (name, origin) in configuration {
            var pool = OriginPool(name: name, configuration: origin, siteHost: siteHosts[name])
            if let before = old[name] {
                pool.inherit(before, now: Self.now())
                pool.active = before.active
                pool.queue = before.queue
                pool.waiting = before.waiting
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
        followNames()
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
            keepUp()
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
        return Int32(min(wait, max(0, nextUpkeep.milliseconds(since: now) + 1)))
    }

    /// Begins the checks and the look-ups of names that are due.
    private func keepUp() {
        let now = Self.now()
        guard now >= nextUpkeep else { return }
        nextUpkeep = now + 1_000
        runChecks(now)
        lookUpNames(now)
        startNamed()
        forgetRetired(now)
    }

    /// Lets go of origins that were configured once and that nobody asks any more.
    private func forgetRetired(_ now: MonotonicTime) {
        let isAnyGone = pools.withLock { pools in
            let before = pools.count
            pools = pools.filter { _, pool in
                guard let retiredAt = pool.retiredAt, pool.active == 0, pool.waiting.isEmpty else {
                    return true
                }
                return now.milliseconds(since: retiredAt) < Self.retirementMilliseconds
            }
            return pools.count < before
        }
        if isAnyGone { followNames() }
    }

    /// Something has to be done at that time.
    func upkeep(by time: MonotonicTime) { nextUpkeep = min(nextUpkeep, time) }

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
            case .reload(let configuration, let siteHosts): install(configuration, siteHosts)
            case .found(let addresses, let name): found(addresses, of: name)
            case .stop: isStopping = true
            }
        }
    }

    /// For how long an origin that a reload took out may still be asked.
    private static let retirementMilliseconds: Int64 = 60_000

    private func install(_ configuration: [String: OriginConfiguration], _ siteHosts: [String: String]) {
        var orphans: [PullTransfer] = []
        let now = Self.now()
        let names = pools.withLock { pools in
            var fresh = Self.makePools(configuration, siteHosts, old: pools)
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
            return Array(pools.keys)
        }
        handles?.clear()
        for transfer in orphans {
            transfers[transfer.number] = nil
            transfer.fail(Self.failure(.internalError, .edge, "the origin is no longer configured"))
        }
        followNames()
        upkeep(by: now)
        // There may be more connections than before, or other servers.
        for name in names {
            admitWaiting(name)
            startWaiting(name)
        }
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

    /// A head is proof enough that its server is well; nobody need wait for the body.
    private func credit(_ transfer: PullTransfer) {
        guard transfer.hasHead, !transfer.isCredited, !transfer.isCheck else { return }
        transfer.isCredited = true
        let now = Self.now()
        _ = update(transfer.request.origin) { pool in
            if let server = pool.index(of: transfer.endpoint) {
                pool.servers[server].health.answered(now: now)
            }
            for endpoint in transfer.tried {
                guard let server = pool.index(of: endpoint) else { continue }
                pool.servers[server].health.wasAnsweredElsewhere(now: now)
            }
            pool.timings.firstByte.record(from: transfer.created, to: now)
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

    /// Has libcurl told the addresses anew, though they be the same.
    func forgetToldNames() {
        for multi in multis.values { multi.toldNames = [:] }
    }

    func multi(_ origin: String) -> OriginMulti {
        if let multi = multis[origin] { return multi }
        let multi = OriginMulti(loop: self)
        multis[origin] = multi
        return multi
    }

    /// Looks after connections that lie idle, and forgets origins that are configured no more.
    func sweepConnections(_ now: MonotonicTime) {
        for (name, multi) in multis {
            multi.sweep(now)
            guard multi.attached == 0, pools.withLock({ $0[name] == nil }) else { continue }
            for index in owners.indices where owners[index] === multi { owners[index] = nil }
            multis[name] = nil
            multi.close()
        }
    }

    /// This process has no more descriptors.
    func socketFailed() { noSocketAt = Self.now() }
    func lackedSocket(since time: MonotonicTime) -> Bool { noSocketAt.map { $0 >= time } ?? false }
    func isUnclean(localPort: Int) -> Bool { sockets.isUnclean(localPort: localPort) }

    // MARK: The pools

    /// Changes a pool in its place; nil where there is none of that name.
    func update<Result: Sendable>(_ name: String, _ body: (inout OriginPool) -> Result) -> Result? {
        pools.withLock { pools in
            guard let index = pools.index(forKey: name) else { return nil }
            return body(&pools.values[index])
        }
    }
}
