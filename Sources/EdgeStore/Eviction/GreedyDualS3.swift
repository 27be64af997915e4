/// The eviction order of the memory tier: greedy-dual S3.
///
/// Every quarter octave of sizes has two queues, first in, first out: probation for what was seen once,
/// main for what was asked for again. A resident has a priority H, and an inflation value L rises with what
/// is evicted:
///
/// * A newcomer goes to probation with H = L + 0.3 / sizeᵃ; one that was lately evicted from there (the
///   ghost remembers) goes to main with H = L + 1 / sizeᵃ.
/// * To evict, take the queue whose tail has the lowest H. A tail with f uses since its last turn gets H =
///   L + (1 + f) / sizeᵃ and joins main with f - 1; a tail without any is evicted, and L becomes its H.
///
/// With equal sizes this is close to S3-FIFO, with unequal ones to GDSF, without a heap, a sketch or a
/// splice on a hit: a hit is one byte stored outside of this structure, and `takeTurn` is handed the uses
/// by its caller. Nothing here reads a clock or takes a lock. Residents are known by slot, a dense number
/// that is reused after removal.
struct GreedyDualS3 {
    /// Which of the two queues of its size a resident waits in.
    enum Stage: Int {
        case probation = 0
        case main = 1
    }

    private struct Slot {
        var priority: Double
        var size: Int
        var fingerprint: UInt64
        var newer: Int32
        var older: Int32
        /// -1 for a free slot, whose `older` is the next free one.
        var queue: Int16
    }

    /// What a first sight is worth beside a second one.
    private static let probationShare = 0.3
    private static let none: Int32 = -1

    private var slots: [Slot] = []
    private var firstFree = Self.none
    private var newest = [Int32](repeating: -1, count: QueueTournament.queueCount)
    private var oldest = [Int32](repeating: -1, count: QueueTournament.queueCount)
    private var tournament = QueueTournament()
    private var ghost = GhostTable()
    private var inflation = 0.0
    /// Residents.
    private(set) var count = 0

    init() {}

    /// The bytes of the slots and of the ghost.
    var byteCount: Int { slots.capacity * MemoryLayout<Slot>.stride + ghost.byteCount }

    /// The highest slot ever used, plus one: arrays beside this one need no more elements.
    var slotLimit: Int { slots.count }

    /// Where a newcomer belongs: main when the ghost remembers it. To be asked once for each insertion,
    /// before evicting.
    mutating func stage(of fingerprint: UInt64) -> Stage {
        ghost.take(fingerprint, limit: count) ? .main : .probation
    }

    /// Adds a resident and returns its slot.
    mutating func insert(fingerprint: UInt64, size: Int, stage: Stage) -> Int {
        precondition(size > 0)
        let worth = stage == .main ? 1 : Self.probationShare
        let slot = Slot(
            priority: inflation + worth * Self.value(size), size: size, fingerprint: fingerprint,
            newer: Self.none, older: Self.none, queue: Self.queue(size, stage))
        let index: Int
        if firstFree != Self.none {
            index = Int(firstFree)
            firstFree = slots[index].older
            slots[index] = slot
        } else {
            precondition(slots.count < Int(Int32.max))
            index = slots.count
            slots.append(slot)
        }
        count += 1
        link(index)
        return index
    }

    /// The resident whose turn it is to leave or to go round again; nil when nobody is left.
    var candidate: Int? { tournament.lowest.map { Int(oldest[$0]) } }

    /// Gives the candidate its turn: without `uses` it leaves, and true is returned, else it goes round in
    /// main. The uses are those since its last turn; the caller takes one of them away.
    mutating func takeTurn(_ index: Int, uses: UInt8) -> Bool {
        let slot = slots[index]
        assert(slot.queue >= 0 && slot.older == Self.none, "not a candidate")
        if uses == 0 {
            inflation = max(inflation, slot.priority)
            remove(index)
            if slot.queue & 1 == Int16(Stage.probation.rawValue) {
                ghost.remember(slot.fingerprint, limit: count)
            }
            return true
        }
        unlink(index)
        slots[index].priority = inflation + Double(1 + Int(uses)) * Self.value(slot.size)
        slots[index].queue = Self.queue(slot.size, .main)
        link(index)
        return false
    }

    /// Removes a resident that was invalidated or replaced; the ghost does not hear of it.
    mutating func remove(_ index: Int) {
        assert(slots[index].queue >= 0, "slot \(index) is free")
        unlink(index)
        slots[index].queue = -1
        slots[index].older = firstFree
        firstFree = Int32(index)
        count -= 1
    }

    /// The stage of a resident.
    func currentStage(_ index: Int) -> Stage {
        slots[index].queue & 1 == 0 ? .probation : .main
    }

    /// 1 / sizeᵃ with a = 0.5.
    private static func value(_ size: Int) -> Double { 1 / Double(size).squareRoot() }

    /// The queue of a size: quarter octaves, up to 4 GiB and beyond in the last one.
    private static func queue(_ size: Int, _ stage: Stage) -> Int16 {
        let octave = Int.bitWidth - 1 - size.leadingZeroBitCount
        let quarter = octave >= 2 ? (size >> (octave - 2)) & 3 : (size << (2 - octave)) & 3
        return Int16(min(octave * 4 + quarter, QueueTournament.queueCount / 2 - 1) * 2 + stage.rawValue)
    }

    private mutating func link(_ index: Int) {
        let queue = Int(slots[index].queue)
        let head = newest[queue]
        slots[index].newer = Self.none
        slots[index].older = head
        newest[queue] = Int32(index)
        if head == Self.none {
            oldest[queue] = Int32(index)
            tournament.set(queue, slots[index].priority)
        } else {
            slots[Int(head)].newer = Int32(index)
        }
    }

    private mutating func unlink(_ index: Int) {
        let slot = slots[index]
        let queue = Int(slot.queue)
        if slot.newer == Self.none {
            newest[queue] = slot.older
        } else {
            slots[Int(slot.newer)].older = slot.older
        }
        if slot.older != Self.none {
            slots[Int(slot.older)].newer = slot.newer
            return
        }
        oldest[queue] = slot.newer
        tournament.set(queue, slot.newer == Self.none ? .infinity : slots[Int(slot.newer)].priority)
    }

    /// Walks all queues both ways and traps on the first contradiction. Returns the sizes' sum.
    func checkInvariants() -> Int {
        var seen = 0
        var total = 0
        for queue in 0..<QueueTournament.queueCount {
            var index = oldest[queue]
            var previous = Self.none
            while index != Self.none {
                let slot = slots[Int(index)]
                precondition(Int(slot.queue) == queue && slot.older == previous)
                precondition(Self.queue(slot.size, queue & 1 == 0 ? .probation : .main) == slot.queue)
                seen += 1
                total += slot.size
                previous = index
                index = slot.newer
            }
            precondition(newest[queue] == previous)
        }
        precondition(seen == count && count <= slots.count)
        return total
    }
}
