import Synchronization

/// How often which latency occurred: fixed buckets, about six to a decade, from 5 µs to 50 s. Any thread may record
/// and any may take a ``Snapshot``; a recording is a short search and two relaxed additions, so it is nothing for
/// every hit.
public final class LatencyHistogram: Sendable {
    /// The upper bounds of the buckets in nanoseconds, ascending, each inclusive; one more bucket takes the rest.
    public static let bounds: [Int64] = {
        var bounds: [Int64] = []
        var decade: Int64 = 1_000
        while decade <= 10_000_000_000 {
            for tenths: Int64 in [10, 15, 20, 30, 50, 70] {
                let bound = decade / 10 * tenths
                if bound >= 5_000, bound <= 50_000_000_000 { bounds.append(bound) }
            }
            decade *= 10
        }
        return bounds
    }()

    // Atomics are safe to share; the pointer itself never changes. The last cell holds the sum.
    private nonisolated(unsafe) let cells: UnsafeMutablePointer<Atomic<UInt64>>
    private let bucketCount: Int

    public init() {
        bucketCount = Self.bounds.count + 1
        cells = .allocate(capacity: bucketCount + 1)
        for index in 0...bucketCount { (cells + index).initialize(to: Atomic(0)) }
    }

    deinit {
        cells.deinitialize(count: bucketCount + 1)
        cells.deallocate()
    }

    /// Counts one latency; less than none counts as none.
    public func record(nanoseconds: Int64) {
        let value = max(0, nanoseconds)
        var low = 0
        var high = bucketCount - 1
        Self.bounds.withUnsafeBufferPointer { bounds in
            while low < high {
                let middle = (low + high) / 2
                if bounds[middle] < value { low = middle + 1 } else { high = middle }
            }
        }
        cells[low].wrappingAdd(1, ordering: .relaxed)
        cells[bucketCount].wrappingAdd(UInt64(value), ordering: .relaxed)
    }

    /// Counts the time from `start` to `end`.
    public func record(from start: MonotonicTime, to end: MonotonicTime) {
        record(nanoseconds: end.nanoseconds &- start.nanoseconds)
    }

    public var snapshot: Snapshot {
        var snapshot = Snapshot()
        for index in 0..<bucketCount { snapshot.counts[index] = cells[index].load(ordering: .relaxed) }
        snapshot.sumNanoseconds = cells[bucketCount].load(ordering: .relaxed)
        return snapshot
    }

    /// What a histogram held at one moment. Its count is the sum of its buckets, whatever was recorded meanwhile.
    public struct Snapshot: Sendable, Equatable {
        /// One for each of ``LatencyHistogram/bounds``, then one for all above.
        public fileprivate(set) var counts = [UInt64](repeating: 0, count: LatencyHistogram.bounds.count + 1)
        public fileprivate(set) var sumNanoseconds: UInt64 = 0

        public init() {}

        public var count: UInt64 { counts.reduce(0, +) }

        /// The latency, in nanoseconds, that a share `quantile` (0 to 1) of all stayed within, by interpolation in
        /// its bucket; nil where nothing was recorded. What is above the last bound counts as that bound.
        public func quantile(_ quantile: Double) -> Int64? {
            let total = count
            guard total > 0 else { return nil }
            let rank = max(1, (min(max(quantile, 0), 1) * Double(total)).rounded(.up))
            var below: UInt64 = 0
            for (index, count) in counts.enumerated() where count > 0 {
                guard Double(below + count) >= rank else {
                    below += count
                    continue
                }
                guard index < LatencyHistogram.bounds.count else { break }
                let lower = index == 0 ? 0 : LatencyHistogram.bounds[index - 1]
                let width = Double(LatencyHistogram.bounds[index] - lower)
                return lower + Int64(width * (rank - Double(below)) / Double(count))
            }
            return LatencyHistogram.bounds.last
        }

        public static func + (left: Snapshot, right: Snapshot) -> Snapshot {
            var sum = left
            for index in sum.counts.indices { sum.counts[index] &+= right.counts[index] }
            sum.sumNanoseconds &+= right.sumNanoseconds
            return sum
        }
    }
}
