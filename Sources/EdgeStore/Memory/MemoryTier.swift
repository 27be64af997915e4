import CEdgeLinux
import EdgePrimitives
import Synchronization

/// The memory tier: stored responses within a budget of bytes.
///
/// A lookup takes the short lock of one index shard and stores at most one byte. Everything that changes
/// what is stored goes through the ledger, one lock that hits never take: it holds the eviction order and
/// the accounts.
///
/// Lock order: ledger, then one shard. A response is in the index exactly when it is in the ledger, seen by
/// anybody who holds the ledger's lock. Memory is freed after both locks are released.
public final class MemoryTier: Sendable {
    /// What a stored response is charged for its share of the index (at most three quarters, at least three
    /// eighths full: 32 to 64 bytes), the eviction order (40), the residents' array (8) and the ghost (12
    /// to 24).
    static let indexShareBytes = 128
    private static let shardBits = 6

    private let shards: [IndexShard]
    private let ledger: Mutex<MemoryLedger>
    private let variantLimit: Atomic<Int>

    /// An empty tier.
    ///
    /// - Parameters:
    ///   - budgetBytes: what stored responses and fills in flight may hold together.
    ///   - maxVariants: stored responses for one primary key; the least used one goes first.
    public init(budgetBytes: Int64, maxVariants: Int) {
        precondition(budgetBytes >= 0 && maxVariants > 0)
        shards = (0..<1 << Self.shardBits).map { _ in IndexShard() }
        ledger = Mutex(MemoryLedger(budgetBytes: Int(budgetBytes)))
        variantLimit = Atomic(maxVariants)
    }

    /// Makes glibc give back what is freed: large blocks are mappings of their own whatever was freed
    /// before, and threads share few heaps. To be called once, before the first threads start.
    public static func configureAllocator(heaps: Int) {
        _ = edge_malloc_set_mmap_threshold(CInt(ExactStorage.mappingThreshold))
        _ = edge_malloc_set_trim_threshold(CInt(ExactStorage.mappingThreshold))
        _ = edge_malloc_set_arena_max(CInt(heaps))
    }

    /// Gives free pages inside the heaps back to the system. Small responses that left one by one leave
    /// holes that larger ones cannot use; called by a maintenance thread after every thirty-second part of
    /// the budget that was evicted, this keeps resident memory by the budget. It walks the heaps, some
    /// milliseconds long, so never on an event loop.
    public func trimAllocator() {
        ledger.withLock { $0.noteTrim() }
        _ = edge_malloc_trim(0)
    }

    /// In a structure of its own: a mutex over a bare closure wraps it once more at every access (Swift 6.3).
    private struct Trimming {
        let isDue: @Sendable () -> Void
    }

    private let trimming = Mutex<Trimming?>(nil)

    /// Has `isDue` called, from any thread, whenever so much was freed inside the heap that responses with mappings of
    /// their own would come on top of it: time for ``trimAllocator()``, on another thread.
    public func onTrimDue(_ isDue: @escaping @Sendable () -> Void) {
        trimming.withLock { $0 = Trimming(isDue: isDue) }
    }

    private var maxVariants: Int { variantLimit.load(ordering: .relaxed) }

    @inline(__always)
    private func shard(_ key: Digest128) -> IndexShard {
        shards[Int(truncatingIfNeeded: key.high >> UInt64(64 - Self.shardBits))]
    }

    // MARK: - Hits

    /// What is stored under `key`; a single stored response counts as used by this.
    public func lookup(_ key: Digest128) -> Lookup {
        let found = shard(key).table.withLock { $0.find(key) }
        if case .single(let response) = found { response.noteUse() }
        return found
    }

    /// Marks the variant that was chosen as used.
    public func recordHit(_ response: StoredResponse) {
        response.noteUse()
    }

    // MARK: - Insertion

    /// Stores `response`, in place of the one with the same primary and secondary key where there is one;
    /// variants of other secondary keys stay (RFC 9111 4.1), behind it in age.
    ///
    /// - Parameters:
    ///   - response: the newest response for its keys.
    ///   - fillBytes: what its fill had reserved; released in the same step, but only when the response is
    ///     stored.
    /// - Returns: false when it is larger than half of the budget; what was stored then stays.
    @discardableResult
    public func insert(_ response: StoredResponse, fillBytes: Int = 0) -> Bool {
        return change { ledger, leaving in
            ledger.release(fillBytes)
            if ledger.isResident(response) { return true }
            guard ledger.hasRoom(response) else {
                ledger.reserve(fillBytes)
                return false
            }
            let like = shard(response.key).table.withLock { $0.find(response.key, like: response) }
            store(response, inPlaceOf: like, &ledger, &leaving)
            return true
        }
    }

    /// Puts `new` in the place of `old` only if `old` is still stored (freshening by a 304, RFC 9111 3.2).
    @discardableResult
    public func replace(_ old: StoredResponse, with new: StoredResponse) -> Bool {
        precondition(old.key == new.key)
        return change { ledger, leaving in
            guard ledger.isResident(old), !ledger.isResident(new), ledger.hasRoom(new) else { return false }
            let like = shard(new.key).table.withLock { $0.find(new.key, like: new) }
            if let like, like !== old { drop(like, &ledger, &leaving) }
            store(new, inPlaceOf: old, &ledger, &leaving)
            return true
        }
    }

    /// Lets in what another tier has, unless there is something under the same keys, which is newer.
    ///
    /// - Parameter isCurrent: asked under the lock that every removal takes after it removed from the other tier.
    @discardableResult
    public func promote(_ response: StoredResponse, while isCurrent: () -> Bool) -> Bool {
        return change { ledger, leaving in
            guard !ledger.isResident(response), ledger.hasRoom(response) else { return false }
            let like = shard(response.key).table.withLock { $0.find(response.key, like: response) }
            guard like == nil, isCurrent() else { return false }
            store(response, inPlaceOf: nil, &ledger, &leaving)
            return true
        }
    }

    /// Whether anything is stored under `key`; not counted as a use.
    public func holds(_ key: Digest128) -> Bool {
        if case .none = shard(key).table.withLock({ $0.find(key) }) { false } else { true }
    }

    /// Where the log of purges stood when the oldest pull began of which a response is here; nil where none is. Looks
    /// at everything, one shard at a time.
    var oldestPull: PurgePosition? {
        shards.compactMap { shard in shard.table.withLock { $0.oldestPull } }.min()
    }

    /// Whatever leaves the tier under a lock, kept until the lock is released.
    private struct Leaving {
        var responses: [StoredResponse] = []
        var table: [IndexTable] = []
    }

    /// Changes who is stored, or what for. What leaves is freed once the locks are released; then, where that calls for
    /// a trim, it is told.
    private func change<Result: Sendable>(_ body: (inout MemoryLedger, inout Leaving) -> Result) -> Result {
        var leaving = Leaving()
        let (result, isTrimDue) = ledger.withLock { ledger in
            let result = body(&ledger, &leaving)
            return (result, ledger.takeTrimDue())
        }
        leaving = Leaving()
        if isTrimDue { trimming.withLock { $0 }?.isDue() }
        return result
    }

    /// Makes room, then lets `response` into ledger and index. Readers see either `replaced` or `response`,
    /// never neither.
    private func store(
        _ response: StoredResponse, inPlaceOf replaced: StoredResponse?, _ ledger: inout MemoryLedger,
        _ leaving: inout Leaving
    ) {
        let stage = ledger.admit(response, replacing: replaced)
        if let replaced { leaving.responses.append(replaced) }
        evict(&ledger, toFit: response.chargedBytes, &leaving)
        ledger.add(response, stage: stage)
        let dropped = shard(response.key).table.withLock {
            $0.put(response, replacing: replaced, maxVariants: maxVariants)
        }
        if let dropped {
            ledger.remove(dropped)
            ledger.counters.variantEvictions += 1
            leaving.responses.append(dropped)
        }
    }

    private func evict(_ ledger: inout MemoryLedger, toFit bytes: Int, _ leaving: inout Leaving) {
        while ledger.usedBytes + bytes > ledger.usableBytes, let victim = ledger.evictOne() {
            let wasIndexed = shard(victim.key).table.withLock { $0.remove(victim) }
            assert(wasIndexed, "a resident was not in the index")
            leaving.responses.append(victim)
        }
    }

    // MARK: - Removal

    /// Removes all variants of `key`.
    public func remove(_ key: Digest128) {
        change { ledger, leaving in
            let removed = shard(key).table.withLock { $0.removeAll(key) }
            for response in removed { ledger.remove(response) }
            leaving.responses = removed
        }
    }

    /// Removes one stored response if it is still stored.
    public func remove(_ response: StoredResponse) {
        change { ledger, leaving in
            guard ledger.isResident(response) else { return }
            drop(response, &ledger, &leaving)
        }
    }

    private func drop(_ response: StoredResponse, _ ledger: inout MemoryLedger, _ leaving: inout Leaving) {
        let wasIndexed = shard(response.key).table.withLock { $0.remove(response) }
        assert(wasIndexed, "a resident was not in the index")
        ledger.remove(response)
        leaving.responses.append(response)
    }

    /// Removes everything.
    public func removeAll() {
        change { ledger, leaving in
            for shard in shards { leaving.table.append(shard.table.withLock { $0.takeAll() }) }
            leaving.responses = ledger.removeAll()
        }
    }

    // MARK: - Budget

    /// Charges `bytes` of a fill in flight to the budget, evicting as needed.
    ///
    /// - Parameter mayTrim: whether the caller can wait for the heap to be trimmed: neither an event loop, nor holding
    ///   anything that one waits for.
    /// - Returns: false, and nothing charged, when fills would then hold more than half of the budget: the
    ///   fill is to be delivered without being kept.
    public func reserveFill(bytes: Int, mayTrim: Bool = false) -> Bool {
        precondition(bytes >= 0)
        // Traffic turns from small responses to large ones, faster than the maintenance thread.
        if mayTrim, bytes >= ExactStorage.mappingThreshold, ledger.withLock({ $0.isTrimOverdue }) {
            trimAllocator()
        }
        return change { ledger, leaving in
            guard ledger.fillBytes + bytes <= ledger.usableBytes / 2 else { return false }
            evict(&ledger, toFit: bytes, &leaving)
            ledger.reserve(bytes)
            return true
        }
    }

    /// Gives back what a successful `reserveFill` charged, for a fill that is not inserted.
    public func releaseFill(bytes: Int) {
        ledger.withLock { $0.release(bytes) }
    }

    /// Changes the budget, evicting down to it.
    public func setBudget(_ bytes: Int64) {
        precondition(bytes >= 0)
        change { ledger, leaving in
            ledger.budgetBytes = Int(bytes)
            evict(&ledger, toFit: 0, &leaving)
        }
    }

    /// Changes how many variants a primary key may have; of those beyond, the least used leave.
    public func setMaxVariants(_ count: Int) {
        precondition(count > 0)
        change { ledger, leaving in
            let before = variantLimit.exchange(count, ordering: .relaxed)
            guard count < before else { return }
            for shard in shards {
                for response in shard.table.withLock({ $0.dropVariants(beyond: count) }) {
                    ledger.remove(response)
                    ledger.counters.variantEvictions += 1
                    leaving.responses.append(response)
                }
            }
        }
    }

    /// Takes what the heap holds beyond what is charged off the budget, evicting as needed.
    ///
    /// When traffic turns from small responses to large ones, the small ones that stay pin pages that are
    /// otherwise free; no account of single blocks can see it. A maintenance thread measures it (resident
    /// memory, less that at start, less `usedBytes`) after each `trimAllocator`, and sets it here.
    public func setOverhead(bytes: Int) {
        change { ledger, leaving in
            ledger.overheadBytes = max(0, bytes)
            evict(&ledger, toFit: 0, &leaving)
        }
    }

    /// Accounts and counters of this moment.
    public var snapshot: MemoryTierSnapshot {
        ledger.withLock { ledger in
            var snapshot = ledger.snapshot
            for shard in shards { snapshot.indexBytes += shard.table.withLock { $0.byteCount } }
            return snapshot
        }
    }

    /// Compares index, eviction order and accounts, and traps on the first contradiction.
    package func checkInvariants() {
        ledger.withLock { ledger in
            var stored: [StoredResponse] = []
            for shard in shards {
                let inShard = shard.table.withLock { $0.checkInvariants(maxVariants: maxVariants) }
                precondition(inShard.allSatisfy { self.shard($0.key) === shard })
                stored += inShard
            }
            ledger.checkInvariants(indexed: stored)
        }
    }
}
