import EdgePolicy
import EdgePrimitives

/// Who is resident in the memory tier, in which order they leave, and what they hold. Guarded by the tier's
/// lock.
struct MemoryLedger {
    var budgetBytes: Int
    /// What the heap holds beyond what is charged: see `MemoryTier.setOverhead`.
    var overheadBytes = 0
    /// Stored responses and fills in flight.
    private(set) var usedBytes = 0
    private(set) var fillBytes = 0
    /// What residents gave back to the heap since it was last trimmed, less what newer ones took of it.
    private var looseBytes = 0
    private var isTrimAwaited = false
    var counters = MemoryTierSnapshot()
    private var order = GreedyDualS3()
    /// By slot of the eviction order.
    private var residents: [StoredResponse?] = []

    init(budgetBytes: Int) {
        self.budgetBytes = budgetBytes
    }

    /// What stored responses and fills may hold together. Overhead takes three quarters of the budget at
    /// most, so that a wrong measurement cannot empty the tier.
    var usableBytes: Int { budgetBytes - min(overheadBytes, budgetBytes / 4 * 3) }

    func isResident(_ response: StoredResponse) -> Bool {
        guard let slot = response.slot, slot < residents.count else { return false }
        return residents[slot] === response
    }

    /// Whether `response` may come in at all. More than half of the budget would turn the tier over for one
    /// response; fills hold at most the other half, so that room can always be made for what may.
    mutating func hasRoom(_ response: StoredResponse) -> Bool {
        let bytes = response.chargedBytes
        if bytes <= budgetBytes / 2, fillBytes + bytes <= usableBytes { return true }
        counters.refusals += 1
        return false
    }

    /// Takes `replaced` out of the order and tells where `response` belongs. What was replaced has been
    /// asked for again, or it would not have been pulled or validated, so that its successor goes to main
    /// if it was ever used.
    mutating func admit(_ response: StoredResponse, replacing replaced: StoredResponse?) -> GreedyDualS3.Stage
    {
        guard let replaced, let slot = replaced.slot else {
            return order.stage(of: Self.fingerprint(response))
        }
        response.useCount = replaced.useCount
        let stage = replaced.useCount > 0 ? .main : order.currentStage(slot)
        remove(replaced)
        counters.replacements += 1
        return stage
    }

    /// Lets `response` in; room has been made.
    mutating func add(_ response: StoredResponse, stage: GreedyDualS3.Stage) {
        let bytes = response.chargedBytes
        assert(usedBytes + bytes <= usableBytes, "no room was made")
        let slot = order.insert(fingerprint: Self.fingerprint(response), size: bytes, stage: stage)
        if slot == residents.count {
            residents.append(response)
        } else {
            assert(residents[slot] == nil)
            residents[slot] = response
        }
        response.enter(slot: slot, atSecond: Self.now())
        usedBytes += bytes
        looseBytes = max(0, looseBytes - Self.heapBytes(response))
        counters.insertions += 1
    }

    /// Evicts one response and returns it; nil when nobody is left.
    mutating func evictOne() -> StoredResponse? {
        var victim: StoredResponse?
        while victim == nil, let slot = order.candidate {
            guard let response = residents[slot] else { preconditionFailure("slot \(slot) has no resident") }
            guard order.takeTurn(slot, uses: response.takeUse()) else { continue }
            vacate(slot, response)
            victim = response
        }
        guard let response = victim else { return nil }
        counters.evictions += 1
        counters.evictedBytes += UInt64(response.chargedBytes)
        let age = Double(Self.now() &- response.enteredAtSecond)
        counters.evictionAgeSeconds +=
            (age - counters.evictionAgeSeconds) / Double(min(counters.evictions, 256))
        return response
    }

    /// Takes a resident out that was removed, replaced or crowded out.
    mutating func remove(_ response: StoredResponse) {
        guard let slot = response.slot else {
            assertionFailure("not a resident")
            return
        }
        order.remove(slot)
        vacate(slot, response)
    }

    private mutating func vacate(_ slot: Int, _ response: StoredResponse) {
        residents[slot] = nil
        usedBytes -= response.chargedBytes
        letGo(of: response)
    }

    private mutating func letGo(of response: StoredResponse) {
        response.leave()
        looseBytes += Self.heapBytes(response)
    }

    /// What of a response is not a mapping of its own, which goes back to the system by itself.
    private static func heapBytes(_ response: StoredResponse) -> Int {
        let body = ExactStorage.heldBytes(response.body.count)
        return response.chargedBytes
            - (body >= ExactStorage.mappingThreshold ? min(body, response.chargedBytes) : 0)
    }

    /// Whether so much lies loose in the heap that somebody should trim it; true once until it is.
    mutating func takeTrimDue() -> Bool {
        guard !isTrimAwaited, looseBytes > budgetBytes / 32 else { return false }
        isTrimAwaited = true
        return true
    }

    /// Whether mappings would come on top of more that lies loose than the budget can bear.
    var isTrimOverdue: Bool { looseBytes > budgetBytes / 16 }

    mutating func noteTrim() {
        looseBytes = 0
        isTrimAwaited = false
    }

    /// Takes everybody out and returns them, so that they are freed outside of the lock.
    mutating func removeAll() -> [StoredResponse] {
        let all = residents.compactMap { $0 }
        for response in all { letGo(of: response) }
        residents = []
        order = GreedyDualS3()
        usedBytes = fillBytes
        return all
    }

    mutating func reserve(_ bytes: Int) {
        fillBytes += bytes
        usedBytes += bytes
    }

    mutating func release(_ bytes: Int) {
        precondition(bytes >= 0 && bytes <= fillBytes, "more was released than reserved")
        fillBytes -= bytes
        usedBytes -= bytes
    }

    var snapshot: MemoryTierSnapshot {
        var snapshot = counters
        snapshot.budgetBytes = Int64(budgetBytes)
        snapshot.usedBytes = Int64(usedBytes)
        snapshot.fillBytes = Int64(fillBytes)
        snapshot.overheadBytes = Int64(overheadBytes)
        snapshot.count = order.count
        snapshot.indexBytes = order.byteCount + residents.capacity * MemoryLayout<StoredResponse?>.stride
        return snapshot
    }

    /// Which response a ghost stands for: its primary key, and with Vary its rule and values by their
    /// digest.
    private static func fingerprint(_ response: StoredResponse) -> UInt64 {
        guard let secondary = response.secondaryKey else { return response.key.low }
        return secondary.selectionBytes.reduce(response.key.low) {
            ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01b3
        }
    }

    private static func now() -> UInt32 {
        UInt32(truncatingIfNeeded: SystemClock.monotonic().nanoseconds / 1_000_000_000)
    }

    func checkInvariants(indexed: [StoredResponse]) {
        // Fills in flight are never revoked, so that a budget made smaller may leave them above it, alone.
        precondition(usedBytes <= max(usableBytes, fillBytes) && fillBytes >= 0)
        precondition(order.checkInvariants() == usedBytes - fillBytes)
        precondition(indexed.count == order.count && residents.count { $0 != nil } == order.count)
        precondition(indexed.allSatisfy(isResident))
        precondition(indexed.reduce(0) { $0 + $1.chargedBytes } == usedBytes - fillBytes)
    }
}
