import EdgeNode
import EdgeStore
import Foundation
import ServiceLifecycle

/// Keeps resident memory by the budget: after each thirty-second part of the budget that was evicted, free heap pages
/// go back to the system, and what the process holds beyond the charges is taken off the budget. Looks after the disk
/// as well. Runs on no event loop.
struct StoreMaintenance: Service {
    /// Between two looks; while the tier turns over fast, what it frees must go back as fast.
    static let intervalMilliseconds = 100
    static let busyIntervalMilliseconds = 20
    /// What of the disk is checked against its checksums in a second: 1 TiB in less than a week.
    static let scrubbedBytesPerSecond: Int64 = 2 << 20
    static let placeCheckMilliseconds = 2_000
    static let stampCheckMilliseconds = 10_000
    /// From this budget on the process itself counts (below it, a program of 40 MB would leave little for bodies).
    static let leastBudgetForProcess: Int64 = 128 << 20
    /// What was measured 30 s ago still counts by half, so that the room that a shift of traffic took is there when it
    /// shifts again.
    private static let decayMilliseconds = 30_000.0
    let node: Node

    func run() async throws {
        let residentAtStart = Self.residentBytes()
        var trimmedAt: UInt64 = 0
        var overhead = 0.0
        var scrubbed = ScrubPosition()
        var interval = Self.intervalMilliseconds
        var sinceCheck = 0
        var sinceStamps = 0
        var oldestPull: PurgePosition?
        while !Task.isShuttingDownGracefully, !Task.isCancelled {
            let pause = Duration.milliseconds(interval)
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: pause) }
            if let disk = node.store.disk {
                disk.retry()
                disk.scrub(bytes: Self.scrubbedBytesPerSecond * Int64(interval) / 1_000, from: &scrubbed)
                sinceCheck += interval
                if sinceCheck >= Self.placeCheckMilliseconds {
                    sinceCheck = 0
                    disk.checkPlace()
                }
            }
            sinceStamps += interval
            if sinceStamps >= Self.stampCheckMilliseconds {
                sinceStamps = 0
                oldestPull = node.forgetStamps(after: oldestPull)
            }
            let memory = node.store.memory
            let before = memory.snapshot
            let isBusy = before.evictedBytes - trimmedAt > UInt64(max(1, before.budgetBytes / 32))
            if isBusy {
                trimmedAt = before.evictedBytes
                MemoryTier.trimAllocator()
            }
            let processBytes =
                before.budgetBytes < Self.leastBudgetForProcess ? residentAtStart : 0
            let measured = Self.residentBytes() - processBytes - Int(memory.snapshot.usedBytes)
            overhead = max(Double(measured), overhead * exp2(-Double(interval) / Self.decayMilliseconds))
            // A little more, for what comes between two looks.
            memory.setOverhead(bytes: Int(overhead) + Int(before.budgetBytes / 16))
            interval = isBusy ? Self.busyIntervalMilliseconds : Self.intervalMilliseconds
        }
    }

    /// Resident memory of this process (`/proc/self/statm`, second figure, in pages).
    private static func residentBytes() -> Int {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return 0 }
        let figures = text.split(separator: " ")
        return figures.count > 1 ? (Int(figures[1]) ?? 0) * Int(getpagesize()) : 0
    }
}
