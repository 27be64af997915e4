import EdgeNode
import EdgePolicy
import EdgePrimitives
import EdgeStore

/// The node's counters in the Prometheus text format (version 0.0.4).
///
/// Cardinality is bounded: sites, origins and servers come from the configuration, everything else from closed lists.
/// Nothing that a client sends becomes a label.
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
        let counts = NodeCounts(node)
        out.node(node)
        out.requests(counts)
        out.latencies(counts)
        out.connections(node, counts)
        out.fills(node, counts)
        out.tiers(node)
        out.purges(node)
        out.origins(node)
        out.process()
        return out.text
    }

    /// A family of one sample without our prefix.
    mutating func plain(_ name: String, _ kind: String, _ help: String, _ value: some CustomStringConvertible)
    {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind)\n\(name) \(value)\n"
    }

    mutating func counter(_ name: String, _ help: String, _ value: UInt64) {
        family(name, "counter", help)
        sample(name, [], value)
    }

    mutating func gauge(_ name: String, _ help: String, _ value: some CustomStringConvertible) {
        family(name, "gauge", help)
        sample(name, [], value)
    }

    /// The samples of one histogram: every second or third of its buckets, in seconds.
    mutating func histogram(
        _ name: String, _ labels: [(String, String)] = [], _ latency: LatencyHistogram.Snapshot
    ) {
        var cumulative: UInt64 = 0
        for (bound, count) in zip(LatencyHistogram.bounds, latency.counts) {
            cumulative += count
            guard Self.isShown(bound) else { continue }
            sample("\(name)_bucket", labels + [("le", Self.seconds(UInt64(bound)))], cumulative)
        }
        sample("\(name)_bucket", labels + [("le", "+Inf")], latency.count)
        sample("\(name)_sum", labels, Self.seconds(latency.sumNanoseconds))
        sample("\(name)_count", labels, latency.count)
    }

    /// Bounds of the series 1, 2, 5: the finer ones in between serve the quantiles of `/status`.
    private static func isShown(_ bound: Int64) -> Bool {
        var leading = bound
        while leading % 10 == 0 { leading /= 10 }
        return leading == 1 || leading == 2 || leading == 5
    }

    /// Nanoseconds as seconds, exactly.
    static func seconds(_ nanoseconds: UInt64) -> String {
        let whole = nanoseconds / 1_000_000_000
        let rest = String(nanoseconds % 1_000_000_000)
        var digits = String(repeating: "0", count: 9 - rest.count) + rest
        while digits.hasSuffix("0") { digits.removeLast() }
        return digits.isEmpty ? "\(whole)" : "\(whole).\(digits)"
    }

    // MARK: Families

    private mutating func node(_ node: Node) {
        family("info", "gauge", "The node, by its id in CDN-Loop; always 1.")
        sample("info", [("node", String(decoding: node.nodeID, as: UTF8.self))], 1)
        gauge(
            "start_time_seconds", "When the node started, in seconds since the Unix epoch.",
            node.started.seconds)
        gauge("draining", "Whether the node drains: it finishes what is under way.", node.isDraining ? 1 : 0)
    }

    private mutating func requests(_ counts: NodeCounts) {
        family(
            "requests_total", "counter",
            "Requests answered, by site (the first of its hosts; empty: a host that no site names), outcome and reason."
        )
        for row in counts.requests {
            sample(
                "requests_total",
                [
                    ("site", row.site), ("outcome", row.outcome.label),
                    ("reason", row.reason?.rawValue ?? "none"),
                ], row.count)
        }
        family("response_body_bytes_total", "counter", "Body bytes sent to clients, by site and outcome.")
        for row in counts.bodyBytes {
            sample(
                "response_body_bytes_total", [("site", row.site), ("outcome", row.outcome.label)], row.bytes)
        }
        family(
            "refused_requests_total", "counter",
            "Requests refused before they had a meaning, by what was wrong.")
        for row in counts.refused { sample("refused_requests_total", [("kind", row.kind)], row.count) }
    }

    private mutating func latencies(_ counts: NodeCounts) {
        family(
            "hit_duration_seconds", "histogram",
            "From the bytes of a request being read to its answer handed to the socket, of plain hits from memory. "
                + "One plain hit in \(LoopCounters.hitsPerTimedHit) is timed, so the count is not that of hits."
        )
        histogram("hit_duration_seconds", [], counts.hitLatency)
        family(
            "response_head_seconds", "histogram",
            "From a request to the head of its answer, by outcome, of all requests but plain hits from memory."
        )
        for (outcome, latency) in counts.headLatency {
            histogram("response_head_seconds", [("outcome", outcome.label)], latency)
        }
        family("loop_lag_seconds", "histogram", "How late event loops come to a timer of 100 ms.")
        histogram("loop_lag_seconds", [], counts.loopLag)
        gauge(
            "loop_lag_max_seconds", "The greatest such lag of the last minute.",
            Self.seconds(UInt64(max(0, counts.maxLoopLag))))
    }

    private mutating func connections(_ node: Node, _ counts: NodeCounts) {
        gauge("connections_open", "Client connections that are open.", counts.connectionsOpen)
        counter(
            "connections_accepted_total", "Client connections accepted.", counts.connectionsAccepted)
        counter("connections_closed_total", "Client connections ended.", counts.connectionsClosed)
        gauge(
            "connections_limit", "The most client connections, by the limit of open files; 0: no bound.",
            node.pressure.limit)
        counter(
            "connections_ended_idle_total",
            "Client connections ended between two requests, so that others could come.", node.pressure.ended)
        counter(
            "accept_pauses_total",
            "How often accepting stopped because client connections came to their bound.",
            node.pressure.pauses)
        counter(
            "accept_failures_total", "Connections for which the system had no descriptor or no memory.",
            node.pressure.failures)
        counter(
            "access_log_dropped_lines_total", "Access log lines that were lost.",
            node.accessLog?.droppedLines ?? 0)
    }

    private mutating func fills(_ node: Node, _ counts: NodeCounts) {
        gauge("fills", "Origin pulls that requests can join.", node.fillCount)
        family("fills_started_total", "counter", "Fills begun, by whether the response may be stored.")
        sample("fills_started_total", [("kind", "cacheable")], counts.fillsStarted)
        sample("fills_started_total", [("kind", "pass")], counts.passesStarted)
        counter(
            "fill_followers_total", "Requests that joined the fill of another request.",
            counts.followersJoined)
        counter(
            "fill_followers_released_total",
            "Followers whose fill could not serve them: each went to a pull of its own or joined another.",
            counts.followersReleased)
        family("marked_keys", "gauge", "Keys that are remembered for something, by what.")
        sample("marked_keys", [("mark", "hit-for-miss")], counts.hitForMissMarks)
        sample("marked_keys", [("mark", "failing")], counts.failureMarks)
    }

    /// Purges of the admin API.
    private mutating func purges(_ node: Node) {
        let counters = node.ledger.counters
        family("purges_total", "counter", "Purges, by what they cover; anyQuery: a URL with every query.")
        for (index, scope) in PurgeCounters.scopes.enumerated() {
            for (place, mode) in ["hard", "soft"].enumerated() {
                sample(
                    "purges_total", [("scope", scope), ("mode", mode)], counters.purges[2 * index + place])
            }
        }
        counter(
            "purge_failures_total", "Purges that were refused because the ledger could not be written.",
            counters.failures)
        gauge("purge_stamps", "Stamps of purges that look-ups compare with.", node.store.stamps.count)
        family(
            "purge_sync_seconds", "summary",
            "What making purges durable took; purges that come at once share one.")
        sample("purge_sync_seconds_sum", [], Double(counters.syncNanoseconds) / 1e9)
        sample("purge_sync_seconds_count", [], counters.syncs)
        family("purge_apply_seconds", "summary", "What purges cost beside their sync.")
        sample("purge_apply_seconds_sum", [], Double(counters.applyNanoseconds) / 1e9)
        sample("purge_apply_seconds_count", [], counters.total)
    }
}
