import EdgePolicy
import EdgePrimitives
import NIOCore
import Synchronization

/// The disk tier: stored responses that outlive memory and the process.
///
/// No call waits for the disk. The index is in memory; what writes goes through one thread, what reads through a few
/// others, and completions are called on those. A disk that fails is left alone for a while: the node goes on without
/// it, and tries again by itself.
public final class DiskTier: Sendable {
    /// A response that was read.
    public struct Loaded: Sendable {
        public let response: StoredResponse
        /// Whether it was asked for before, so that memory is the place for it.
        public let isFrequent: Bool
    }

    /// Bodies up to this size lie in the record of their response.
    public static let inlineBytes = DiskFormat.inlineBytes
    /// With less than this there is no disk tier.
    public static let leastBudgetBytes = DiskGeometry.leastBudgetBytes
    static let readerThreads = 4
    /// For how long a disk that failed is left alone: at first, and at most.
    static let backOffMilliseconds: ClosedRange<Int64> = 1_000...30_000
    /// How long the writer waits for company of what woke it, and how much is enough at once.
    private static let gatherMilliseconds = 1
    private static let gatheredBytes = 256 << 10
    private static let largestOwed = 65_536
    static let scrubbedJournalBytes = 64 * DiskFormat.entryBytes

    public let recovery: RecoveryReport
    /// Under which keys and identities are computed; it outlives the process, or nothing would be found again.
    public let seed: DigestSeed
    /// Bodies beyond ``inlineBytes`` are written in blocks of this size.
    public let blockBytes: Int

    private let shape: Mutex<DiskGeometry>
    let index: DiskIndex
    let segments: SegmentTable
    let account: OccupancyAccount
    let counters: DiskCounters
    private let log: Mutex<DiskLog>
    let readers: WorkerThreads
    let writer: WorkerThreads
    private let closer: WorkerThreads
    let queue: Mutex<DiskQueue>
    private let admission: Mutex<AdmissionFilter>
    private let hasBeenFull = Atomic<Bool>(false)
    private let largestBacklogBytes: Atomic<Int>
    private let backOff: ClosedRange<Int64>
    private let variantLimit: Atomic<Int>

    /// Opens the directory behind `volume`, reads its journals, and is ready.
    ///
    /// - Parameters:
    ///   - budgetBytes: what all its files may occupy; at least 4 MiB.
    ///   - backlogBytes: what may wait in memory to be written; beyond it responses that memory evicts are not.
    ///   - maxVariants: stored responses for one primary key.
    public convenience init(
        volume: any DiskVolume, budgetBytes: Int64, backlogBytes: Int, maxVariants: Int = 64
    ) throws(DiskTierError) {
        try self.init(
            volume: volume, budgetBytes: budgetBytes, backlogBytes: backlogBytes, maxVariants: maxVariants,
            backOff: Self.backOffMilliseconds)
    }

    init(
        volume: any DiskVolume, budgetBytes: Int64, backlogBytes: Int, maxVariants: Int = 64,
        backOff: ClosedRange<Int64>
    ) throws(DiskTierError) {
        guard budgetBytes >= DiskGeometry.leastBudgetBytes else { throw .tooSmall(budgetBytes) }
        let geometry = DiskGeometry(budgetBytes: budgetBytes)
        let closer = WorkerThreads(count: 1)
        let recovered: DiskRecovery
        do {
            recovered = try DiskRecovery(volume: volume, geometry: geometry, closer: closer)
        } catch {
            closer.stop()
            throw error
        }
        self.closer = closer
        readers = WorkerThreads(count: Self.readerThreads)
        writer = WorkerThreads(count: 1)
        let counters = DiskCounters()
        let log = DiskLog(
            volume: volume, identity: recovered.identity, geometry: geometry, recovered: recovered,
            counters: counters)
        shape = Mutex(geometry)
        self.counters = counters
        recovery = recovered.report
        seed = recovered.identity.seed
        blockBytes = geometry.blockBytes
        index = recovered.index
        segments = recovered.segments
        account = recovered.account
        largestBacklogBytes = Atomic(backlogBytes)
        self.backOff = backOff
        variantLimit = Atomic(maxVariants)
        hasBeenFull.store(log.hasBeenFull, ordering: .relaxed)
        admission = Mutex(
            AdmissionFilter(
                windowObjects: Self.admissionWindow(of: recovered.index.count, isFull: log.hasBeenFull)))
        queue = Mutex(DiskQueue())
        self.log = Mutex(log)
    }

    /// Writes what waits, ends the threads and lets the directory go.
    public func shutdown() {
        writer.stop()
        readers.stop()
        residency.withLock { $0 = nil }
        log.withLock { $0.close() }
        closer.stop()
    }

    // MARK: Storing

    /// Whether a response pulled just now is to be written: everything while the disk has never been full, after that
    /// what was pulled before (guards against one-hit wonders).
    public func admits(_ key: Digest128) -> Bool {
        let isKnown = admission.withLock { $0.seenBefore(key) }
        return isKnown || !hasBeenFull.load(ordering: .relaxed)
    }

    /// The admission filter's window: twice the entries that a full disk holds. With a longer one more is written that
    /// nobody asks for again, with a shorter one what comes back in time is not known any more.
    private static func admissionWindow(of entries: Int, isFull: Bool) -> Int {
        max(isFull ? 1 << 10 : 1 << 16, 2 * entries)
    }

    /// Lets the window follow what the disk holds; in steps of a quarter, since each change forgets a part.
    private func fitAdmission() {
        let wanted = Self.admissionWindow(of: index.count, isFull: hasBeenFull.load(ordering: .relaxed))
        admission.withLock { filter in
            guard abs(wanted - filter.windowObjects) * 4 > filter.windowObjects else { return }
            filter.resize(windowObjects: wanted)
        }
    }

    /// Takes a response that was stored in memory, in place of the one with the same keys; it is written soon.
    ///
    /// - Parameters:
    ///   - isRefresh: the response was freshened (RFC 9111 3.2): written only if it was on disk before.
    ///   - isAdmitted: ``admits(_:)`` said yes before.
    public func insert(_ response: StoredResponse, isRefresh: Bool = false, isAdmitted: Bool = false) {
        let place = DiskQueue.Place(
            key: response.key, variant: ResponseCoding.variant(response.secondaryKey, seed: seed))
        let isNew = !isRefresh && !isAdmitted
        let isKnown = isNew && admits(response.key)
        let now = SystemClock.monotonic()
        var isTaken = false
        enqueue { queue in
            // What it replaces is not found from here on, written or not.
            let gone = index.remove(place.key, variant: place.variant, kind: .response, at: nil)
            let replaces = gone != nil || queue.isWaiting(place)
            isTaken = (replaces || isAdmitted || isKnown) && !queue.isSuspended(now)
            if isTaken {
                dropLeastVariant(of: place, &queue)
                // A larger backlog than this stays where memory has it, and only there.
                let isHeld =
                    queue.pendingBytes + response.chargedBytes
                    <= largestBacklogBytes.load(ordering: .relaxed)
                queue.append(
                    isHeld ? .held(response) : .evictable(.init(response: response)), place,
                    bytes: isHeld ? response.chargedBytes : 0, replaces: replaces)
            } else if replaces {
                _ = queue.cancel(place)
                queue.append(.removal(.removeVariant, place.key, place.variant), bytes: 0)
            }
            return isTaken || replaces
        }
        if !isTaken { counters.refusals.add(1) }
    }

    /// Keeps the variants of a key within their number: a lookup reads all of them. The one with the fewest uses goes,
    /// the oldest of equals.
    private func dropLeastVariant(of place: DiskQueue.Place, _ queue: inout DiskQueue) {
        guard place.variant != 0 else { return }
        let variants = index.find(place.key)
        // More than one where the number was made smaller.
        let surplus = variants.count - variantLimit.load(ordering: .relaxed) + 1
        guard surplus > 0 else { return }
        let byUse = variants.sorted {
            ($0.uses, $0.location.generation, $0.location.offset)
                < ($1.uses, $1.location.generation, $1.location.offset)
        }
        for least in byUse.prefix(surplus) {
            _ = index.remove(place.key, variant: least.variant, kind: .response, at: nil)
            queue.append(.removal(.removeVariant, place.key, least.variant), bytes: 0)
        }
    }

    /// Writes one whole block of a body that is still on its way.
    ///
    /// - Parameter completion: called on another thread; false where it could not be written.
    /// - Returns: false, and the completion never called, while the disk is left alone.
    public func write(
        _ bytes: ByteBuffer, at offset: Int64, of blocks: DiskBlocks, completeLength: Int64,
        _ completion: @escaping @Sendable (Bool) -> Void
    ) -> Bool {
        guard let block = blocks.block(at: offset, of: completeLength), block.range.lowerBound == offset,
            bytes.readableBytes == block.count
        else { preconditionFailure("\(bytes.readableBytes) bytes at \(offset) are no block") }
        // The fill that it comes from waits for it: what waits in memory is bounded there.
        let now = SystemClock.monotonic()
        return enqueue { queue in
            guard !queue.isSuspended(now) else { return false }
            queue.append(.block(block.key, bytes, completion), bytes: bytes.readableBytes)
            return true
        }
    }

    /// Removes all variants of `key`. They are found no more when this returns; the journal learns of it soon.
    public func remove(_ key: Digest128) {
        removeNow(.removeKey, key, 0) { queue in
            let wasWaiting = queue.cancel(key)
            return !index.remove(key).isEmpty || wasWaiting
        }
    }

    /// Removes the variant that `response` is.
    public func remove(_ response: StoredResponse) {
        let variant = ResponseCoding.variant(response.secondaryKey, seed: seed)
        removeNow(.removeVariant, response.key, variant) { queue in
            let wasWaiting = queue.cancel(DiskQueue.Place(key: response.key, variant: variant))
            return index.remove(response.key, variant: variant, kind: .response, at: nil) != nil || wasWaiting
        }
    }

    /// Removes everything.
    public func removeAll() {
        removeNow(.removeAll, Digest128(high: 0, low: 0), 0) { queue in
            queue.cancelAll()
            index.removeAll()
            return true
        }
    }

    // MARK: The writer

    /// Takes something out of the index and out of what waits, in one step as far as the writer can see, and has it
    /// journaled where there was anything.
    func removeNow(
        _ operation: JournalEntry.Operation, _ key: Digest128, _ variant: UInt32,
        _ removal: (inout DiskQueue) -> Bool
    ) {
        enqueue { queue in
            guard removal(&queue) else { return false }
            queue.append(.removal(operation, key, variant), bytes: 0)
            return true
        }
    }

    /// Changes the queue, and wakes the writer where there is more for it to do.
    ///
    /// - Parameter change: whether it added anything; handed on.
    @discardableResult
    private func enqueue(_ change: (inout DiskQueue) -> Bool) -> Bool {
        let (isAdded, wakes) = queue.withLock { queue -> (Bool, Bool) in
            guard change(&queue) else { return (false, false) }
            return (true, queue.startRunning())
        }
        if wakes {
            writer.submit {
                self.gather()
                self.drain()
            }
        }
        return isAdded
    }

    func journal(_ operation: JournalEntry.Operation, _ key: Digest128, _ variant: UInt32) {
        removeNow(operation, key, variant) { _ in true }
    }

    /// Under a stream of small responses a writer that wakes for each costs more than the writing: it looks again only
    /// after a pause, and finds a batch.
    private func gather() {
        guard queue.withLock({ $0.pendingBytes < Self.gatheredBytes }) else { return }
        writer.pause(milliseconds: Self.gatherMilliseconds)
    }

    /// Writes what waits, batch by batch. On the writer's thread.
    func drain() {
        while true {
            let batch = queue.withLock { $0.takeBatch() }
            guard !batch.isEmpty else { return }
            writeBatch(batch)
        }
    }

    private func writeBatch(_ batch: [DiskQueue.Item]) {
        log.withLock { log in
            let isSuspended = queue.withLock { $0.isSuspended(SystemClock.monotonic()) }
            let owed = isSuspended ? [] : queue.withLock { $0.takeOwed() }
            var failure: DiskError?
            var done = 0
            if !isSuspended {
                do throws(DiskError) {
                    for item in owed { try write(item, &log) }
                    for item in batch {
                        try write(item, &log)
                        done += 1
                    }
                    try log.commit()
                } catch {
                    failure = error
                }
            }
            if let failure { suspend(failure) }
            if isSuspended || failure != nil {
                // Entries that were not committed are lost with those that were not made.
                for item in batch[done...] { giveUp(item) }
                owe(owed + batch)
            }
            queue.withLock { queue in for item in batch { queue.finish(item) } }
            guard !isSuspended, failure == nil else { return }
            do throws(DiskError) {
                try log.reclaimStep { self.isResident($0) }
                try log.commit()
            } catch {
                suspend(error)
                return
            }
            hasBeenFull.store(log.hasBeenFull, ordering: .relaxed)
            if log.takeHasTurned() { fitAdmission() }
            queue.withLock { $0.succeeded() }
        }
    }

    private func write(_ item: DiskQueue.Item, _ log: inout DiskLog) throws(DiskError) {
        switch item.work {
        case .removal(let operation, let key, let variant):
            try log.appendRemoval(operation, key: key, variant: variant)
        case .block(let key, let bytes, let completion):
            completion(try append(bytes, asBlock: key, &log))
        case .response(let reference, let variant):
            guard try !write(reference, variant, item, &log), item.replaces, let key = item.place?.key else {
                return
            }
            // What it would have replaced must not be found again.
            try log.appendRemoval(.removeVariant, key: key, variant: variant)
        }
    }

    /// False where the response is not written.
    private func write(
        _ reference: DiskQueue.Reference, _ variant: UInt32, _ item: DiskQueue.Item, _ log: inout DiskLog
    ) throws(DiskError) -> Bool {
        guard !queue.withLock({ $0.isCancelled(item) }) else { return false }
        guard let response = reference.response else {
            counters.backlogDrops.add(1)
            return false
        }
        guard let body = try writeBody(of: response, &log) else {
            counters.refusals.add(1)
            return false
        }
        let isWritten = try log.append(
            .response, key: response.key, variant: variant,
            head: ResponseCoding.encode(response, body.section), body: body.inline
        ) { entry in
            queue.withLock { queue in
                guard !queue.isCancelled(item) else { return false }
                index.put(entry)
                return true
            }
        }
        if isWritten { counters.insertions.add(1) }
        return isWritten
    }

    private func append(_ bytes: ByteBuffer, asBlock key: Digest128, _ log: inout DiskLog) throws(DiskError)
        -> Bool
    {
        try log.append(.block, key: key, variant: 0, head: [], body: bytes) { entry in
            index.put(entry)
            return true
        }
    }

    /// Writes the blocks of a body that are not there yet; nil where it cannot be stored.
    private func writeBody(of response: StoredResponse, _ log: inout DiskLog) throws(DiskError)
        -> (section: ResponseCoding.Body, inline: ByteBuffer)?
    {
        let length = Int64(response.body.count)
        let sparse: SparseBody
        let blocks: DiskBlocks
        switch response.body {
        case .sparse(let body):
            guard let known = body.blocks else { return nil }
            (sparse, blocks) = (body, known)
        case .memory, .pages:
            let whole = response.body.buffer
            if whole.readableBytes <= DiskFormat.inlineBytes {
                return (ResponseCoding.Body(length: length, id: nil, blockBytes: 0), whole)
            }
            guard let id = response.bodyID else { return nil }
            blocks = self.blocks(id)
            sparse = SparseBody(completeLength: length).adding(whole, at: 0)
        }
        for block in sparse.wholeBlocks(of: blocks) {
            // What an earlier pull left counts only once it was checked.
            guard !isProved(block), !(isStored(block) && prepareNow(block)),
                let bytes = sparse.bytes(of: block.range)
            else { continue }
            guard try append(bytes, asBlock: block.key, &log) else { return nil }
        }
        return (
            ResponseCoding.Body(length: length, id: blocks.id, blockBytes: blocks.blockBytes), ByteBuffer()
        )
    }

    // MARK: A disk that fails

    private func giveUp(_ item: DiskQueue.Item) {
        switch item.work {
        case .removal: break
        case .block(_, _, let completion): completion(false)
        case .response: counters.backlogDrops.add(1)
        }
    }

    /// What the journal could not take is owed to it: without it, what was removed or replaced would be found again
    /// after a restart.
    private func owe(_ items: [DiskQueue.Item]) {
        queue.withLock { queue in
            queue.owe(items)
            if queue.owedCount > Self.largestOwed {
                queue.oweEverything()
                index.removeAll()
            }
        }
    }

    private func suspend(_ error: DiskError) {
        counters.errors.add(1)
        queue.withLock {
            $0.suspend(
                error, now: SystemClock.monotonic(), first: backOff.lowerBound, last: backOff.upperBound)
        }
    }

    /// Tries a disk again that has failed, and gives its journal what is owed to it. Called now and then by a
    /// maintenance thread.
    public func retry() {
        enqueue { queue in
            guard queue.isDegraded, !queue.isSuspended(SystemClock.monotonic()) else { return false }
            // A removal of nothing: with nothing owed there is still the question whether the disk is back.
            queue.append(.removal(.removeKey, Digest128(high: 0, low: 0), 0), bytes: 0)
            return true
        }
    }

    /// Looks whether the directory is still there, off the calling thread. Writes to files that were removed under the
    /// node succeed, and nobody would ever find what they hold.
    public func checkPlace() {
        writer.submit {
            self.log.withLock { log in
                do throws(DiskError) {
                    try log.checkPlace()
                    try log.fitBudget()
                } catch {
                    self.suspend(error)
                }
            }
        }
    }

    // MARK: Other budgets

    var geometry: DiskGeometry { shape.withLock { $0 } }

    /// What may wait in memory to be written, for a node with so much memory.
    public static func backlogBytes(memoryBytes: Int64) -> Int {
        Int(min(64 << 20, max(4 << 20, memoryBytes / 16)))
    }

    /// Changes what all files may occupy, off the calling thread; what no longer fits is given up, the oldest first.
    public func setBudget(_ bytes: Int64, backlogBytes: Int) {
        precondition(bytes >= Self.leastBudgetBytes && backlogBytes >= 0)
        largestBacklogBytes.store(backlogBytes, ordering: .relaxed)
        let isChanged = shape.withLock { shape in
            guard shape.budgetBytes != bytes else { return false }
            shape = shape.resized(to: bytes)
            return true
        }
        guard isChanged else { return }
        writer.submit {
            self.log.withLock { log in
                do throws(DiskError) {
                    // The newest one: two changes may have come before this.
                    try log.resize(to: self.geometry)
                } catch {
                    self.suspend(error)
                }
                self.hasBeenFull.store(log.hasBeenFull, ordering: .relaxed)
            }
        }
    }

    /// Changes how many variants a key may have. Those beyond leave when the next one comes.
    public func setMaxVariants(_ count: Int) {
        precondition(count > 0)
        variantLimit.store(count, ordering: .relaxed)
    }

    // MARK: Memory beside

    /// In a structure of its own: a mutex over a bare closure wraps it once more at every access (Swift 6.3).
    private struct Residency {
        let isResident: @Sendable (Digest128) -> Bool
    }

    private let residency = Mutex<Residency?>(nil)

    /// Tells which keys memory holds: they are in use, though the disk does not see it.
    func setResidency(_ isResident: @escaping @Sendable (Digest128) -> Bool) {
        residency.withLock { $0 = Residency(isResident: isResident) }
    }

    private func isResident(_ key: Digest128) -> Bool {
        residency.withLock { $0 }?.isResident(key) ?? false
    }
}
