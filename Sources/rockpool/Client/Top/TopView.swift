/// What `rockpool top` knows at a moment: the last answer, the rates and how long ago that was.
struct TopView {
    static let keptRates = 600

    /// The admin listener's URL.
    var address: String
    var status: NodeStatus?
    var rates: TopRates?
    /// Requests a second, the newest last; at most `keptRates`.
    var history: [Double] = []
    /// Why the last question was not answered.
    var trouble: String?
    /// Seconds since the last answer.
    var silenceSeconds = 0.0
    private var answeredAt: Double?

    init(address: String) { self.address = address }

    /// Takes in an answer that came at `now` (seconds of a monotonic clock).
    mutating func answered(_ new: NodeStatus, now: Double) {
        if let status, let answeredAt {
            rates = TopRates(from: status, to: new, seconds: now - answeredAt)
            if let rates { history = (history + [rates.total]).suffix(Self.keptRates) }
        }
        status = new
        answeredAt = now
        trouble = nil
        silenceSeconds = 0
    }

    /// Takes in that no answer came.
    mutating func unanswered(_ why: String, now: Double) {
        trouble = why
        rates = nil
        silenceSeconds = answeredAt.map { now - $0 } ?? 0
    }

    /// One line for what is not a terminal.
    func plainLine(time: String) -> String {
        if let trouble { return "\(time)  no answer: \(Printable.text(trouble))" }
        guard let status else { return "\(time)  no answer yet" }
        var parts = ["\(time)"]
        if let rates {
            parts.append("\(Amount.rate(rates.total)) req/s")
            parts.append("hit ratio \(rates.hitShare.map(Amount.percent) ?? "-")")
            for name in NodeStatus.Requests.outcomes {
                parts.append("\(name) \(Amount.rate(rates.byOutcome[name] ?? 0))/s")
            }
        } else {
            parts.append(
                "\(Amount.count(status.requests.total)) requests so far (rates from the next line on)")
        }
        if let p99 = status.latency?.hit?.p99Microseconds {
            parts.append("hit p99 \(Amount.latency(microseconds: p99))")
        }
        if let p99 = status.latency?.pull?.p99Microseconds {
            parts.append("pull p99 \(Amount.latency(microseconds: p99))")
        }
        if let open = status.connections?.open { parts.append("\(open) open") }
        let ill = status.origins.filter { $0.health != "healthy" }.map { Printable.text($0.url) }
        if !ill.isEmpty { parts.append("origins not healthy: " + ill.joined(separator: " ")) }
        if status.draining { parts.append("draining") }
        return parts.joined(separator: "  ")
    }
}
