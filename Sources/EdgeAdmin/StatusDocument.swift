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
        /// All sites together.
        public var byReason: [Reasoned]
        /// Body bytes sent to clients.
        public var bodyBytes: UInt64
        /// Requests that could not be read; `total` is without them.
        public var refused: UInt64
    }

    public struct Reasoned: Codable, Sendable {
        public var outcome: String
        public var reason: String
        public var count: UInt64
    }

    /// Since the start.
    public struct Latencies: Codable, Sendable {
        /// Plain hits from memory, one in 16 timed: from the bytes being read to the answer handed to the socket.
        public var hit: Latency
        /// Origin pulls, to the first byte of the answer.
        public var pull: Latency
    }

    /// The quantiles are null where nothing was timed.
    public struct Latency: Codable, Sendable {
        public var count: UInt64
        public var p50Microseconds: Int64?
        public var p90Microseconds: Int64?
        public var p99Microseconds: Int64?
    }

    public struct Connections: Codable, Sendable {
        public var open: UInt64
        public var accepted: UInt64
    }

    /// Where clients connect.
    public struct Listener: Codable, Sendable {
        /// Host and port; the port that was taken where the configuration says 0.
        public var address: String
        public var tls: Bool
    }

    public struct LoopLag: Codable, Sendable {
        /// Since the start.
        public var p99: Int64
        /// Of the last minute.
        public var max: Int64
    }

    /// What costs the origin most, from about the last hour; an estimate.
    public struct TopMissed: Codable, Sendable {
        /// Host and path, without scheme and query.
        public var url: String
        /// Of the last such request.
        public var reason: String
        public var count: UInt64
    }

    public struct AccessLog: Codable, Sendable {
        public var droppedLines: UInt64
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
    public var latency: Latencies
    public var listeners: [Listener]
    public var connections: Connections
    public var loopLagMicroseconds: LoopLag
    public var topMisses: [TopMissed]
    public var accessLog: AccessLog

    init(_ node: Node, version: String) {
        self.version = version
        self.node = String(decoding: node.nodeID, as: UTF8.self)
        uptimeSeconds = max(0, SystemClock.wall().seconds - node.started.seconds)
        draining = node.isDraining
        let counts = NodeCounts(node)
        requests = Self.requests(counts)
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
        let pulls = node.pulls.timings().reduce(LatencyHistogram.Snapshot()) {
            $0 + $1.timings.firstByte.snapshot
        }
        latency = Latencies(hit: Self.latency(counts.hitLatency), pull: Self.latency(pulls))
        listeners = node.listeners.map { Listener(address: "\($0.address)", tls: $0.isTLS) }
        connections = Connections(open: counts.connectionsOpen, accepted: counts.connectionsAccepted)
        loopLagMicroseconds = LoopLag(
            p99: (counts.loopLag.quantile(0.99) ?? 0) / 1000, max: counts.maxLoopLag / 1000)
        topMisses = node.topMisses(20).map { miss in
            TopMissed(
                url: String(decoding: miss.url, as: UTF8.self), reason: miss.reason?.rawValue ?? "none",
                count: miss.count)
        }
        accessLog = AccessLog(droppedLines: node.accessLog?.droppedLines ?? 0)
    }

    private static func latency(_ histogram: LatencyHistogram.Snapshot) -> Latency {
        Latency(
            count: histogram.count, p50Microseconds: histogram.quantile(0.5).map { $0 / 1000 },
            p90Microseconds: histogram.quantile(0.9).map { $0 / 1000 },
            p99Microseconds: histogram.quantile(0.99).map { $0 / 1000 })
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

    private static func requests(_ counts: NodeCounts) -> Requests {
        var byOutcome = Dictionary(
            uniqueKeysWithValues: RequestOutcome.allCases.map { ($0.label, UInt64(0)) })
        var byReason: [Reasoned] = []
        for row in counts.requests {
            let (outcome, reason) = (row.outcome.label, row.reason?.rawValue ?? "none")
            byOutcome[outcome, default: 0] += row.count
            if let known = byReason.firstIndex(where: { $0.outcome == outcome && $0.reason == reason }) {
                byReason[known].count += row.count
            } else {
                byReason.append(Reasoned(outcome: outcome, reason: reason, count: row.count))
            }
        }
        byReason.sort { ($1.count, $0.outcome, $0.reason) < ($0.count, $1.outcome, $1.reason) }
        return Requests(
            total: byOutcome.values.reduce(0, +), byOutcome: byOutcome, byReason: byReason,
            bodyBytes: counts.bodyBytesTotal, refused: counts.refusedTotal)
    }
}
