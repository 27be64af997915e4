import EdgePrimitives
import Synchronization

/// What the memory tier holds under a primary key.
public enum Lookup: Sendable {
    case none
    /// The common case: one stored response, without Vary.
    case single(StoredResponse)
    /// More than one, or one with Vary; the newest first. The caller chooses and calls `recordHit`.
    case variants([StoredResponse])
}

/// One part of the index, with a lock of its own.
final class IndexShard: Sendable {
    let table = Mutex(IndexTable())
    /// Keeps the next shard's lock out of this one's cache line.
    private let padding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0)
}

/// A hash table by primary key: open addressing, linear probing, removal by shifting back, at most three
/// quarters full.
///
/// Keys are keyed digests already, so their bits are the hash.
struct IndexTable {
    private struct Slot {
        var key: Digest128
        var stored: Lookup
    }

    private var slots: [Slot]
    private var mask: Int
    private(set) var keyCount = 0

    init() {
        slots = [Slot](repeating: Slot(key: Digest128(high: 0, low: 0), stored: .none), count: 16)
        mask = 15
    }

    var byteCount: Int { slots.count * MemoryLayout<Slot>.stride }

    /// Where the log of purges stood when the oldest pull began of which a response is here.
    var oldestPull: PurgePosition? {
        var oldest: PurgePosition?
        for slot in slots {
            switch slot.stored {
            case .none: continue
            case .single(let stored): oldest = min(oldest ?? stored.pulledAt, stored.pulledAt)
            case .variants(let list):
                for stored in list { oldest = min(oldest ?? stored.pulledAt, stored.pulledAt) }
            }
        }
        return oldest
    }

    /// What is stored under `key`.
    @inline(__always)
    func find(_ key: Digest128) -> Lookup {
        var index = Int(truncatingIfNeeded: key.low) & mask
        while true {
            switch slots[index].stored {
            case .none: return .none
            case let stored where slots[index].key == key: return stored
            default: index = (index + 1) & mask
            }
        }
    }

    /// The stored response with the same secondary key, or without one.
    func find(_ key: Digest128, like response: StoredResponse) -> StoredResponse? {
        switch find(key) {
        case .none: return nil
        case .single(let stored): return response.secondaryKey == nil ? stored : nil
        case .variants(let list): return list.first { $0.secondaryKey == response.secondaryKey }
        }
    }

    /// Puts `response` in front of its variants, in place of `replaced` where given; beyond `maxVariants`
    /// the least used one (the oldest of equals) leaves and is returned.
    mutating func put(
        _ response: StoredResponse, replacing replaced: StoredResponse?, maxVariants: Int
    ) -> StoredResponse? {
        let index = position(response.key)
        var dropped: StoredResponse?
        switch slots[index].stored {
        case .none:
            if (keyCount + 1) * 4 > slots.count * 3 {
                grow()
                return put(response, replacing: replaced, maxVariants: maxVariants)
            }
            keyCount += 1
            slots[index].key = response.key
            slots[index].stored = Self.lookup([response])
        case .single(let stored):
            if stored === replaced {
                slots[index].stored = Self.lookup([response])
            } else {
                let kept = maxVariants > 1
                if !kept { dropped = stored }
                slots[index].stored = Self.lookup(kept ? [response, stored] : [response])
            }
        case .variants(var list):
            list.removeAll { $0 === replaced }
            if list.count >= maxVariants { dropped = Self.removeLeastUsed(&list) }
            list.insert(response, at: 0)
            slots[index].stored = Self.lookup(list)
        }
        return dropped
    }

    /// Takes out the least used variants (the oldest of equals) of every key that has more than `count`.
    mutating func dropVariants(beyond count: Int) -> [StoredResponse] {
        var dropped: [StoredResponse] = []
        for index in slots.indices {
            guard case .variants(var list) = slots[index].stored, list.count > count else { continue }
            while list.count > count, let least = Self.removeLeastUsed(&list) { dropped.append(least) }
            slots[index].stored = Self.lookup(list)
        }
        return dropped
    }

    /// Removes one stored response; false when it is not here.
    @discardableResult
    mutating func remove(_ response: StoredResponse) -> Bool {
        let index = position(response.key)
        switch slots[index].stored {
        case .none:
            return false
        case .single(let stored):
            guard stored === response else { return false }
            clear(index)
        case .variants(var list):
            guard let place = list.firstIndex(where: { $0 === response }) else { return false }
            list.remove(at: place)
            if list.isEmpty { clear(index) } else { slots[index].stored = Self.lookup(list) }
        }
        return true
    }

    /// Removes whatever is stored under `key` and returns it.
    mutating func removeAll(_ key: Digest128) -> [StoredResponse] {
        let index = position(key)
        switch slots[index].stored {
        case .none: return []
        case .single(let stored):
            clear(index)
            return [stored]
        case .variants(let list):
            clear(index)
            return list
        }
    }

    /// Hands over the memory of the table, so that the caller frees it outside of the lock.
    mutating func takeAll() -> IndexTable {
        let old = self
        self = IndexTable()
        return old
    }

    /// Every stored response, and a trap on the first contradiction.
    func checkInvariants(maxVariants: Int) -> [StoredResponse] {
        var all: [StoredResponse] = []
        var keys = 0
        for index in slots.indices {
            switch slots[index].stored {
            case .none: continue
            case .single(let stored):
                precondition(stored.key == slots[index].key && stored.secondaryKey == nil)
                all.append(stored)
            case .variants(let list):
                precondition(!list.isEmpty && list.count <= maxVariants)
                precondition(list.allSatisfy { $0.key == slots[index].key })
                precondition(list.count(where: { $0.secondaryKey == nil }) <= 1)
                all.append(contentsOf: list)
            }
            keys += 1
            precondition(position(slots[index].key) == index, "a key cannot be found from its home")
        }
        precondition(keys == keyCount && keys * 4 <= slots.count * 3)
        return all
    }

    // MARK: - Slots

    private static func lookup(_ list: [StoredResponse]) -> Lookup {
        list.count == 1 && list[0].secondaryKey == nil ? .single(list[0]) : .variants(list)
    }

    private static func removeLeastUsed(_ list: inout [StoredResponse]) -> StoredResponse? {
        guard var least = list.indices.last else { return nil }
        for index in list.indices.reversed() where list[index].useCount < list[least].useCount {
            least = index
        }
        return list.remove(at: least)
    }

    /// Where `key` is, or the empty slot where it would go.
    private func position(_ key: Digest128) -> Int {
        var index = Int(truncatingIfNeeded: key.low) & mask
        while true {
            if case .none = slots[index].stored { return index }
            if slots[index].key == key { return index }
            index = (index + 1) & mask
        }
    }

    /// Empties a slot and moves back those that had been pushed past it.
    private mutating func clear(_ index: Int) {
        keyCount -= 1
        var hole = index
        var index = index
        while true {
            index = (index + 1) & mask
            if case .none = slots[index].stored { break }
            let home = Int(truncatingIfNeeded: slots[index].key.low) & mask
            // It may move when its home is not between the hole (excluded) and where it is.
            if (index &- home) & mask >= (index &- hole) & mask {
                slots[hole] = slots[index]
                hole = index
            }
        }
        slots[hole].stored = .none
    }

    private mutating func grow() {
        let old = slots
        slots = [Slot](
            repeating: Slot(key: Digest128(high: 0, low: 0), stored: .none), count: old.count * 2)
        mask = slots.count - 1
        for slot in old {
            if case .none = slot.stored { continue }
            slots[position(slot.key)] = slot
        }
    }
}
