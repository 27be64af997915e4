import EdgePrimitives
import Synchronization

/// Where every stored response and block on disk lies: 64 shards, each an open-addressing table of 32-byte
/// slots under a short lock.
///
/// An entry is identified by key, variant and kind. No lock is held across two shards, and nothing is read
/// or written under one but the table: any thread may call anything at any time. What was found may have
/// moved by the time it is used; whoever acts on a location names it, and the act is void when the entry is
/// no longer there.
///
/// Offsets, as multiples of 64 in 32 bits, reach to 256 GiB within a file, lengths to 4 GiB.
final class DiskIndex: Sendable {
    private static let shardBits = 6
    private static let shardCount = 1 << shardBits

    private let shards: [DiskIndexShard]
    private let expectedPerShard: Int

    /// An empty index, presized so that `expectedCount` entries of different keys cause no growth.
    init(expectedCount: Int = 0) {
        precondition(expectedCount >= 0)
        let expected = Self.expectedPerShard(expectedCount)
        expectedPerShard = expected
        shards = (0..<Self.shardCount).map { _ in DiskIndexShard(DiskIndexTable(expectedCount: expected)) }
    }

    /// The mean, and six standard deviations for the fullest shard.
    private static func expectedPerShard(_ count: Int) -> Int {
        let mean = Double(count) / Double(shardCount)
        return Int((mean + 6 * mean.squareRoot()).rounded(.up))
    }

    private func shard(_ key: Digest128) -> DiskIndexShard {
        shards[Int(truncatingIfNeeded: key.high >> UInt64(64 - Self.shardBits))]
    }

    // MARK: - Lookup

    /// Whether a response is stored under `key`, in any variant. Allocates nothing.
    func contains(_ key: Digest128, kind: DiskIndexEntry.Kind = .response) -> Bool {
        shard(key).table.withLock { $0.contains(key, kind: kind) }
    }

    /// All entries of this kind under `key`, in no order.
    func find(_ key: Digest128, kind: DiskIndexEntry.Kind = .response) -> [DiskIndexEntry] {
        shard(key).table.withLock { $0.find(key, kind: kind) }
    }

    // MARK: - Changes

    /// Puts the entry in place of the one with the same key, variant and kind; returns what it replaced.
    @discardableResult
    func put(_ entry: DiskIndexEntry) -> DiskIndexEntry? {
        let slot = DiskIndexTable.Slot(entry)
        return shard(entry.key).table.withLock { $0.put(slot) }?.entry
    }

    /// Like `put`, but only in place of the entry at `old`, if it is still there (compare and swap): for
    /// moving a record.
    ///
    /// The uses and the mark of verification become those of `entry`.
    func move(_ entry: DiskIndexEntry, from old: RecordLocation) -> Bool {
        let slot = DiskIndexTable.Slot(entry)
        return shard(entry.key).table.withLock { $0.replace(at: old, with: slot) }
    }

    /// Removes all responses under `key`, and returns them; blocks stay.
    @discardableResult
    func remove(_ key: Digest128) -> [DiskIndexEntry] {
        shard(key).table.withLock { $0.removeAll(key, kind: .response) }
    }

    /// Removes one entry and returns it; nil, and nothing removed, when it is not here or not at `location`
    /// (nil: wherever it is).
    func remove(
        _ key: Digest128, variant: UInt32, kind: DiskIndexEntry.Kind, at location: RecordLocation?
    ) -> DiskIndexEntry? {
        shard(key).table.withLock { $0.remove(key, variant, kind, at: location) }?.entry
    }

    /// Removes everything and gives the memory back, but for the presized.
    func removeAll() {
        for shard in shards {
            var table = DiskIndexTable(expectedCount: expectedPerShard)
            // The old one is freed outside of the lock.
            shard.table.withLock { swap(&$0, &table) }
        }
    }

    // MARK: - Uses

    /// Notes a use of the entry, up to 3 of them.
    ///
    /// - Returns: the uses before; nil when it is not here.
    func noteUse(_ key: Digest128, variant: UInt32, kind: DiskIndexEntry.Kind) -> UInt8? {
        shard(key).table.withLock { $0.noteUse(key, variant, kind) }
    }

    /// Takes one use away, if there is one.
    ///
    /// - Returns: the uses there were; nil when the entry is no longer at `location`.
    func takeUse(
        _ key: Digest128, variant: UInt32, kind: DiskIndexEntry.Kind, at location: RecordLocation
    ) -> UInt8? {
        shard(key).table.withLock { $0.takeUse(key, variant, kind, at: location) }
    }

    /// Notes that the body at `location` was checked; nothing when the entry is no longer there.
    func markVerified(
        _ key: Digest128, variant: UInt32, kind: DiskIndexEntry.Kind, at location: RecordLocation
    ) {
        shard(key).table.withLock { $0.markVerified(key, variant, kind, at: location) }
    }

    // MARK: - Accounts

    /// The entries of all shards, each counted at its own moment; takes each shard's lock once.
    var count: Int {
        shards.reduce(0) { $0 + $1.table.withLock { $0.count } }
    }

    /// The bytes of all tables; takes each shard's lock once.
    var byteCount: Int {
        shards.reduce(0) { $0 + $1.table.withLock { $0.byteCount } }
    }

    /// Traps on the first contradiction in a shard.
    package func checkInvariants() {
        for shard in shards {
            shard.table.withLock { table in
                table.checkInvariants { self.shard($0) === shard }
            }
        }
    }
}

/// One part of the index, with a lock of its own.
private final class DiskIndexShard: Sendable {
    let table: Mutex<DiskIndexTable>
    /// Keeps the next shard's lock out of this one's cache line.
    private let padding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0)

    init(_ table: consuming sending DiskIndexTable) {
        self.table = Mutex(table)
    }
}

/// A hash table by key: open addressing, linear probing in the order of homes, at most 85 % full.
///
/// A key's home is the multiply-shift of its low half to the number of slots, so that this need be no power
/// of two: a table grows by half, to 57 % full (32 bytes a slot make 38 to 57 an entry). All variants and
/// kinds of a key share a home.
///
/// Slots that follow each other without a gap are in the order of their homes (Robin Hood hashing, Celis
/// 1986), so that a search ends at the first slot whose home lies behind the key's: at 85 % a miss looks at
/// 4 slots instead of 23. Removal shifts those behind back, up to the first that is at home; growth reads
/// and writes both tables from front to back.
struct DiskIndexTable {
    /// An entry, packed into 32 bytes; a generation of 0 means that the slot is empty.
    struct Slot {
        static let empty = Slot()
        private static let lengthBits: UInt32 = (1 << 26) - 1
        private static let kindShift: UInt32 = 26
        private static let usesShift: UInt32 = 27
        private static let verifiedBit: UInt32 = 1 << 29

        var key: Digest128
        var variant: UInt32
        var generation: UInt32
        private var offsetUnits: UInt32
        /// From the lowest: length / 64 (26 bits), kind (1), uses (2), verified (1), and 2 that are zero.
        private var bits: UInt32

        private init() {
            key = Digest128(high: 0, low: 0)
            variant = 0
            generation = 0
            offsetUnits = 0
            bits = 0
        }

        init(_ entry: DiskIndexEntry) {
            let location = entry.location
            let unit = RecordLocation.alignment
            precondition(location.generation != 0, "generations start at 1")
            precondition(
                location.offset >= 0 && location.offset % Int64(unit) == 0
                    && location.offset / Int64(unit) <= Int64(UInt32.max),
                "an offset is a multiple of 64 below 256 GiB")
            precondition(
                location.length >= 0 && location.length % unit == 0
                    && location.length / unit <= Int(Self.lengthBits),
                "a length is a multiple of 64 below 4 GiB")
            precondition(entry.uses <= 3)
            key = entry.key
            variant = entry.variant
            generation = location.generation
            offsetUnits = UInt32(location.offset / Int64(unit))
            bits =
                UInt32(location.length / unit) | UInt32(entry.kind.rawValue) << Self.kindShift
                | UInt32(entry.uses) << Self.usesShift | (entry.isVerified ? Self.verifiedBit : 0)
        }

        var isEmpty: Bool { generation == 0 }

        var kind: DiskIndexEntry.Kind { bits & 1 << Self.kindShift == 0 ? .response : .block }

        var uses: UInt8 {
            get { UInt8(truncatingIfNeeded: bits >> Self.usesShift & 3) }
            set {
                assert(newValue <= 3)
                bits = bits & ~(3 << Self.usesShift) | UInt32(newValue) << Self.usesShift
            }
        }

        var isVerified: Bool { bits & Self.verifiedBit != 0 }

        mutating func markVerified() { bits |= Self.verifiedBit }

        var location: RecordLocation {
            RecordLocation(
                generation: generation, offset: Int64(offsetUnits) * Int64(RecordLocation.alignment),
                length: Int(bits & Self.lengthBits) * RecordLocation.alignment)
        }

        var entry: DiskIndexEntry {
            DiskIndexEntry(
                key: key, variant: variant, kind: kind, location: location, uses: uses,
                isVerified: isVerified)
        }

        func isOf(_ key: Digest128, _ variant: UInt32, _ kind: DiskIndexEntry.Kind) -> Bool {
            self.key == key && self.variant == variant && self.kind == kind
        }
    }

    /// A slot on the way from a home, and how far it is from it.
    private struct Place {
        var index: Int
        var distance = 0
    }

    private var slots: [Slot]
    private(set) var count = 0

    /// An empty table that does not grow before it holds more than `expectedCount` entries.
    init(expectedCount: Int) {
        let capacity = max(16, (expectedCount * 20 + 16) / 17)
        slots = [Slot](repeating: .empty, count: capacity)
        assert(hasRoom(for: expectedCount))
    }

    var byteCount: Int { slots.count * MemoryLayout<Slot>.stride }

    // MARK: - Lookup

    func contains(_ key: Digest128, kind: DiskIndexEntry.Kind) -> Bool {
        var place = home(key)
        return seek(key, &place) { $0.key == key && $0.kind == kind }
    }

    func find(_ key: Digest128, kind: DiskIndexEntry.Kind) -> [DiskIndexEntry] {
        var found: [DiskIndexEntry] = []
        var place = home(key)
        while seek(key, &place, where: { $0.key == key && $0.kind == kind }) {
            found.append(slots[place.index].entry)
            advance(&place)
        }
        return found
    }

    /// Where the entry is; nil when it is not here, or not at `location` where one is given.
    private func index(
        _ key: Digest128, _ variant: UInt32, _ kind: DiskIndexEntry.Kind, at location: RecordLocation?
    ) -> Int? {
        var place = home(key)
        guard seek(key, &place, where: { $0.isOf(key, variant, kind) }) else { return nil }
        if let location, slots[place.index].location != location { return nil }
        return place.index
    }

    // MARK: - Changes

    /// Puts `slot` in place of the one of the same entry, which is returned.
    mutating func put(_ slot: Slot) -> Slot? {
        var place = home(slot.key)
        let kind = slot.kind
        if seek(slot.key, &place, where: { $0.isOf(slot.key, slot.variant, kind) }) {
            let replaced = slots[place.index]
            slots[place.index] = slot
            return replaced
        }
        if hasRoom(for: count + 1) {
            insert(slot, at: place)
        } else {
            grow()
            insert(slot)
        }
        count += 1
        return nil
    }

    /// Puts `slot` in place of the one of the same entry if that is at `location`.
    mutating func replace(at location: RecordLocation, with slot: Slot) -> Bool {
        guard let index = index(slot.key, slot.variant, slot.kind, at: location) else { return false }
        slots[index] = slot
        return true
    }

    mutating func remove(
        _ key: Digest128, _ variant: UInt32, _ kind: DiskIndexEntry.Kind, at location: RecordLocation?
    ) -> Slot? {
        guard let index = index(key, variant, kind, at: location) else { return nil }
        let removed = slots[index]
        clear(index)
        return removed
    }

    mutating func removeAll(_ key: Digest128, kind: DiskIndexEntry.Kind) -> [DiskIndexEntry] {
        var removed: [DiskIndexEntry] = []
        var place = home(key)
        while seek(key, &place, where: { $0.key == key && $0.kind == kind }) {
            removed.append(slots[place.index].entry)
            // The next one moves into this place.
            clear(place.index)
        }
        return removed
    }

    mutating func noteUse(_ key: Digest128, _ variant: UInt32, _ kind: DiskIndexEntry.Kind) -> UInt8? {
        guard let index = index(key, variant, kind, at: nil) else { return nil }
        let uses = slots[index].uses
        if uses < 3 { slots[index].uses = uses + 1 }
        return uses
    }

    mutating func takeUse(
        _ key: Digest128, _ variant: UInt32, _ kind: DiskIndexEntry.Kind, at location: RecordLocation
    ) -> UInt8? {
        guard let index = index(key, variant, kind, at: location) else { return nil }
        let uses = slots[index].uses
        if uses > 0 { slots[index].uses = uses - 1 }
        return uses
    }

    mutating func markVerified(
        _ key: Digest128, _ variant: UInt32, _ kind: DiskIndexEntry.Kind, at location: RecordLocation
    ) {
        guard let index = index(key, variant, kind, at: location) else { return }
        slots[index].markVerified()
    }

    // MARK: - Slots

    private func hasRoom(for count: Int) -> Bool { count * 20 <= slots.count * 17 }

    @inline(__always)
    private func homeIndex(_ key: Digest128) -> Int {
        Int(truncatingIfNeeded: key.low.multipliedFullWidth(by: UInt64(slots.count)).high)
    }

    private func home(_ key: Digest128) -> Place { Place(index: homeIndex(key)) }

    /// How far the entry in slot `index` is from its home.
    @inline(__always)
    private func distance(_ slot: Slot, at index: Int) -> Int {
        let distance = index - homeIndex(slot.key)
        return distance >= 0 ? distance : distance + slots.count
    }

    @inline(__always)
    private func advance(_ place: inout Place) {
        place.index += 1
        if place.index == slots.count { place.index = 0 }
        place.distance += 1
    }

    /// Moves `place` on to the next slot that `matches`, itself included.
    ///
    /// - Returns: false when there is none; `place` is then where one more entry of this home would go.
    @inline(__always)
    private func seek(_ key: Digest128, _ place: inout Place, where matches: (Slot) -> Bool) -> Bool {
        while true {
            let slot = slots[place.index]
            if slot.isEmpty { return false }
            if matches(slot) { return true }
            if distance(slot, at: place.index) < place.distance { return false }
            advance(&place)
        }
    }

    /// Puts `slot` where `place` is, at the end of those of its home, and moves those behind on by one.
    private mutating func insert(_ slot: Slot, at place: Place) {
        var carried = slot
        var index = place.index
        while !slots[index].isEmpty {
            swap(&slots[index], &carried)
            index += 1
            if index == slots.count { index = 0 }
        }
        slots[index] = carried
    }

    /// Inserts the slot of an entry that is not here.
    private mutating func insert(_ slot: Slot) {
        var place = home(slot.key)
        _ = seek(slot.key, &place) { _ in false }
        insert(slot, at: place)
    }

    /// Empties a slot and moves those behind back by one, up to the first that is at home.
    private mutating func clear(_ index: Int) {
        assert(!slots[index].isEmpty)
        count -= 1
        var hole = index
        while true {
            let next = hole + 1 == slots.count ? 0 : hole + 1
            let slot = slots[next]
            if slot.isEmpty || distance(slot, at: next) == 0 { break }
            slots[hole] = slot
            hole = next
        }
        slots[hole] = .empty
    }

    private mutating func grow() {
        let old = slots
        slots = [Slot](repeating: .empty, count: old.count + old.count / 2)
        for slot in old where !slot.isEmpty { insert(slot) }
    }

    /// Traps on the first contradiction, also when `isHere` denies a key.
    func checkInvariants(isHere: (Digest128) -> Bool) {
        let last = slots.count - 1
        var distanceBefore = slots[last].isEmpty ? -1 : distance(slots[last], at: last)
        var entries = 0
        for index in slots.indices {
            let slot = slots[index]
            let distanceHere = slot.isEmpty ? -1 : distance(slot, at: index)
            precondition(distanceHere <= distanceBefore + 1, "a slot is out of the order of homes")
            distanceBefore = distanceHere
            if slot.isEmpty { continue }
            entries += 1
            precondition(isHere(slot.key), "a key is in the wrong shard")
            precondition(
                self.index(slot.key, slot.variant, slot.kind, at: slot.location) == index,
                "an entry cannot be found from its home, or is here twice")
        }
        precondition(entries == count && hasRoom(for: count))
    }
}
