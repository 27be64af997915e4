import EdgeNode
import EdgePrimitives
import EdgeStore
import Foundation
import Logging
import ServiceLifecycle
import Synchronization

/// Looks after the store: resident memory, the disk, and purge stamps that nothing needs any more. Runs on no event
/// loop.
struct StoreMaintenance: Service {
    /// Between two looks; while the tier turns over fast, what it frees must go back as fast.
    static let intervalMilliseconds = 100
    static let busyIntervalMilliseconds = 20
    /// What of the disk is checked against its checksums in a second: 1 TiB in less than a week.
    static let scrubbedBytesPerSecond: Int64 = 2 << 20
    static let placeCheckMilliseconds = 2_000
    static let stampCheckMilliseconds = 10_000
    /// Between two lines on records that were given up.
    static let damageLineMilliseconds = 60_000
    let node: Node
    let logger: Logger

    func run() async throws {
        let resident = ResidentMemory(of: node.store.memory)
        let (trims, trim) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        node.store.memory.onTrimDue { trim.yield() }
        await cancelWhenGracefulShutdown {
            await withTaskGroup { group in
                group.addTask { for await _ in trims { resident.look(isTrimDue: true) } }
                group.addTask { await self.look(resident) }
            }
        }
    }

    private func look(_ resident: ResidentMemory) async {
        var scrubbed = ScrubPosition()
        var interval = Self.intervalMilliseconds
        var sinceCheck = 0
        var sinceStamps = 0
        var oldestPull: PurgePosition?
        var damage = DamageLine()
        while !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(interval))
            if let disk = node.store.disk {
                disk.retry()
                disk.scrub(bytes: Self.scrubbedBytesPerSecond * Int64(interval) / 1_000, from: &scrubbed)
                sinceCheck += interval
                if sinceCheck >= Self.placeCheckMilliseconds {
                    sinceCheck = 0
                    disk.checkPlace()
                    if let line = damage.look(disk.snapshot.damagedRecords, at: SystemClock.monotonic()) {
                        logger.warning("\(line)")
                    }
                }
            }
            sinceStamps += interval
            if sinceStamps >= Self.stampCheckMilliseconds {
                sinceStamps = 0
                oldestPull = node.forgetStamps(after: oldestPull)
            }
            let isBusy = resident.look(isTrimDue: false)
            interval = isBusy ? Self.busyIntervalMilliseconds : Self.intervalMilliseconds
        }
    }
}

/// Says that records on disk were given up, at most once in ``StoreMaintenance/damageLineMilliseconds``.
struct DamageLine {
    private var told: UInt64 = 0
    private var toldAt: MonotonicTime?

    /// - Parameter damaged: records that were given up so far.
    /// - Returns: a line where there is something new to say.
    mutating func look(_ damaged: UInt64, at now: MonotonicTime) -> String? {
        guard damaged > told else { return nil }
        if let toldAt, now.milliseconds(since: toldAt) < Int64(StoreMaintenance.damageLineMilliseconds) {
            return nil
        }
        defer {
            told = damaged
            toldAt = now
        }
        let records = damaged - told == 1 ? "1 record" : "\(damaged - told) records"
        return "disk: \(records) did not prove right, with a checksum or a number that is wrong; given up"
    }
}

/// Keeps resident memory by the budget: after each thirty-second part of the budget that was evicted, free heap pages
/// go back to the system, and what the process holds beyond the charges is taken off the budget.
private final class ResidentMemory: Sendable {
    /// From this budget on the process itself counts (below it, a program of 40 MB would leave little for bodies).
    private static let leastBudgetForProcess: Int64 = 128 << 20
    /// What was measured 30 s ago still counts by half, so that the room that a shift of traffic took is there when it
    /// shifts again.
    private static let decayMilliseconds = 30_000.0

    private struct State {
        var trimmedAt: UInt64 = 0
        var overhead = 0.0
        var measuredAt = SystemClock.monotonic()
    }

    private let memory: MemoryTier
    private let bytesAtStart: Int
    /// Held during a look: one at a time is enough, and the next one sees what it did.
    private let state = Mutex(State())

    init(of memory: MemoryTier) {
        self.memory = memory
        bytesAtStart = Self.residentBytes()
    }

    /// Trims where that is due, and measures.
    ///
    /// - Returns: whether so much was evicted since the last trim that there was another.
    @discardableResult
    func look(isTrimDue: Bool) -> Bool {
        state.withLock { state in
            let before = memory.snapshot
            let isBusy = before.evictedBytes - state.trimmedAt > UInt64(max(1, before.budgetBytes / 32))
            if isBusy || isTrimDue {
                state.trimmedAt = before.evictedBytes
                memory.trimAllocator()
            }
            let processBytes = before.budgetBytes < Self.leastBudgetForProcess ? bytesAtStart : 0
            let measured = Self.residentBytes() - processBytes - Int(memory.snapshot.usedBytes)
            let now = SystemClock.monotonic()
            let elapsed = Double(now.milliseconds(since: state.measuredAt))
            state.measuredAt = now
            state.overhead = max(Double(measured), state.overhead * exp2(-elapsed / Self.decayMilliseconds))
            // A little more, for what comes between two looks.
            memory.setOverhead(bytes: Int(state.overhead) + Int(before.budgetBytes / 16))
            return isBusy
        }
    }

    /// Resident memory of this process (`/proc/self/statm`, second figure, in pages).
    private static func residentBytes() -> Int {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return 0 }
        let figures = text.split(separator: " ")
        return figures.count > 1 ? (Int(figures[1]) ?? 0) * Int(getpagesize()) : 0
    }
}
