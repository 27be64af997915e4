import EdgeNode
import Yams

/// Values of one text: each reader gives nil where the key is not in the file, or where its value is wrong
/// and has been reported.
extension ConfigurationSection {
    /// The text of a scalar; nil and reported for a list or a mapping.
    func text(_ node: Node, _ name: String, _ expected: String) -> String? {
        guard let scalar = node.scalar else {
            reading.report(
                node, "\(Self.wrongType("\"\(name)\"", node)), not \(expected)", "write \(expected)")
            return nil
        }
        return scalar.string
    }

    func text(_ name: String, _ expected: String) -> (text: String, node: Node)? {
        guard let node = value(name), let text = text(node, name, expected) else { return nil }
        return (text, node)
    }

    func flag(_ name: String) -> Bool? {
        guard let (text, node) = text(name, "true or false") else { return nil }
        switch text {
        case "true" where node.scalar?.style == .plain: return true
        case "false" where node.scalar?.style == .plain: return false
        default:
            let meant =
                ["yes", "on", "true", "1"].contains(text.lowercased())
                ? "write true"
                : ["no", "off", "false", "0"].contains(text.lowercased())
                    ? "write false" : "write true or false"
            reading.report(node, "\"\(name)\" is \"\(FieldText.escape(text))\", not true or false", meant)
            return nil
        }
    }

    func count(_ name: String) -> Int? {
        guard case .count(let bounds) = schema(name).kind else {
            preconditionFailure("\(name) is not a count")
        }
        guard let (text, node) = text(name, "a whole number") else { return nil }
        guard let number = Int(text), !text.hasPrefix("+"), node.scalar?.style == .plain else {
            let meant = Int(text.filter { $0.isASCII && $0.isNumber })
            let cure = meant.flatMap { bounds.contains($0) ? "\($0)" : nil }
            reading.report(
                node, "\"\(name)\" is \"\(FieldText.escape(text))\", not a whole number",
                "write \(cure ?? "a number such as \(bounds.lowerBound)")")
            return nil
        }
        return within(bounds, number, name, node) { "\($0)" }
    }

    func size(_ name: String) -> Int64? {
        guard case .size(let bounds) = schema(name).kind else { preconditionFailure("\(name) is not a size") }
        guard let (text, node) = text(name, "a size such as 512MiB") else { return nil }
        guard let bytes = ByteSize.parse(text) else {
            reading.report(
                node, "\"\(name)\" is \"\(FieldText.escape(text))\", not a size",
                ByteSize.suggestion(for: text))
            return nil
        }
        return within(bounds, bytes, name, node, ByteSize.format)
    }

    func duration(_ name: String) -> Int64? {
        guard case .duration(let bounds) = schema(name).kind else {
            preconditionFailure("\(name) is not a duration")
        }
        guard let node = value(name) else { return nil }
        return duration(node, name, bounds)
    }

    func duration(_ node: Node, _ name: String, _ bounds: ClosedRange<Int64>) -> Int64? {
        guard let text = text(node, name, "a duration such as 10s") else { return nil }
        guard let milliseconds = DurationText.parse(text) else {
            reading.report(
                node, "\"\(name)\" is \"\(FieldText.escape(text))\", not a duration",
                DurationText.suggestion(for: text))
            return nil
        }
        return within(bounds, milliseconds, name, node, DurationText.format)
    }

    private func within<Number: Comparable>(
        _ bounds: ClosedRange<Number>, _ number: Number, _ name: String, _ node: Node,
        _ format: (Number) -> String
    ) -> Number? {
        if bounds.contains(number) { return number }
        let least = number < bounds.lowerBound
        reading.report(
            node, "\"\(name)\" is \(format(number)), which is too \(least ? "small" : "large")",
            "write \(format(bounds.lowerBound)) to \(format(bounds.upperBound))")
        return nil
    }

    func choice(_ name: String) -> String? {
        guard case .choice(let choices) = schema(name).kind else {
            preconditionFailure("\(name) is not a choice")
        }
        let all = choices.joined(separator: ", ")
        guard let (text, node) = text(name, "one of \(all)") else { return nil }
        if choices.contains(text) { return text }
        reading.report(
            node, "\"\(name)\" is \"\(FieldText.escape(text))\"",
            NearestName.find(text, among: choices).map { "did you mean \"\($0)\"?" } ?? "write one of \(all)")
        return nil
    }

    func choice<Choice: RawRepresentable<String>>(_ name: String, as: Choice.Type) -> Choice? {
        choice(name).map { text in
            guard let choice = Choice(rawValue: text) else {
                preconditionFailure("the table has an unknown \(text)")
            }
            return choice
        }
    }

    func address(_ name: String) -> ListenAddress? {
        guard let (text, node) = text(name, "an address such as 127.0.0.1:8080") else { return nil }
        do throws(TextProblem) {
            return try ListenAddress.parse(text)
        } catch {
            reading.report(node, error)
            return nil
        }
    }

    /// The resolved path of a file that is there.
    func file(_ name: String) -> String? {
        guard let (text, node) = text(name, "the path of a file") else { return nil }
        return reading.contents(of: text, at: node) == nil ? nil : reading.resolve(text)
    }

    /// A text that `accepts` allows.
    func text(_ name: String, _ expected: String, accepts: (String) -> Bool) -> String? {
        guard let (text, node) = text(name, expected) else { return nil }
        if accepts(text) { return text }
        reading.report(
            node, "\"\(name)\" is \"\(FieldText.escape(text))\", not \(expected)", "write \(expected)")
        return nil
    }
}
