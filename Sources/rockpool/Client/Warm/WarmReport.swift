import Foundation

/// What came of a list of URLs, grouped by outcome and reason.
struct WarmReport {
    struct Group {
        var count = 0
        var examples: [String] = []
    }

    static let keptExamples = 3
    private static let shownWrongLines = 10

    let node: String
    let urlCount: Int
    let wrongLines: [WarmList.WrongLine]
    private(set) var groups: [WarmOutcome.Kind: [String: Group]] = [:]
    private(set) var doneCount = 0
    private(set) var bodyBytes: Int64 = 0
    var seconds = 0.0
    /// Why it ended before all URLs were asked for.
    var brokenOff: String?

    init(node: String, list: WarmList) {
        self.node = node
        urlCount = list.urls.count
        wrongLines = list.wrong
    }

    mutating func add(_ outcome: WarmOutcome, url: String, bytes: Int64) {
        doneCount += 1
        bodyBytes += bytes
        var group = groups[outcome.kind, default: [:]][outcome.reason, default: Group()]
        group.count += 1
        if group.examples.count < Self.keptExamples { group.examples.append(url) }
        groups[outcome.kind, default: [:]][outcome.reason] = group
    }

    func count(_ kind: WarmOutcome.Kind) -> Int { groups[kind]?.values.reduce(0) { $0 + $1.count } ?? 0 }

    /// Whether a URL failed, a line was none, or some were not asked for.
    var hasFailures: Bool { count(.failed) > 0 || !wrongLines.isEmpty || doneCount < urlCount }

    // MARK: Text

    /// The report as text of several lines.
    var text: String {
        let size = Amount.size(bodyBytes)
        var lines = [
            "\(Amount.count(doneCount)) of \(Amount.plural(urlCount, "URL")) in \(Amount.duration(seconds)), \(size)"
                + (brokenOff.map { "; ended early: \(Printable.text($0))" } ?? "")
        ]
        let reasons = groups.values.flatMap(\.keys).map { Printable.text($0).count + 4 }
        let width = min(60, max(16, reasons.max() ?? 0))
        for kind in WarmOutcome.Kind.allCases {
            lines.append(Self.row(Self.name(kind), count(kind), width))
            for (reason, group) in Self.sorted(groups[kind] ?? [:]) {
                lines.append(Self.row("    " + Printable.text(reason), group.count, width))
                // Whoever reads this looks for what went wrong.
                guard kind == .notStored || kind == .failed else { continue }
                for example in group.examples { lines.append("        \(Printable.text(example))") }
                if group.count > group.examples.count { lines.append("        ...") }
            }
        }
        if !wrongLines.isEmpty {
            lines.append(Self.row("not URLs", wrongLines.count, width))
            for wrong in wrongLines.prefix(Self.shownWrongLines) {
                lines.append("    line \(wrong.line): \(wrong.problem): \(Printable.text(wrong.text))")
            }
            if wrongLines.count > Self.shownWrongLines { lines.append("    ...") }
        }
        if doneCount < urlCount { lines.append(Self.row("not tried", urlCount - doneCount, width)) }
        return lines.joined(separator: "\n")
    }

    private static func name(_ kind: WarmOutcome.Kind) -> String {
        switch kind {
        case .stored: "stored"
        case .alreadyThere: "already there"
        case .notStored: "not stored"
        case .failed: "failed"
        }
    }

    private static func row(_ name: String, _ count: Int, _ width: Int) -> String {
        Amount.padded(name, width) + " " + Amount.right(Amount.count(count), 9)
    }

    private static func sorted(_ groups: [String: Group]) -> [(key: String, value: Group)] {
        groups.sorted { ($1.value.count, $0.key) < ($0.value.count, $1.key) }
    }

    // MARK: JSON

    private struct Document: Encodable {
        struct Outcome: Encodable {
            var count: Int
            var reasons: [Reason]
        }
        struct Reason: Encodable {
            var reason: String
            var count: Int
            var examples: [String]
        }
        var node: String
        var urls: Int
        var done: Int
        var notTried: Int
        var seconds: Double
        var bodyBytes: Int64
        var brokenOff: String?
        var stored: Outcome
        var alreadyThere: Outcome
        var notStored: Outcome
        var failed: Outcome
        var wrongLines: [WarmList.WrongLine]
    }

    private func outcome(_ kind: WarmOutcome.Kind) -> Document.Outcome {
        let reasons = Self.sorted(groups[kind] ?? [:]).map {
            Document.Reason(reason: $0.key, count: $0.value.count, examples: $0.value.examples)
        }
        return Document.Outcome(count: count(kind), reasons: reasons)
    }

    /// The report as one JSON document.
    func json() throws -> String {
        let document = Document(
            node: node, urls: urlCount, done: doneCount, notTried: urlCount - doneCount, seconds: seconds,
            bodyBytes: bodyBytes, brokenOff: brokenOff, stored: outcome(.stored),
            alreadyThere: outcome(.alreadyThere), notStored: outcome(.notStored), failed: outcome(.failed),
            wrongLines: wrongLines)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return Printable.json(String(decoding: try encoder.encode(document), as: UTF8.self))
    }
}
