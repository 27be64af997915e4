/// What `rockpool status` prints.
enum StatusText {
    private static let shownReasons = 6
    private static let shownMisses = 5
    private static let shownPurges = 3

    static func render(_ status: NodeStatus) -> String {
        var lines = [
            "rockpool \(Printable.text(status.version))  node \(Printable.text(status.node))  "
                + "up \(Amount.duration(Double(status.uptimeSeconds)))"
                + (status.draining ? "  draining" : "")
        ]
        lines += requests(status)
        lines += clients(status)
        if let latency = status.latency {
            if let hit = latency.hit { lines.append(row("latency", "hits   \(percentiles(hit))")) }
            if let pull = latency.pull { lines.append(row("", "pulls  \(percentiles(pull))")) }
        }
        lines.append(row("fills", "\(status.fills) under way"))
        for tier in status.tiers { lines += self.tier(tier) }
        for origin in status.origins { lines.append(self.origin(origin)) }
        lines += misses(status.topMisses ?? [])
        if let purges = status.purges { lines += self.purges(purges) }
        if let dropped = status.accessLog?.droppedLines, dropped > 0 {
            lines.append(row("log", "\(Amount.plural(dropped, "access log line")) lost"))
        }
        return lines.joined(separator: "\n")
    }

    /// `p50 0.09 ms, p90 0.20 ms, p99 1.2 ms (of 10)`
    static func percentiles(_ latency: NodeStatus.Latency) -> String {
        guard latency.count > 0 else { return "none yet" }
        let figures = [
            ("p50", latency.p50Microseconds), ("p90", latency.p90Microseconds),
            ("p99", latency.p99Microseconds),
        ]
        return figures.compactMap { name, value in
            value.map { "\(name) \(Amount.latency(microseconds: $0))" }
        }.joined(separator: ", ") + "  (of \(Amount.count(latency.count)))"
    }

    /// `10:11:06` of `2026-11-21T10:11:06.123Z`; what is no such time, whole.
    static func clock(_ time: String) -> String {
        guard let mark = time.firstIndex(of: "T"), time.hasSuffix("Z") else { return time }
        return String(time[time.index(after: mark)...].prefix(8))
    }

    private static func row(_ name: String, _ text: String) -> String { Amount.padded(name, 10) + text }

    private static func requests(_ status: NodeStatus) -> [String] {
        let requests = status.requests
        let outcomes = requests.byOutcome.filter { $0.value > 0 }.sorted { $0.value > $1.value }
            .map { "\(Amount.count($0.value)) \(Printable.text($0.key))" }
        var lines = [
            row(
                "requests",
                Amount.count(requests.total)
                    + (outcomes.isEmpty ? "" : "  (" + outcomes.joined(separator: ", ") + ")")
                    + (requests.hitShare.map { ", \(Amount.percent($0)) from the cache" } ?? ""))
        ]
        let reasons = (requests.byReason ?? []).filter { $0.outcome != "hit" && $0.count > 0 }
            .sorted { $0.count > $1.count }.prefix(shownReasons)
            .map { "\(Amount.count($0.count)) \(Printable.text($0.outcome)) (\(Printable.text($0.reason)))" }
        if !reasons.isEmpty { lines.append(row("", "why: " + reasons.joined(separator: ", "))) }
        if let bytes = requests.bodyBytes {
            let refused = requests.refused ?? 0
            lines.append(
                row("sent", Amount.size(bytes) + (refused > 0 ? ", \(Amount.count(refused)) refused" : "")))
        }
        return lines
    }

    private static func clients(_ status: NodeStatus) -> [String] {
        guard let connections = status.connections else { return [] }
        var text =
            "\(Amount.plural(connections.open, "connection")) open, "
            + "\(Amount.count(connections.accepted)) accepted"
        if let lag = status.loopLagMicroseconds {
            text +=
                "; event loops late by \(Amount.latency(microseconds: lag.max)) at most in the last minute"
        }
        return [row("clients", text)]
    }

    private static func tier(_ tier: NodeStatus.Tier) -> [String] {
        var lines = [
            row(
                Printable.text(tier.name),
                "\(Amount.size(tier.usedBytes)) of \(Amount.size(tier.budgetBytes)), "
                    + "\(Amount.count(tier.storedResponses)) stored, \(Amount.count(tier.evictions)) evicted"
                    + (tier.hitShare.map { ", \(Amount.percent($0)) of reads found" } ?? ""))
        ]
        guard let disk = tier.disk else { return lines }
        lines.append(
            row(
                "",
                "\(disk.health == "good" ? "healthy" : "NOT WRITTEN: \(Printable.text(disk.health))"), "
                    + "\(Amount.plural(disk.segments, "segment")), "
                    + "\(Amount.size(Int64(clamping: Int(disk.bytesWrittenPerSecond))))/s written, "
                    + "\(disk.damagedRecords) damaged, \(Amount.plural(disk.errors, "error"))"))
        let found = disk.recovery
        lines.append(
            row(
                "",
                "last start: \(Amount.plural(found.responses, "response")) found in \(found.milliseconds) ms, "
                    + "\(found.droppedSegments) segments and \(found.damagedEntries) entries dropped"))
        return lines
    }

    private static func origin(_ origin: NodeStatus.Origin) -> String {
        row(
            "origin",
            "\(Printable.text(origin.name)) \(Printable.text(origin.url))  \(Printable.text(origin.health)), "
                + "\(origin.active) active, \(origin.queued) queued, "
                + "\(Amount.count(origin.failures)) of \(Amount.count(origin.pulls)) failed"
                + (origin.lastFailure.map { "  (last: \(Printable.text($0)))" } ?? ""))
    }

    private static func misses(_ misses: [NodeStatus.TopMiss]) -> [String] {
        let shown = misses.prefix(shownMisses)
        let width = shown.map { Amount.count($0.count).count }.max() ?? 0
        return shown.enumerated().map { index, miss in
            row(
                index == 0 ? "misses" : "",
                "\(Amount.right(Amount.count(miss.count), width))  \(Printable.text(miss.url))  "
                    + "(\(Printable.text(miss.reason)))")
        }
    }

    private static func purges(_ purges: NodeStatus.Purges) -> [String] {
        var first = Amount.count(purges.total)
        if let stamps = purges.stamps { first += ", \(Amount.plural(stamps, "stamp")) in the ledger" }
        if let head = purges.head { first += ", the last is \(Printable.text(head))" }
        return [row("purges", first)]
            + (purges.recent ?? []).prefix(shownPurges).map { purge in
                row(
                    "",
                    "\(Printable.text(clock(purge.purgedAt)))  \(Printable.text(purge.target))"
                        + (purge.soft ? "  soft" : ""))
            }
    }
}
