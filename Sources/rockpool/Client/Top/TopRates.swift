/// What changed between two answers of `/status`, by the second.
struct TopRates {
    let seconds: Double
    /// Requests, all of them.
    let total: Double
    let byOutcome: [String: Double]
    let bodyBytes: Double?
    let accepted: Double?

    /// Requests that waited for no origin, of all; nil where there was none.
    var hitShare: Double? {
        total > 0 ? ((byOutcome["hit"] ?? 0) + (byOutcome["stale"] ?? 0)) / total : nil
    }

    /// Nil where there is no difference to tell: the node is another one by now, or no time went by.
    init?(from before: NodeStatus, to after: NodeStatus, seconds: Double) {
        guard seconds > 0, after.node == before.node, after.uptimeSeconds >= before.uptimeSeconds,
            after.requests.total >= before.requests.total
        else { return nil }
        func rate(_ old: UInt64, _ new: UInt64) -> Double { new >= old ? Double(new - old) / seconds : 0 }
        self.seconds = seconds
        total = rate(before.requests.total, after.requests.total)
        var byOutcome: [String: Double] = [:]
        for (name, count) in after.requests.byOutcome {
            byOutcome[name] = rate(before.requests.byOutcome[name] ?? 0, count)
        }
        self.byOutcome = byOutcome
        if let new = after.requests.bodyBytes, let old = before.requests.bodyBytes, new >= old {
            bodyBytes = Double(new - old) / seconds
        } else {
            bodyBytes = nil
        }
        accepted = after.connections.flatMap { new in
            before.connections.map { rate($0.accepted, new.accepted) }
        }
    }
}
