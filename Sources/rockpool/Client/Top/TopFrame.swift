/// The screen of `rockpool top`: a pure function from what is known and the size of the terminal to lines.
///
/// The figures of requests, latency and tiers have their fixed place; origins, misses, purges and the curve of the
/// requests share what rows are left.
struct TopFrame {
    private let view: TopView
    private let width: Int
    private let height: Int
    /// Whether the terminal shows block characters.
    private let hasBlocks: Bool
    private var lines: [StyledLine] = []

    /// At most `height` lines of at most `width` columns.
    static func lines(_ view: TopView, width: Int, height: Int, hasBlocks: Bool) -> [StyledLine] {
        var frame = TopFrame(view: view, width: max(width, 1), height: max(height, 1), hasBlocks: hasBlocks)
        frame.compose()
        return frame.lines.prefix(frame.height).map { $0.cropped(to: frame.width) }
    }

    private init(view: TopView, width: Int, height: Int, hasBlocks: Bool) {
        self.view = view
        self.width = width
        self.height = height
        self.hasBlocks = hasBlocks
    }

    private mutating func compose() {
        header()
        guard let status = view.status else {
            lines.append(StyledLine())
            lines.append(StyledLine("  Waiting for the node to answer ...", .bold))
            footer()
            return
        }
        requests(status)
        latency(status)
        tiers(status)
        lists(status)
        footer()
    }

    // MARK: Fixed parts

    private mutating func header() {
        var line = StyledLine(" rockpool top", .bold)
        let address = Printable.columns(view.address)
        if let status = view.status {
            let version = "  \(StyledLine.cut(Printable.columns(status.version), 16))  node "
            var rest = "  up \(Amount.duration(Double(status.uptimeSeconds)))"
            if status.draining { rest += "  draining" }
            line.add(version)
            let room = width - line.width - rest.count - address.count - 4
            line.add(StyledLine.cut(Printable.columns(status.node), max(12, min(40, room))), .bold)
            line.add(rest, status.draining ? .warning : .plain)
        }
        let shown = StyledLine.cut(address, max(0, width - line.width - 3))
        line.fill(to: width - shown.count - 1)
        line.add(shown, .dim)
        lines.append(line)
        if let trouble = view.trouble {
            let since = view.status == nil ? "" : " for \(Amount.duration(view.silenceSeconds.rounded(.up)))"
            lines.append(
                StyledLine(
                    StyledLine.cut(" NO ANSWER\(since), trying again: \(Printable.columns(trouble))", width),
                    .bad))
        } else {
            lines.append(StyledLine())
        }
    }

    private mutating func requests(_ status: NodeStatus) {
        let rates = view.rates
        var line = row("Requests")
        line.add(rates.map { Amount.rate($0.total) + "/s" } ?? "-", columns: 12, .bold)
        line.add("hit ratio ")
        line.add(rates?.hitShare.map(Amount.percent) ?? "-", columns: 9, .bold)
        line.add("since start ")
        line.add(status.requests.hitShare.map(Amount.percent) ?? "-")
        line.add(", \(Amount.count(status.requests.total)) requests")
        lines.append(line)
        let known = NodeStatus.Requests.outcomes
        let others = status.requests.byOutcome.keys.filter { !known.contains($0) }.sorted()
        for name in known + others {
            let rate = rates?.byOutcome[name] ?? 0
            let share = (rates?.total).map { $0 > 0 ? rate / $0 : 0 } ?? 0
            var line = StyledLine("  ")
            line.add(Printable.columns(name), columns: 12, Self.style(name, rate))
            line.add(Amount.right(rates == nil ? "-" : Amount.rate(rate) + "/s", 11) + "  ")
            line.add(bar(share, columns: max(4, width - 56)), Self.style(name, rate))
            line.add(Amount.right(rates == nil || rate == 0 ? "" : Amount.percent(share), 9))
            line.add(Amount.right(Amount.count(status.requests.byOutcome[name] ?? 0), 16) + " ")
            lines.append(line)
        }
    }

    private static func style(_ outcome: String, _ rate: Double) -> StyledLine.Style {
        switch outcome {
        case "hit", "revalidated": .good
        case "stale": rate > 0 ? .warning : .plain
        case "error": rate > 0 ? .bad : .plain
        default: .plain
        }
    }

    private mutating func latency(_ status: NodeStatus) {
        let kinds = [("hit", status.latency?.hit), ("pull", status.latency?.pull)].filter { $0.1 != nil }
        for (index, (name, figures)) in kinds.enumerated() {
            guard let figures else { continue }
            var line = row(index == 0 ? "Latency" : "")
            line.add(name, columns: 6)
            guard figures.count > 0 else {
                line.add("none yet", .dim)
                lines.append(line)
                continue
            }
            for (label, value) in [
                ("p50", figures.p50Microseconds), ("p90", figures.p90Microseconds),
                ("p99", figures.p99Microseconds),
            ] {
                line.add("\(label) ", .dim)
                line.add(value.map { Amount.latency(microseconds: $0) } ?? "-", columns: 12)
            }
            line.add("of \(Amount.count(figures.count))", .dim)
            lines.append(line)
        }
        guard let connections = status.connections else { return }
        var line = row("Clients")
        line.add("\(Amount.count(connections.open)) open", .bold)
        if let rate = view.rates?.accepted { line.add(", \(Amount.rate(rate)) new/s") }
        if let bytes = view.rates?.bodyBytes { line.add(", \(Amount.size(Int64(bytes)))/s sent") }
        if let lag = status.loopLagMicroseconds { line.add(", loops late p99 \(Self.short(lag.p99))") }
        if let refused = status.requests.refused, refused > 0 {
            line.add(", \(Amount.count(refused)) refused", .warning)
        }
        lines.append(line)
    }

    /// A latency in few columns: `0.09ms`.
    private static func short(_ microseconds: Double) -> String {
        String(Amount.latency(microseconds: microseconds).filter { $0 != " " })
    }

    private mutating func tiers(_ status: NodeStatus) {
        for (index, tier) in status.tiers.enumerated() {
            var line = row(index == 0 ? "Tiers" : "")
            line.add(Printable.columns(tier.name), columns: 8)
            let share = tier.budgetBytes > 0 ? Double(tier.usedBytes) / Double(tier.budgetBytes) : 0
            line.add(bar(share, columns: max(4, width - 65)), .good)
            let figures = "\(Amount.size(tier.usedBytes)) of \(Amount.size(tier.budgetBytes)), "
            line.add(" \(figures)\(Amount.count(tier.storedResponses)) stored")
            if let health = tier.disk?.health, health != "good" {
                line.add("  NOT WRITTEN: \(Printable.columns(health))", .bad)
            }
            lines.append(line)
        }
    }

    // MARK: Parts that share the rest

    private mutating func lists(_ status: NodeStatus) {
        let parts = [origins(status.origins), misses(status.topMisses ?? []), purges(status.purges)]
        // Two rows each first, then one by one to those that have more; the foot keeps its row.
        var left = max(0, height - 1 - lines.count)
        var rows = parts.map { _ in 0 }
        for least in [2, Int.max] {
            var isGiving = true
            while left > 0, isGiving {
                isGiving = false
                for index in parts.indices where left > 0 && rows[index] < min(least, parts[index].count) {
                    rows[index] += 1
                    left -= 1
                    isGiving = true
                }
            }
        }
        for (index, part) in parts.enumerated() { lines += part.prefix(rows[index]) }
        lines += curve(rows: min(10, left))
    }

    private func origins(_ origins: [NodeStatus.Origin]) -> [StyledLine] {
        origins.enumerated().map { index, origin in
            var line =
                row(index == 0 ? "Origins" : "")
            line.add(StyledLine.cut(Printable.columns(origin.url), max(20, width - 57)))
            line.add(
                "  \(Printable.columns(origin.health))", origin.health == "healthy" ? .good : .bad)
            line.add("  \(origin.active) active, \(origin.queued) queued, ")
            line.add("\(Amount.count(origin.failures))/\(Amount.count(origin.pulls)) failed")
            return line
        }
    }

    private func misses(_ misses: [NodeStatus.TopMiss]) -> [StyledLine] {
        misses.enumerated().map { index, miss in
            var line = row(index == 0 ? "Misses" : "")
            line.add(Amount.right(Amount.count(miss.count), 8) + "  ")
            line.add(Printable.columns(miss.url), columns: max(10, width - Self.margin - 31))
            line.add("  " + StyledLine.cut(Printable.columns(miss.reason), 18), .dim)
            return line
        }
    }

    private func purges(_ purges: NodeStatus.Purges?) -> [StyledLine] {
        guard let purges, let recent = purges.recent, !recent.isEmpty else { return [] }
        return recent.enumerated().map { index, purge in
            var line = row(index == 0 ? "Purges" : "")
            line.add(Printable.columns(StatusText.clock(purge.purgedAt)) + "  ")
            line.add(StyledLine.cut(Printable.columns(purge.target), max(10, width - Self.margin - 18)))
            if purge.soft { line.add("  soft", .dim) }
            return line
        }
    }

    /// Requests a second over the last minutes, a column for each answer, as high as there is room.
    private func curve(rows: Int) -> [StyledLine] {
        let columns = width - Self.margin - 2
        let rates = view.history.suffix(max(0, columns))
        guard rows >= 3, let most = rates.max(), most > 0 else { return [] }
        return (0..<rows).map { row in
            var line = self.row(row == 0 ? "Curve" : "")
            let floor = Double(rows - 1 - row) / Double(rows)
            line.add(
                String(
                    rates.map { rate in
                        Self.block((rate / most - floor) * Double(rows), hasBlocks)
                    }), .good)
            return line
        }
    }

    // MARK: Pieces

    private static let margin = 11

    /// A line that begins with `name` in the margin.
    private func row(_ name: String) -> StyledLine {
        var line = StyledLine(" ")
        line.add(name, columns: Self.margin - 1, .bold)
        return line
    }

    private func bar(_ share: Double, columns: Int) -> String {
        let filled = min(max(share, 0), 1) * Double(columns)
        return String(
            (0..<columns).map { index in
                let part = filled - Double(index)
                return part > 0 ? Self.block(part, hasBlocks, isBar: true) : hasBlocks ? "\u{b7}" : "."
            })
    }

    /// A character that is filled to `part` of 1: from below, or from the left in a bar.
    private static func block(_ part: Double, _ hasBlocks: Bool, isBar: Bool = false) -> Character {
        guard part > 0 else { return " " }
        guard hasBlocks else { return part >= 0.5 ? "#" : isBar ? "." : "_" }
        let eighths = min(8, max(1, Int((part * 8).rounded())))
        let code = isBar ? 0x2590 - eighths : 0x2580 + eighths
        return Unicode.Scalar(UInt32(code)).map(Character.init) ?? "#"
    }

    private mutating func footer() {
        let room = max(0, height - 1)
        if lines.count > room { lines.removeLast(lines.count - room) }
        while lines.count < room { lines.append(StyledLine()) }
        var line = StyledLine(" q", .bold)
        line.add(" or Ctrl-C quits; each second anew", .dim)
        lines.append(line)
    }
}
