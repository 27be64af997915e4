import EdgeHTTP
import EdgeOrigin
import EdgePolicy
import EdgePrimitives
import EdgeStore
import NIOCore
import Synchronization

/// An edge node: the store, the origin pulls and what they share. One for the process; every loop has a
/// ``LoopContext`` on it.
public final class Node: Sendable {
    public let store: ResponseStore
    public let pulls: PullService
    /// The log of purges.
    public let ledger: any PurgeLedger
    /// Our cdn-id in CDN-Loop.
    public let nodeID: [UInt8]
    public let accessLog: AccessLog?
    public let started = SystemClock.wall()
    /// What the listeners do when client connections come to their bound.
    public let pressure = ConnectionPressure()
    let seed: DigestSeed
    let collapser = RequestCollapser()
    let pullPositions = PullPositions()
    let marks = KeyMarks()
    let outages = OutageDetector()
    let siteNumbers = SiteNumbers()
    let fillCounts = FillCounts()
    /// Half the memory budget: one response may not push out everything else.
    private let largestInMemory: Atomic<Int64>
    private let reloads = Atomic<UInt64>(0)
    private let state: Mutex<State>
    private let purgeWatch = Mutex<PurgeWatch?>(nil)
    /// Held for a whole reload: one by a signal and one by the admin API must not leave the origins of one file with
    /// the sites of another.
    private let reloading = Mutex<Void>(())

    private struct State {
        var configuration: NodeConfiguration
        var sites: SiteTable
        var loops: [RegisteredLoop] = []
        var isDraining = false
        var listeners: [BoundListener] = []
    }

    private struct PurgeWatch {
        let tell: @Sendable (PurgeOrder, Result<PurgeRecord, PurgeError>) -> Void
    }

    private struct RegisteredLoop {
        let loop: any EventLoop
        let context: NIOLoopBound<LoopContext>
        let counters: LoopCounters
    }

    /// - Parameters:
    ///   - disk: what outlives the process; its seed is then the node's, or nothing in it would be found.
    ///   - ledger: has to outlive the process where `disk` does.
    public init(
        configuration: NodeConfiguration, nodeID: [UInt8], accessLog: AccessLog?, disk: DiskTier? = nil,
        ledger: any PurgeLedger = VolatilePurgeLedger()
    ) {
        self.ledger = ledger
        self.nodeID = nodeID
        self.accessLog = accessLog
        seed = disk?.seed ?? .random()
        let memory = MemoryTier(
            budgetBytes: configuration.cache.memoryBytes, maxVariants: configuration.cache.maxVariants)
        store = ResponseStore(memory: memory, disk: disk, stamps: ledger.stamps)
        largestInMemory = Atomic(configuration.cache.memoryBytes / 2)
        pulls = PullService(
            configuration: configuration.origins, siteHosts: Self.siteHosts(configuration))
        state = Mutex(
            State(configuration: configuration, sites: SiteTable(configuration, numbers: siteNumbers)))
    }

    /// Has `tell` called for each purge that came by the PURGE method, done or not, before it is answered.
    public func onPurgeRequest(
        _ tell: @escaping @Sendable (PurgeOrder, Result<PurgeRecord, PurgeError>) -> Void
    ) {
        purgeWatch.withLock { $0 = PurgeWatch(tell: tell) }
    }

    func tellOfPurge(_ order: PurgeOrder, _ result: Result<PurgeRecord, PurgeError>) {
        purgeWatch.withLock { $0 }?.tell(order, result)
    }

    /// Changes with every reload.
    var configurationNumber: UInt64 { reloads.load(ordering: .acquiring) }

    public var configuration: NodeConfiguration { state.withLock { $0.configuration } }
    public var sites: SiteTable { state.withLock { $0.sites } }
    public var fillCount: Int { collapser.count }

    public var isDraining: Bool {
        get { state.withLock { $0.isDraining } }
        set { state.withLock { $0.isDraining = newValue } }
    }

    /// Where clients connect, once that is known.
    public var listeners: [BoundListener] {
        get { state.withLock { $0.listeners } }
        set { state.withLock { $0.listeners = newValue } }
    }

    /// The counters of every loop.
    public var counters: [LoopCounters] { state.withLock { $0.loops.map(\.counters) } }

    func register(_ context: LoopContext) {
        let registered = RegisteredLoop(
            loop: context.eventLoop, context: NIOLoopBound(context, eventLoop: context.eventLoop),
            counters: context.counters)
        state.withLock { $0.loops.append(registered) }
    }

    /// Lets go of the loops, which hold on to the node; after their last request.
    public func releaseLoops() {
        // Outside the lock: a context that ends may ask the node something.
        let loops = state.withLock { state in
            defer { state.loops = [] }
            return state.loops
        }
        withExtendedLifetime(loops) {}
    }

    /// Takes a new configuration without dropping a connection or a stored response that has room in it. What
    /// ``NodeConfiguration/waitingForRestart(since:)`` names stays as it was; where the access log goes is for who has
    /// opened it, before this (``AccessLog/change(to:format:)``).
    public func reload(_ configuration: NodeConfiguration) {
        reloading.withLock { _ in install(configuration) }
    }

    private func install(_ configuration: NodeConfiguration) {
        let sites = SiteTable(configuration, numbers: siteNumbers)
        // First the origins: a request that goes by the new sites finds them. Those that are gone stay for a while,
        // for requests that went by the old ones.
        pulls.reload(configuration.origins, siteHosts: Self.siteHosts(configuration))
        let before = state.withLock { state in
            defer {
                state.configuration = configuration
                state.sites = sites
            }
            return state.configuration.origins
        }
        reloads.wrappingAdd(1, ordering: .releasing)
        // After the number: a pull of before that fails from here on says nothing of what holds now.
        for name in Set(before.keys).union(configuration.origins.keys)
        where before[name] != configuration.origins[name] {
            outages.forget(name)
            marks.forgetFailures(of: name)
        }
        largestInMemory.store(configuration.cache.memoryBytes / 2, ordering: .relaxed)
        store.take(configuration.cache)
    }

    /// By an origin's name, a host that it knows: the first exact one of its first site.
    private static func siteHosts(_ configuration: NodeConfiguration) -> [String: String] {
        var hosts: [String: String] = [:]
        for site in configuration.sites.reversed() {
            hosts[site.origin] = site.hosts.first { !$0.contains("*") }
        }
        return hosts
    }

    // MARK: Purges

    /// Forgets the stamps of purges that nothing stored is older than, where there are many.
    ///
    /// - Parameter before: what this returned the last time, some seconds ago. Of two looks the older counts: what was
    ///   between the tiers at one of them is seen by the other.
    public func forgetStamps(after before: PurgePosition?) -> PurgePosition? {
        guard store.stamps.count >= Self.fewStamps else { return nil }
        let oldest = min(
            pullPositions.oldest ?? store.stamps.head, store.oldestPull ?? store.stamps.head)
        if let before { store.stamps.forget(before: min(before, oldest)) }
        return oldest
    }

    /// Stamps that are not worth looking at everything that is stored.
    private static let fewStamps = 1_024

    // MARK: What fills store

    func maxStoredBytes(_ rules: CachingRules) -> Int64 {
        min(rules.maxResponseBytes, max(maxInMemoryBytes, store.disk?.largestBodyBytes ?? 0))
    }

    var maxInMemoryBytes: Int64 { largestInMemory.load(ordering: .relaxed) }

    /// From this size on a body goes to disk as it comes, where there is one: it would turn memory over, and
    /// `sendfile` serves it from there as fast.
    var spooledBytes: Int64 { max(1 << 20, min(maxInMemoryBytes / 4, 32 << 20)) }

    /// Whether no purge touches `stored`, after a look at the stamps.
    @inline(never)
    func isUntouched(_ stored: StoredResponse) -> Bool { store.stamps.verdict(of: stored) == .untouched }

    /// The identity of the blocks of a fill's body on disk; nil where it lies in its record, or there is no disk.
    func bodyID(
        _ plan: FillPlan, _ fields: FieldSection, _ secondaryKey: SecondaryKey?, length: Int64
    ) -> Digest128? {
        guard let disk = store.disk, length > Int64(DiskTier.inlineBytes) else { return nil }
        return disk.bodyID(
            key: plan.key, secondaryKey: secondaryKey, validator: StrongValidator(fields), length: length,
            pulledAt: plan.position)
    }

    func makeSlab(_ capacity: Int) -> BodySlab {
        BodySlab(capacity: capacity)
    }

    /// Stores the response of a fill; nil where it was too large after all, or discarded meanwhile.
    func store(
        _ head: FillHead, _ metadata: StoredMetadata, body: StoredBody, bodyID: Digest128? = nil,
        reservedBytes: Int, plan: FillPlan, isDiscarded: () -> Bool
    ) -> StoredResponse? {
        let fields = head.clientFields.compacted()
        let id = bodyID ?? self.bodyID(plan, fields, head.secondaryKey, length: Int64(body.count))
        let stored = StoredResponse(
            key: plan.key, metadata: metadata, fields: fields,
            head: Self.storedHead(metadata.status, head.response.reason, head.clientFields, body.count),
            secondaryKey: head.secondaryKey, tags: head.tags,
            keyText: plan.keyText, body: body, bodyID: id, pulledAt: plan.position)
        guard !isDiscarded(), store.insert(stored, fillBytes: reservedBytes, isAdmitted: bodyID != nil) else {
            store.releaseFill(bytes: reservedBytes)
            return nil
        }
        if isDiscarded() {
            store.remove(stored)
            return nil
        }
        return stored
    }

    /// Stores one part of a representation, joined with what is stored of it where both have the same strong
    /// validator (RFC 9111 3.4); a part that joins nothing takes the place of what is there.
    func store(
        _ part: PartialContent, of head: FillHead, _ metadata: StoredMetadata, body: ByteBuffer,
        reservedBytes: Int, plan: FillPlan, isDiscarded: () -> Bool
    ) -> StoredResponse? {
        defer { if reservedBytes > 0 { store.releaseFill(bytes: reservedBytes) } }
        let fields = head.clientFields.compacted()
        let validator = StrongValidator(fields)
        let id = bodyID(plan, fields, head.secondaryKey, length: part.completeLength)
        let blocks = validator == nil ? nil : id.flatMap { store.disk?.blocks($0) }
        // Another part may come in between two steps; each such loss is another's progress.
        while !isDiscarded() {
            let current = variant(plan.key, head.secondaryKey)
            var sparse = SparseBody(completeLength: part.completeLength, blocks: blocks)
            var replaced: StoredResponse?
            if let current, validator != nil, StrongValidator(current.fields) == validator,
                Int64(current.body.count) == part.completeLength
            {
                guard case .sparse(let known) = current.body else { return current }
                (sparse, replaced) = (known, current)
            }
            sparse = sparse.adding(body, at: part.range.lowerBound)
            let whole: StoredBody = sparse.isInMemory ? .memory(sparse.joined()) : .sparse(sparse)
            let stored = StoredResponse(
                key: plan.key, metadata: metadata, fields: fields,
                head: Self.storedHead(metadata.status, [], fields, whole.count),
                secondaryKey: head.secondaryKey, tags: head.tags,
                keyText: plan.keyText, body: whole, bodyID: id, pulledAt: plan.position)
            if let replaced {
                guard store.replace(replaced, with: stored, isRefresh: false) else {
                    if variant(plan.key, head.secondaryKey) === replaced { return nil }
                    continue
                }
            } else {
                guard store.insert(stored) else { return nil }
            }
            if isDiscarded() { store.remove(stored) }
            return stored
        }
        return nil
    }

    /// What is stored under both keys.
    private func variant(_ key: Digest128, _ secondaryKey: SecondaryKey?) -> StoredResponse? {
        switch store.lookup(key) {
        case .none: nil
        case .single(let stored): secondaryKey == nil ? stored : nil
        case .variants(let variants): variants.first { $0.secondaryKey == secondaryKey }
        }
    }

    /// `stored` with the fields and metadata that a validation brought.
    func freshened(
        _ stored: StoredResponse, metadata: StoredMetadata, fields: FieldSection, by answer: ResponseHead,
        plan: FillPlan
    ) -> StoredResponse {
        let tags = SurrogateKey.tags(answer.fields)
        // Another Vary than before: what selects it from now on is what this request had of those fields.
        let rule = VaryRule.parse(fields)
        let secondaryKey =
            rule == VaryRule.parse(stored.fields)
            ? stored.secondaryKey
            : SecondaryKey(request: plan.requestFields, response: fields)
        return stored.freshened(
            metadata: metadata, fields: fields.compacted(),
            head: Self.storedHead(metadata.status, [], fields, stored.body.count),
            secondaryKey: secondaryKey, tags: tags.isEmpty ? nil : tags, pulledAt: plan.position)
    }

    /// Takes back what a pull's request selects, and all variants where its answer names no Vary (RFC 9111 4.1):
    /// neither staleness nor an outage brings it back. What a pull brought that began later stays.
    func withdraw(_ plan: FillPlan, hasVary: Bool, requestTime: WallTime) {
        var selected: [StoredResponse] = []
        switch store.memory.lookup(plan.key) {
        case .none: break
        case .single(let stored): selected = [stored]
        case .variants(let variants): selected = variants
        }
        let isAnyNewer = selected.contains { $0.metadata.responseTime > requestTime }
        if let stored = plan.stored, !selected.contains(where: { $0 === stored }) { selected.append(stored) }
        selected.removeAll { stored in
            stored.metadata.responseTime > requestTime
                || (hasVary && !(stored.secondaryKey?.matches(plan.requestFields) ?? true))
        }
        let isAllOfKey = !hasVary && !isAnyNewer
        guard !selected.isEmpty || (isAllOfKey && store.disk?.mayHold(plan.key) == true) else { return }
        if isAllOfKey { store.remove(plan.key) } else { for stored in selected { store.remove(stored) } }
        marks.markWithdrawn(plan.key)
    }

    /// Whether `stored` may answer although the origin failed. A response that was purged may not.
    func mayServeStale(
        _ stored: StoredResponse, _ failure: OriginFailure, _ rules: CachingRules, now: WallTime
    ) -> Reason? {
        let since: WallTime?
        switch store.stamps.verdict(of: stored) {
        case .hidden: return nil
        case .untouched: since = nil
        case .stale(let time): since = time
        }
        let verdict = StalePolicy.decide(
            stored.metadata, failure: failure, rules: rules, now: now, softPurgedAt: since)
        if case .allowed(let reason) = verdict { return reason }
        return nil
    }

    /// The head of a stored response up to its dynamic fields.
    static func storedHead(_ status: Int, _ reason: [UInt8], _ fields: FieldSection, _ length: Int) -> [UInt8]
    {
        var writer = HeadWriter(status: status, reason: reason)
        writer.append(fields)
        if status != 204 { writer.append(.contentLength, decimal: length) }
        return writer.bytes
    }

    /// What a passed response changes in the store: a HEAD freshens, or makes stale (RFC 9111 4.3.5), a successful
    /// unsafe request invalidates (4.4).
    func settlePass(_ plan: FillPlan, _ head: ResponseHead, requestTime: WallTime) {
        if let keys = plan.invalidates?(head) {
            for key in keys {
                store.remove(key)
                collapser.invalidate(key)
            }
        }
        guard plan.isHead, let stored = plan.stored, head.status == 200 else { return }
        switch Validation.headUpdates(
            stored: stored.fields, storedLength: Int64(stored.body.count), head: head.fields,
            status: head.status)
        {
        case .none: break
        case .invalidate: makeStale(stored)
        case .freshen: freshen(stored, fromHead: head, plan, requestTime: requestTime)
        }
    }

    /// A HEAD told that the origin has another representation by now: the next GET asks for it.
    private func makeStale(_ stored: StoredResponse) {
        var metadata = stored.metadata
        let age = metadata.currentAgeMilliseconds(at: SystemClock.wall())
        metadata.freshnessLifetimeMilliseconds = min(metadata.freshnessLifetimeMilliseconds, age)
        let stale = stored.freshened(
            metadata: metadata, fields: stored.fields, head: stored.head, secondaryKey: stored.secondaryKey,
            pulledAt: stored.pulledAt)
        store.replace(stored, with: stale, isRefresh: true)
    }

    private func freshen(
        _ stored: StoredResponse, fromHead head: ResponseHead, _ plan: FillPlan, requestTime: WallTime
    ) {
        let now = SystemClock.wall()
        let received = ResponseFields.forStorage(head.fields, drop: [], status: 200, receivedAt: now)
        let merged = Validation.freshen(stored: stored.fields, fromHead: received)
        guard Validation.isWithinLimits(merged) else { return }
        var judged = merged
        if let age = head.fields.first(.age) { judged.append(.age, age) }
        // The stored response was made for nobody in particular.
        var traits = RequestTraits(getFrom: plan.traits)
        traits.hasCookie = false
        let verdict = Storability.decide(
            request: traits, response: ResponseHead(status: 200, fields: judged),
            rules: plan.rules, requestTime: requestTime, responseTime: now)
        guard case .storable(let metadata) = verdict else { return }
        let drop = Storability.fieldsToDrop(response: ResponseHead(status: 200, fields: merged))
        let fields = ResponseFields.forStorage(merged, drop: drop, status: 200, receivedAt: now)
        let fresh = stored.freshened(
            metadata: metadata, fields: fields.compacted(),
            head: Self.storedHead(metadata.status, [], fields, stored.body.count),
            secondaryKey: stored.secondaryKey, pulledAt: plan.position)
        store.replace(stored, with: fresh, isRefresh: true)
    }
}

extension RequestTraits {
    /// The traits of the GET whose stored response a HEAD is compared with.
    init(getFrom traits: RequestTraits) {
        self = traits
        method = .get
    }
}

/// The cache keys that a successful unsafe request invalidates (RFC 9111 4.4).
enum InvalidatedKeys {
    static func keys(
        request: ExchangeRequest, response: ResponseHead, sites: SiteTable, seed: DigestSeed
    ) -> [Digest128] {
        let targets = Invalidation.targets(
            requestMethod: request.head.method, scheme: request.scheme, authority: request.authority[...],
            path: request.head.path, query: request.head.query, status: response.status,
            response: response.fields)
        var keys: [Digest128] = []
        for target in targets {
            guard let site = sites.site(forKeyed: target.authority[...]) else { continue }
            var text: [UInt8] = []
            CacheKey.append(
                scheme: request.scheme, authority: target.authority[...], path: target.path[...],
                query: target.query?[...], rule: site.resolve(path: target.path[...]).query, into: &text)
            keys.append(seed.digest(text))
        }
        return keys
    }
}

/// An address that the node listens on.
public struct BoundListener: Sendable, Equatable {
    /// With the port that it got.
    public let address: ListenAddress
    public let isTLS: Bool

    public init(address: ListenAddress, isTLS: Bool) {
        self.address = address
        self.isTLS = isTLS
    }
}

extension ResponseStore {
    /// Keeps to the budgets of `cache`. A disk tier comes and goes with the process alone.
    fileprivate func take(_ cache: NodeConfiguration.Cache) {
        memory.setBudget(cache.memoryBytes)
        memory.setMaxVariants(cache.maxVariants)
        guard let disk else { return }
        disk.setMaxVariants(cache.maxVariants)
        if cache.diskBytes >= DiskTier.leastBudgetBytes {
            disk.setBudget(
                cache.diskBytes, backlogBytes: DiskTier.backlogBytes(memoryBytes: cache.memoryBytes))
        }
    }
}
