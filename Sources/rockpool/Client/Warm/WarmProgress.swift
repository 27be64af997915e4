import Foundation

/// Shows how far a run is, on standard error: a bar on a terminal, elsewhere a plain line now and then.
struct WarmProgress {
    enum Look {
        case bar
        case lines
        case none
    }

    private static let barIntervalSeconds = 0.1
    private static let lineIntervalSeconds = 5.0

    private let look: Look
    private let startedAt: Double
    private var shownAt: Double
    private var shownTenth = 0

    init(look: Look, now: Double) {
        self.look = look
        startedAt = now
        shownAt = look == .bar ? -.infinity : now
    }

    mutating func update(_ report: WarmReport, now: Double) {
        guard report.urlCount > 0 else { return }
        switch look {
        case .none: return
        case .bar:
            guard now - shownAt >= Self.barIntervalSeconds else { return }
            shownAt = now
            let columns = Terminal.size(2).columns
            let line = Self.bar(report, seconds: now - startedAt, columns: columns)
            Terminal.write("\r\(line)\u{1b}[K", to: 2)
        case .lines:
            let tenth = report.urlCount == 0 ? 0 : report.doneCount * 10 / report.urlCount
            // Each tenth where it takes its time, each five seconds where a tenth takes longer.
            let isDue = now - shownAt >= Self.lineIntervalSeconds || tenth > shownTenth && now - shownAt >= 1
            guard isDue else { return }
            shownAt = now
            shownTenth = tenth
            Terminal.error(Self.line(report, seconds: now - startedAt))
        }
    }

    /// The last look; what follows begins on a line of its own.
    func finish(_ report: WarmReport, now: Double) {
        guard report.urlCount > 0 else { return }
        switch look {
        case .none: break
        case .bar:
            let line = Self.bar(report, seconds: now - startedAt, columns: Terminal.size(2).columns)
            Terminal.write("\r\(line)\u{1b}[K\n", to: 2)
        case .lines: Terminal.error(Self.line(report, seconds: now - startedAt))
        }
    }

    /// `[#######.......]  47 %  470 of 1,000  120/s  3 failed  4s left`, in less than `columns`.
    static func bar(_ report: WarmReport, seconds: Double, columns: Int) -> String {
        let share = report.urlCount == 0 ? 1 : Double(report.doneCount) / Double(report.urlCount)
        let text = " \(Amount.right("\(Int(share * 100))", 3)) %  \(figures(report, seconds: seconds))"
        // The last column stays free, or some terminals go on to the next line.
        let room = columns - 1 - text.count - 2
        guard room >= 8 else { return String(text.prefix(max(0, columns - 1))) }
        let filled = min(room, Int(Double(room) * share))
        return "[" + String(repeating: "#", count: filled) + String(repeating: ".", count: room - filled)
            + "]"
            + text
    }

    /// `470 of 1,000 URLs, …`
    static func line(_ report: WarmReport, seconds: Double) -> String {
        "warm: " + figures(report, seconds: seconds)
    }

    private static func figures(_ report: WarmReport, seconds: Double) -> String {
        let rate = seconds > 0 ? Double(report.doneCount) / seconds : 0
        var parts = [
            "\(Amount.count(report.doneCount)) of \(Amount.count(report.urlCount))", "\(Amount.rate(rate))/s",
        ]
        let failed = report.count(.failed)
        if failed > 0 { parts.append("\(Amount.count(failed)) failed") }
        let left = report.urlCount - report.doneCount
        if left > 0, rate > 0, seconds >= 1 {
            parts.append("\(Amount.duration((Double(left) / rate).rounded(.up))) left")
        }
        return parts.joined(separator: "  ")
    }
}
