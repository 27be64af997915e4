/// What `rockpool explain` prints: an answer of `/explain` in plain words.
struct ExplanationText {
    private static let column = 22

    private let width: Int
    private var lines: [String] = []

    /// - Parameters:
    ///   - explanation: the node's answer.
    ///   - width: the columns that a line may take, where words permit.
    static func render(_ explanation: Explanation, width: Int) -> String {
        var text = ExplanationText(width: max(width, 60))
        let method = explanation.method ?? "GET"
        text.lines.append("\(Printable.text(method)) \(Printable.text(explanation.url))")
        text.lines.append("")
        let isDown = explanation.originDown == true
        text.outcome(isDown ? "Origin down" : "Now", explanation.outcome)
        if !isDown, let down = explanation.ifOriginDown { text.outcome("Were the origin down", down) }
        text.lines.append("")
        text.row("Cache key", Printable.text(explanation.key))
        if let site = explanation.site {
            text.row("Site", site == "*" ? "the one for every host" : Printable.text(site))
        }
        text.rules(explanation.rules ?? [])
        text.stored(explanation)
        text.variants(explanation)
        text.notes(explanation.notes ?? [])
        return text.lines.joined(separator: "\n")
    }

    private init(width: Int) { self.width = width }

    // MARK: Parts

    private mutating func outcome(_ name: String, _ outcome: Explanation.Outcome) {
        var first = Printable.text(outcome.result)
        if let status = outcome.status { first += ", status \(status)" }
        switch outcome.contactsOrigin {
        case true: first += "; the origin is asked"
        case false: first += "; the origin is not asked"
        default: break
        }
        row(name, first)
        if let explanation = outcome.explanation { row("", Printable.text(explanation)) }
        if let reason = outcome.reason, outcome.cacheStatus?.contains("detail=\(reason)") != true {
            row("", "Reason: \(Printable.text(reason))")
        }
        if let field = outcome.cacheStatus { row("", "Cache-Status: \(Printable.text(field))") }
    }

    private mutating func rules(_ rules: [Explanation.Rule]) {
        guard !rules.isEmpty else {
            row("Rules", "none applies here; the origin's fields decide")
            return
        }
        let places = rules.map { $0.line.map { "line \($0)" } ?? "" }
        let paths = rules.map { Printable.text($0.path ?? "(every path)") }
        let placeWidth = places.map(\.count).max() ?? 0
        let pathWidth = min(paths.map(\.count).max() ?? 0, 30)
        for (index, rule) in rules.enumerated() {
            let place = placeWidth == 0 ? "" : Amount.padded(places[index], placeWidth) + "  "
            let sets = (rule.sets ?? []).map { Printable.text($0) }.joined(separator: ", ")
            row(
                index == 0 ? "Rules" : "",
                place + Amount.padded(paths[index], pathWidth) + (sets.isEmpty ? "" : "  sets " + sets))
        }
    }

    private mutating func stored(_ explanation: Explanation) {
        guard let stored = explanation.stored else {
            let count = explanation.variants?.count ?? 0
            let none = count == 0 ? "nothing under this key" : "nothing that this request could get"
            row("Stored", none)
            if let lifetime = explanation.lifetime { self.lifetime(lifetime) }
            return
        }
        row("Stored", Self.places(stored.tiers) + Self.joined([Self.body(stored), stored.contentType]))
        if let time = stored.storedAt { row("", "since \(Printable.text(time))") }
        let validators = [
            stored.etag.map { "ETag \($0)" }, stored.lastModified.map { "Last-Modified \($0)" },
        ].compactMap { $0 }
        row(
            "Validators",
            validators.isEmpty
                ? "none: once stale it is pulled anew" : Printable.text(validators.joined(separator: ", ")))
        if let tags = stored.tags, !tags.isEmpty {
            row("Tags", Printable.text(tags.joined(separator: ", ")))
        }
        if let lifetime = explanation.lifetime {
            self.lifetime(lifetime)
        } else if let seconds = stored.lifetimeSeconds {
            self.lifetime(.init(seconds: seconds, source: stored.lifetimeSource ?? "unknown", detail: nil))
        } else {
            row("Freshness", "no lifetime: it is validated before each use")
        }
        if let age = stored.ageSeconds { row("Age", Self.age(age, stored)) }
        if let time = stored.softPurgedAt { row("", "marked as stale by a purge at \(Printable.text(time))") }
    }

    private mutating func lifetime(_ lifetime: Explanation.Lifetime) {
        row("Freshness", "\(Amount.duration(lifetime.seconds)), from \(Printable.text(lifetime.source))")
        if let detail = lifetime.detail { row("", Printable.text(detail)) }
    }

    private mutating func variants(_ explanation: Explanation) {
        let variants = explanation.variants ?? []
        guard !variants.isEmpty else { return }
        let names = variants.map(Self.selection)
        let nameWidth = min(names.map(\.count).max() ?? 0, 34)
        let chosen = explanation.stored
        for (index, variant) in variants.enumerated() {
            let isChosen = chosen.map { Self.isSame($0, variant) } ?? false
            var figures: [String] = []
            if let status = variant.status { figures.append("\(status)") }
            figures.append(Self.body(variant) ?? "")
            figures.append((variant.tiers ?? []).map { Printable.text($0) }.joined(separator: "+"))
            if let age = variant.ageSeconds { figures.append("age \(Amount.duration(age.rounded()))") }
            if let fresh = variant.fresh { figures.append(fresh ? "fresh" : "stale") }
            let text = figures.filter { !$0.isEmpty }.joined(separator: "  ")
            row(
                index == 0 ? "Variants" : "",
                "\(isChosen ? "*" : " ") \(Amount.padded(names[index], nameWidth))  \(text)", wrapsAt: 4)
        }
        if chosen != nil, variants.count > 1 { row("", "* is the one for this request") }
    }

    private mutating func notes(_ notes: [String]) {
        for (index, note) in notes.enumerated() {
            row(index == 0 ? "Notes" : "", "- " + Printable.text(note), wrapsAt: 2)
        }
    }

    // MARK: Words

    private static func places(_ tiers: [String]?) -> String {
        let names = (tiers ?? []).map { name in
            name == "memory" ? "in memory" : name == "disk" ? "on disk" : "in \(Printable.text(name))"
        }
        return names.isEmpty ? "yes" : names.joined(separator: " and ")
    }

    private static func joined(_ parts: [String?]) -> String {
        parts.compactMap { $0 }.map { ", " + Printable.text($0) }.joined()
    }

    private static func body(_ variant: Explanation.Variant) -> String? {
        guard let bytes = variant.bodyBytes else { return nil }
        guard let stored = variant.storedBytes, stored != bytes else { return Amount.size(bytes) }
        return "\(Amount.size(stored)) of \(Amount.size(bytes))"
    }

    /// What the request fields of Vary were: `accept-encoding: gzip`.
    private static func selection(_ variant: Explanation.Variant) -> String {
        guard let vary = variant.vary, !vary.isEmpty else { return "every request" }
        return vary.sorted { $0.key < $1.key }
            .map { "\(Printable.text($0.key)): \($0.value.isEmpty ? "(none)" : Printable.text($0.value))" }
            .joined(separator: ", ")
    }

    private static func isSame(_ one: Explanation.Variant, _ other: Explanation.Variant) -> Bool {
        (one.vary ?? [:]) == (other.vary ?? [:]) && one.storedAt == other.storedAt && one.etag == other.etag
            && one.status == other.status && one.pulledAtPosition == other.pulledAtPosition
    }

    private static func age(_ age: Double, _ stored: Explanation.Variant) -> String {
        let shown = Amount.duration(age.rounded())
        guard let lifetime = stored.lifetimeSeconds else { return shown }
        let left = lifetime - age
        if stored.fresh == true, left > 0 {
            return "\(shown); fresh for another \(Amount.duration(left.rounded(.up)))"
        }
        if stored.fresh == false, left < 0 {
            return "\(shown); stale since \(Amount.duration(-left.rounded()))"
        }
        return "\(shown); \(stored.fresh == true ? "fresh" : "stale")"
    }

    // MARK: Layout

    /// A row with its name in the first column; what is longer than the line goes on below, `indent` columns further
    /// in.
    private mutating func row(_ name: String, _ text: String, wrapsAt indent: Int = 0) {
        var name = name
        var rest = text
        var room = width - Self.column
        while rest.count > room {
            let end = rest.index(rest.startIndex, offsetBy: room)
            // At a space, unless that would leave most of the line empty; a word longer than the line stays whole.
            guard let space = rest[..<end].lastIndex(of: " "),
                rest.distance(from: rest.startIndex, to: space) > indent
            else { break }
            let head = rest[..<space]
            guard !head.allSatisfy({ $0 == " " }) else { break }
            lines.append(Amount.padded(name, Self.column) + head.trimmedEnd())
            name = ""
            rest = String(repeating: " ", count: indent) + rest[rest.index(after: space)...].trimmedStart()
            room = width - Self.column
        }
        lines.append(Amount.padded(name, Self.column) + rest.trimmedEnd())
    }
}

extension StringProtocol {
    fileprivate func trimmedEnd() -> String {
        var text = String(self)
        while text.hasSuffix(" ") { text.removeLast() }
        return text
    }

    fileprivate func trimmedStart() -> String { String(drop { $0 == " " }) }
}
