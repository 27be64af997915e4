/// Hands out ranges of a power of two of granules, splitting and joining them as buddies do.
///
/// It deals in addresses, not in memory: what a range rounds up costs nothing, since untouched pages hold
/// nothing.
struct BuddyPages {
    private static let none: Int32 = -1
    private static let isFree: UInt8 = 0x80

    /// Granules in all; a power of two.
    let granuleCount: Int
    /// The first free block of each order.
    private var firstFree: [Int32]
    private var next: [Int32]
    private var previous: [Int32]
    /// For the first granule of a block: its order, and whether it is free.
    private var state: [UInt8]

    init(granuleCount: Int) {
        precondition(
            granuleCount > 0 && granuleCount & (granuleCount - 1) == 0 && granuleCount <= Int(Int32.max))
        self.granuleCount = granuleCount
        let orders = granuleCount.trailingZeroBitCount + 1
        firstFree = [Int32](repeating: Self.none, count: orders)
        next = [Int32](repeating: Self.none, count: granuleCount)
        previous = next
        state = [UInt8](repeating: 0, count: granuleCount)
        push(0, order: orders - 1)
    }

    /// The first granule of a range of at least `granules`, or nil when no range is long enough.
    mutating func allocate(_ granules: Int) -> Int? {
        precondition(granules > 0)
        let order = granules == 1 ? 0 : Int.bitWidth - (granules - 1).leadingZeroBitCount
        guard var found = (order..<max(order, firstFree.count)).first(where: { firstFree[$0] != Self.none })
        else {
            return nil
        }
        let block = Int(firstFree[found])
        pop(block, order: found)
        while found > order {
            found -= 1
            push(block + (1 << found), order: found)
        }
        state[block] = UInt8(order)
        return block
    }

    /// Takes back the range that starts at `granule`.
    mutating func free(_ granule: Int) {
        precondition(state[granule] & Self.isFree == 0, "freed twice")
        var block = granule
        var order = Int(state[granule])
        while order < firstFree.count - 1 {
            let buddy = block ^ (1 << order)
            guard state[buddy] == UInt8(order) | Self.isFree else { break }
            pop(buddy, order: order)
            // The upper half stops being the head of a block, so that nobody takes its stale state for one.
            state[max(block, buddy)] = 0
            block = min(block, buddy)
            order += 1
        }
        push(block, order: order)
    }

    private mutating func push(_ block: Int, order: Int) {
        let head = firstFree[order]
        next[block] = head
        previous[block] = Self.none
        if head != Self.none { previous[Int(head)] = Int32(block) }
        firstFree[order] = Int32(block)
        state[block] = UInt8(order) | Self.isFree
    }

    private mutating func pop(_ block: Int, order: Int) {
        if previous[block] == Self.none {
            firstFree[order] = next[block]
        } else {
            next[Int(previous[block])] = next[block]
        }
        if next[block] != Self.none { previous[Int(next[block])] = previous[block] }
    }

    /// Whether everything has come back and been joined.
    var isWhole: Bool { firstFree[firstFree.count - 1] == 0 }
}
