import EdgeNode
import EdgeStore
import Foundation
import ServiceLifecycle

/// Keeps resident memory by the budget: after each sixteenth of the budget that was evicted, free heap pages go back
/// to the system, and what the heap still holds beyond the charges is taken off the budget. Runs on no event loop.
struct StoreMaintenance: Service {
    static let intervalMilliseconds = 200
    /// What of the disk is checked against its checksums in each interval: 1 TiB in less than a week.
    static let scrubbedBytes: Int64 = 512 << 10
    static let placeCheckRounds = 10
    let node: Node

    func run() async throws {
        let residentAtStart = Self.residentBytes()
        var trimmedAt: UInt64 = 0
        var scrubbed = ScrubPosition()
        var rounds = 0
        while !Task.isShuttingDownGracefully {
            try? await cancelWhenGracefulShutdown {
                try await Task.sleep(for: .milliseconds(Self.intervalMilliseconds))
            }
            rounds += 1
            node.store.disk?.retry()
            if rounds % Self.placeCheckRounds == 0 { node.store.disk?.checkPlace() }
            node.store.disk?.scrub(bytes: Self.scrubbedBytes, from: &scrubbed)
            let snapshot = node.store.memory.snapshot
            guard snapshot.evictedBytes - trimmedAt > UInt64(max(1, snapshot.budgetBytes / 16)) else {
                continue
            }
            trimmedAt = snapshot.evictedBytes
            MemoryTier.trimAllocator()
            let overhead = Self.residentBytes() - residentAtStart - Int(node.store.memory.snapshot.usedBytes)
            node.store.memory.setOverhead(bytes: overhead)
        }
    }

    /// Resident memory of this process (`/proc/self/statm`, second figure, in pages).
    private static func residentBytes() -> Int {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return 0 }
        let figures = text.split(separator: " ")
        return figures.count > 1 ? (Int(figures[1]) ?? 0) * Int(getpagesize()) : 0
    }
}
