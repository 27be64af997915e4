import EdgeNode
import EdgeOrigin
import EdgePolicy
import EdgeStore

/// The node's counters in the Prometheus text format.
struct MetricsText {
    private(set) var text = ""

    mutating func family(_ name: String, _ kind: String, _ help: String) {
        text += "# HELP rockpool_\(name) \(help)\n# TYPE rockpool_\(name) \(kind)\n"
    }

    mutating func sample(
        _ name: String, _ labels: [(String, String)] = [], _ value: some CustomStringConvertible
    ) {
        let pairs = labels.map { "\($0.0)=\"\(Self.escape($0.1))\"" }.joined(separator: ",")
        text += "rockpool_\(name)" + (pairs.isEmpty ? "" : "{\(pairs)}") + " \(value)\n"
    }

    private static func escape(_ value: String) -> String {
        var escaped = ""
        for character in value {
            switch character {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.append(character)
            }
        }
        return escaped
    }

    static func render(_ node: Node) -> String {
        var out = MetricsText()
        let loops = node.counters
        out.family("requests_total", "counter", "Requests answered, by outcome and reason.")
        for outcome in RequestOutcome.allCases {
            for reason in Reason.allCases.map(Optional.some) + [nil] {
                let count = loops.reduce(UInt64(0)) { $0 + $1.requests(outcome, reason) }
                guard count > 0 else { continue }
                out.sample(
                    "requests_total", [("outcome", outcome.label), ("reason", reason?.rawValue ?? "none")],
                    count)
            }
        }
        out.counter(
            "refused_requests_total", "Requests refused before they had a meaning.",
            loops.sum(\.requestsRefused))
        out.counter("response_body_bytes_total", "Body bytes sent to clients.", loops.sum(\.responseBytes))
        out.counter(
            "connections_accepted_total", "Client connections accepted.", loops.sum(\.connectionsAccepted))
        out.counter("connections_closed_total", "Client connections ended.", loops.sum(\.connectionsClosed))
        out.counter(
            "access_log_dropped_lines_total", "Access log lines that were lost.",
            node.accessLog?.droppedLines ?? 0)
        out.gauge("fills", "Origin pulls that requests can join.", node.fillCount)
        out.tier(node)
        out.origins(node)
        return out.text
    }

    private mutating func counter(_ name: String, _ help: String, _ value: UInt64) {
        family(name, "counter", help)
        sample(name, [], value)
    }

    private mutating func gauge(_ name: String, _ help: String, _ value: some CustomStringConvertible) {
        family(name, "gauge", help)
        sample(name, [], value)
    }

    private mutating func tier(_ node: Node) {
        let memory = node.store.memory.snapshot
        let disk = node.store.disk?.snapshot
        family("tier_budget_bytes", "gauge", "What a tier may hold.")
        tiers("tier_budget_bytes", memory.budgetBytes, disk?.budgetBytes)
        family("tier_used_bytes", "gauge", "What a tier holds, all overheads counted.")
        tiers("tier_used_bytes", memory.usedBytes, disk?.usedBytes)
        family("tier_stored_responses", "gauge", "Stored responses in a tier; on disk, their blocks as well.")
        tiers("tier_stored_responses", memory.count, disk?.entryCount)
        family("tier_insertions_total", "counter", "Stored responses put into a tier.")
        tiers("tier_insertions_total", memory.insertions, disk?.insertions)
        family("tier_evictions_total", "counter", "Stored responses that made room for others.")
        tiers("tier_evictions_total", memory.evictions, disk?.evictions)
        guard let disk else { return }
        gauge("disk_healthy", "Whether the disk tier is written to.", disk.health == .good ? 1 : 0)
        gauge("disk_pending_bytes", "What waits in memory to be written to disk.", disk.pendingBytes)
        gauge("disk_index_bytes", "Memory that the index of the disk tier takes.", disk.indexBytes)
        counter("disk_hits_total", "Reads from disk that found a response.", disk.hits)
        counter("disk_misses_total", "Reads from disk that found none that proves itself.", disk.misses)
        counter("disk_written_bytes_total", "Bytes written to segments.", disk.bytesWritten)
        counter("disk_rewritten_bytes_total", "Bytes written again when a segment left.", disk.bytesRewritten)
        counter("disk_refusals_total", "Responses that admission kept off the disk.", disk.refusals)
        counter("disk_dropped_total", "Responses not written for backlog or failure.", disk.backlogDrops)
        counter("disk_damaged_records_total", "Records that failed their checksum.", disk.damagedRecords)
        counter("disk_scrubbed_bytes_total", "Bytes checked by the scrubber.", disk.scrubbedBytes)
        counter("disk_errors_total", "Failures of the disk.", disk.errors)
    }

    private mutating func tiers(
        _ name: String, _ memory: some CustomStringConvertible, _ disk: (some CustomStringConvertible)?
    ) {
        sample(name, [("tier", "memory")], memory)
        if let disk { sample(name, [("tier", "disk")], disk) }
    }

    private mutating func origins(_ node: Node) {
        let servers = node.pulls.snapshot()
        family("origin_up", "gauge", "Whether an origin's server is taken as healthy.")
        for server in servers { sample("origin_up", server.labels, server.health == .healthy ? 1 : 0) }
        family("origin_pulls_total", "counter", "Pulls from an origin's server.")
        for server in servers { sample("origin_pulls_total", server.labels, server.pulls) }
        family("origin_failures_total", "counter", "Pulls that failed.")
        for server in servers { sample("origin_failures_total", server.labels, server.failures) }
    }
}

extension [LoopCounters] {
    fileprivate func sum(_ path: KeyPath<LoopCounters, LoopCounters.Cell>) -> UInt64 {
        reduce(0) { $0 + $1[keyPath: path].current }
    }
}

extension OriginSnapshot {
    fileprivate var labels: [(String, String)] { [("origin", name), ("server", url)] }
}
