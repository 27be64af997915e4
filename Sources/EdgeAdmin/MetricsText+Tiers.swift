import EdgeNode
import EdgeOrigin
import EdgePrimitives
import EdgeStore

/// The families of the store and of origins.
extension MetricsText {
    mutating func tiers(_ node: Node) {
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
        family(
            "tier_eviction_age_seconds", "gauge",
            "For how long what was newly evicted had been in the tier; 0 before the first eviction.")
        tiers("tier_eviction_age_seconds", memory.evictionAgeSeconds, disk?.evictionAgeSeconds)
        gauge("memory_fill_bytes", "What fills in flight have reserved of the memory tier.", memory.fillBytes)
        counter(
            "memory_evicted_bytes_total", "Bytes that left the memory tier for others.", memory.evictedBytes)
        counter(
            "memory_refusals_total", "Responses that were too large for the memory tier.", memory.refusals)
        counter(
            "memory_variant_evictions_total", "Variants that left because their URL had too many.",
            memory.variantEvictions)
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

    mutating func origins(_ node: Node) {
        let servers = node.pulls.snapshot()
        family("origin_up", "gauge", "Whether an origin's server is taken as healthy.")
        for server in servers { sample("origin_up", server.labels, server.health == .healthy ? 1 : 0) }
        family("origin_pulls_total", "counter", "Pulls from an origin's server.")
        for server in servers { sample("origin_pulls_total", server.labels, server.pulls) }
        family("origin_failures_total", "counter", "Pulls that failed.")
        for server in servers { sample("origin_failures_total", server.labels, server.failures) }
        family(
            "origin_retries_total", "counter",
            "Pulls that failed at a server and then went to another of the same origin.")
        for server in servers { sample("origin_retries_total", server.labels, server.retries) }
        family("origin_active_pulls", "gauge", "Pulls under way at an origin's server.")
        for server in servers { sample("origin_active_pulls", server.labels, server.active) }
        family(
            "origin_queued_pulls", "gauge", "Pulls that wait for one of an origin's connections.")
        var seen: Set<String> = []
        for server in servers where seen.insert(server.name).inserted {
            sample("origin_queued_pulls", [("origin", server.name)], server.queued)
        }
        let timings = node.pulls.timings()
        family(
            "pull_first_byte_seconds", "histogram",
            "From the request for a pull to the head of its answer, the wait for a connection included.")
        for (origin, timings) in timings {
            histogram("pull_first_byte_seconds", [("origin", origin)], timings.firstByte.snapshot)
        }
        family(
            "pull_duration_seconds", "histogram",
            "From the request for a pull to its last byte; pulls that failed are not among them.")
        for (origin, timings) in timings {
            histogram("pull_duration_seconds", [("origin", origin)], timings.whole.snapshot)
        }
    }
}

extension OriginSnapshot {
    fileprivate var labels: [(String, String)] { [("origin", name), ("server", url)] }
}
