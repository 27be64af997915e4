import EdgeNode
import EdgeOrigin
import EdgePolicy
import EdgePrimitives
import EdgeStore

/// What `/status` says.
public struct StatusDocument: Codable, Sendable {
    public struct Tier: Codable, Sendable {
        public var name: String
        public var budgetBytes: Int64
        public var usedBytes: Int64
        public var storedResponses: Int
        public var insertions: UInt64
        public var evictions: UInt64
        /// Reads that found a response, of all that asked this tier.
        public var hitShare: Double?
        /// Seconds for which the newly evicted had been stored.
        public var evictionAgeSeconds: Double?
        public var disk: Disk?
    }

    /// What only the disk tier has.
    public struct Disk: Codable, Sendable {
        /// "good", or why nothing is written for now.
        public var health: String
        public var segments: Int
        public var indexBytes: Int
        public var pendingBytes: Int
        public var bytesWritten: UInt64
        public var bytesRewritten: UInt64
        public var bytesWrittenPerSecond: Double
        public var refusals: UInt64
        public var backlogDrops: UInt64
        public var damagedRecords: UInt64
        public var scrubbedBytes: UInt64
        public var errors: UInt64
        public var recovery: Recovery
    }

    /// What the last start found on disk.
    public struct Recovery: Codable, Sendable {
        public var responses: Int
        public var blocks: Int
        public var segments: Int
        public var droppedSegments: Int
        public var damagedEntries: Int
        public var foreignFiles: Int
        public var milliseconds: Int64
    }

    public struct Origin: Codable, Sendable {
        public var name: String
        public var url: String
        public var health: String
        public var active: Int
        public var queued: Int
        public var pulls: UInt64
        public var failures: UInt64
        public var lastFailure: String?
    }

    public struct Requests: Codable, Sendable {
        public var total: UInt64
        public var byOutcome: [String: UInt64]
    }

    public var version: String
    public var node: String
    public var uptimeSeconds: Int64
    public var draining: Bool
    public var requests: Requests
    public var fills: Int
    public var tiers: [Tier]
    public var origins: [Origin]
    public var purges: PurgeOverview

    init(_ node: Node, version: String) {
        self.version = version
        self.node = String(decoding: node.nodeID, as: UTF8.self)
        uptimeSeconds = max(0, SystemClock.wall().seconds - node.started.seconds)
        draining = node.isDraining
        requests = Self.requests(node)
        fills = node.fillCount
        tiers = [Self.memory(node)]
        if let disk = node.store.disk { tiers.append(Self.disk(disk, seconds: uptimeSeconds)) }
        origins = node.pulls.snapshot().map { server in
            Origin(
                name: server.name, url: server.url, health: "\(server.health)", active: server.active,
                queued: server.queued, pulls: UInt64(server.pulls), failures: UInt64(server.failures),
                lastFailure: server.lastFailure)
        }
        purges = node.purgeOverview(limit: 20)
    }

    private static func memory(_ node: Node) -> Tier {
        let memory = node.store.memory.snapshot
        return Tier(
            name: "memory", budgetBytes: Int64(memory.budgetBytes), usedBytes: Int64(memory.usedBytes),
            storedResponses: Int(memory.count), insertions: UInt64(memory.insertions),
            evictions: UInt64(memory.evictions), evictionAgeSeconds: memory.evictionAgeSeconds)
    }

    private static func disk(_ tier: DiskTier, seconds: Int64) -> Tier {
        let disk = tier.snapshot
        let found = tier.recovery
        let asked = disk.hits + disk.misses
        let health =
            switch disk.health {
            case .good: "good"
            case .failing(let why): why
            }
        return Tier(
            name: "disk", budgetBytes: disk.budgetBytes, usedBytes: disk.usedBytes,
            storedResponses: disk.entryCount, insertions: disk.insertions, evictions: disk.evictions,
            hitShare: asked == 0 ? nil : Double(disk.hits) / Double(asked),
            evictionAgeSeconds: disk.evictionAgeSeconds,
            disk: Disk(
                health: health, segments: disk.segmentCount, indexBytes: disk.indexBytes,
                pendingBytes: disk.pendingBytes, bytesWritten: disk.bytesWritten,
                bytesRewritten: disk.bytesRewritten,
                bytesWrittenPerSecond: Double(disk.bytesWritten) / Double(max(1, seconds)),
                refusals: disk.refusals, backlogDrops: disk.backlogDrops,
                damagedRecords: disk.damagedRecords, scrubbedBytes: disk.scrubbedBytes, errors: disk.errors,
                recovery: Recovery(
                    responses: found.responses, blocks: found.blocks, segments: found.segments,
                    droppedSegments: found.droppedSegments, damagedEntries: found.damagedEntries,
                    foreignFiles: found.foreignFiles, milliseconds: found.milliseconds)))
    }

    private static func requests(_ node: Node) -> Requests {
        var byOutcome: [String: UInt64] = [:]
        let reasons = Reason.allCases.map(Optional.some) + [nil]
        for outcome in RequestOutcome.allCases {
            byOutcome[outcome.label] = node.counters.reduce(0) { sum, loop in
                reasons.reduce(sum) { $0 + loop.requests(outcome, $1) }
            }
        }
        return Requests(total: byOutcome.values.reduce(0, +), byOutcome: byOutcome)
    }
}
