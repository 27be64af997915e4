import Synchronization

/// What the disk tier has done since the process began.
final class DiskCounters: Sendable {
    struct Counter: ~Copyable, Sendable {
        private let value = Atomic<UInt64>(0)

        func add(_ amount: UInt64) { value.wrappingAdd(amount, ordering: .relaxed) }
        var count: UInt64 { value.load(ordering: .relaxed) }
    }

    let hits = Counter()
    let misses = Counter()
    let insertions = Counter()
    let evictions = Counter()
    let refusals = Counter()
    let backlogDrops = Counter()
    let bytesWritten = Counter()
    let bytesRewritten = Counter()
    let damagedRecords = Counter()
    let errors = Counter()
    let scrubbedBytes = Counter()
    /// For how long the segment that left last had been there.
    let evictionAgeMilliseconds = Atomic<Int64>(0)
}
