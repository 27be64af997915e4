/// What `/status` says, as far as the client subcommands show it. What an older node does not say is absent.
struct NodeStatus: Decodable {
    struct Requests: Decodable {
        var total: UInt64
        var byOutcome: [String: UInt64]
        var byReason: [ReasonCount]?
        var bodyBytes: Int64?
        var refused: UInt64?

        /// The outcomes in the order in which they are told: from the best for a client to the worst.
        static let outcomes = ["hit", "stale", "revalidated", "miss", "pass", "error"]

        /// Requests that waited for no origin, of all; nil where there was none.
        var hitShare: Double? {
            total == 0 ? nil : Double((byOutcome["hit"] ?? 0) + (byOutcome["stale"] ?? 0)) / Double(total)
        }
    }

    struct ReasonCount: Decodable {
        var outcome: String
        var reason: String
        var count: UInt64
    }

    struct Tier: Decodable {
        var name: String
        var budgetBytes: Int64
        var usedBytes: Int64
        var storedResponses: Int
        var evictions: UInt64
        /// Reads that found a response, of all that asked this tier.
        var hitShare: Double?
        var disk: Disk?
    }

    struct Disk: Decodable {
        /// "good", or why nothing is written for now.
        var health: String
        var segments: Int
        var bytesWrittenPerSecond: Double
        var damagedRecords: UInt64
        var errors: UInt64
        var recovery: Recovery
    }

    struct Recovery: Decodable {
        var responses: Int
        var droppedSegments: Int
        var damagedEntries: Int
        var milliseconds: Int64
    }

    struct Origin: Decodable {
        var name: String
        var url: String
        var health: String
        var active: Int
        var queued: Int
        var pulls: UInt64
        var failures: UInt64
        var lastFailure: String?
    }

    struct Latency: Decodable {
        var count: UInt64
        var p50Microseconds: Double?
        var p90Microseconds: Double?
        var p99Microseconds: Double?
    }

    struct Latencies: Decodable {
        var hit: Latency?
        /// To the first byte of the origin's answer.
        var pull: Latency?
    }

    struct Connections: Decodable {
        var open: Int
        var accepted: UInt64
    }

    struct Listener: Decodable {
        /// Host and port.
        var address: String
        var tls: Bool
    }

    struct LoopLag: Decodable {
        var p99: Double
        var max: Double
    }

    struct TopMiss: Decodable {
        var url: String
        var reason: String
        var count: UInt64
    }

    struct Purges: Decodable {
        var head: String?
        var total: UInt64
        var stamps: Int?
        var recent: [Purge]?
    }

    struct Purge: Decodable {
        var id: String
        var purgedAt: String
        var scope: String
        /// As it was asked for; nil for everything.
        var value: String?
        var soft: Bool
        var anyQuery: Bool?
        /// The address that asked for it.
        var client: String?

        /// Scope and value: `url http://www.example.com/a?… (any query)`, `all`.
        var target: String {
            scope + (value.map { " \($0)" } ?? "") + (anyQuery == true ? " (any query)" : "")
        }
    }

    struct AccessLog: Decodable {
        var droppedLines: UInt64
    }

    var version: String
    var node: String
    var uptimeSeconds: Int64
    var draining: Bool
    var requests: Requests
    var fills: Int
    var tiers: [Tier]
    var origins: [Origin]
    var latency: Latencies?
    var listeners: [Listener]?
    var connections: Connections?
    var loopLagMicroseconds: LoopLag?
    var topMisses: [TopMiss]?
    var purges: Purges?
    var accessLog: AccessLog?
}
