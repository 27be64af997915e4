/// The queue with the lowest tail, kept as a tournament: a change of one tail costs eight comparisons, the
/// winner none.
struct QueueTournament {
    /// Queues that take part; a power of two.
    static let queueCount = 256

    private var priorities = [Double](repeating: .infinity, count: queueCount)
    /// The winner of each match: node 1 is the final, nodes 2n and 2n+1 play before node n.
    private var winners = [Int16](repeating: 0, count: queueCount)

    init() {
        for node in (1..<Self.queueCount).reversed() { winners[node] = better(2 * node, 2 * node + 1) }
    }

    /// The queue whose tail has the lowest priority, or nil when all are empty.
    var lowest: Int? {
        let queue = Int(winners[1])
        return priorities[queue] < .infinity ? queue : nil
    }

    /// Sets the priority of a queue's tail; infinity for an empty queue.
    mutating func set(_ queue: Int, _ priority: Double) {
        priorities[queue] = priority
        var node = (Self.queueCount + queue) / 2
        while node > 0 {
            winners[node] = better(2 * node, 2 * node + 1)
            node /= 2
        }
    }

    /// The winner between two nodes; a node from `queueCount` on is a queue itself.
    private func better(_ left: Int, _ right: Int) -> Int16 {
        let first = left < Self.queueCount ? winners[left] : Int16(left - Self.queueCount)
        let second = right < Self.queueCount ? winners[right] : Int16(right - Self.queueCount)
        return priorities[Int(second)] < priorities[Int(first)] ? second : first
    }
}
