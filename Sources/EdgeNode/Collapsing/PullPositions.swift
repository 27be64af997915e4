import EdgeStore
import Synchronization

/// Where the log of purges stood when the pulls under way were planned.
final class PullPositions: Sendable {
    private let counts = Mutex<[PurgePosition: Int]>([:])

    /// The oldest of them; nil where there are none.
    var oldest: PurgePosition? { counts.withLock { $0.keys.min() } }

    func began(at position: PurgePosition) { counts.withLock { $0[position, default: 0] += 1 } }

    func ended(at position: PurgePosition) {
        counts.withLock { counts in
            guard let count = counts[position] else { return }
            counts[position] = count > 1 ? count - 1 : nil
        }
    }
}
