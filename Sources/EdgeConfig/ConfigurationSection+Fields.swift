import EdgePolicy
import Yams

/// Values of more than one text: fields, names, lifetimes, queries.
extension ConfigurationSection {
    /// Names to values; with files, a value may be `{ file: path }`.
    func fields(_ name: String) -> [String: String] {
        guard case .fields(let files) = schema(name).kind else {
            preconditionFailure("\(name) has no fields")
        }
        guard let value = value(name) else { return [:] }
        var fields: [String: String] = [:]
        var seen: [String: Int] = [:]
        for (key, keyNode, node) in pairs(value, name) {
            if let problem = FieldText.problem(name: key) {
                reading.report(keyNode, problem)
                continue
            }
            if let line = seen.updateValue(keyNode.mark?.line ?? 0, forKey: key.lowercased()) {
                reading.report(
                    keyNode, "the field \(key) is written twice", "the first is on line \(line): keep one")
                continue
            }
            guard let text = fieldText(node, key, files: files) else { continue }
            if let problem = FieldText.problem(value: text, of: key) {
                reading.report(node, problem)
            } else {
                fields[key] = text
            }
        }
        return fields
    }

    private func fieldText(_ node: Node, _ key: String, files: Bool) -> String? {
        guard files, case .mapping(let mapping) = node else {
            return text(node, key, files ? "a text or { file: path }" : "a text")
        }
        var path: Node?
        for (inner, value) in mapping {
            if inner.scalar?.string == "file" {
                path = value
            } else {
                reading.report(
                    inner, "unknown key \"\(inner.scalar?.string ?? "")\" in \"\(key)\"",
                    "did you mean \"file\"?")
            }
        }
        guard let path else {
            if mapping.isEmpty {
                reading.report(node, "\"\(key)\" has no value", "write a text or { file: path }")
            }
            return nil
        }
        guard let file = text(path, "file", "the path of a file"),
            var bytes = reading.contents(of: file, at: path)
        else { return nil }
        // A file that was written with an editor or echo ends with a line break that is not meant.
        while bytes.last == 10 || bytes.last == 13 { bytes.removeLast() }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            reading.report(path, "the file \"\(file)\" is not text", "write the value of the field in it")
            return nil
        }
        return text
    }

    func fieldNames(_ name: String) -> [String] {
        names(name, "a list of field names") { FieldText.problem(name: $0) }
    }

    /// The name of one field.
    func fieldName(_ name: String, problem: (String) -> TextProblem?) -> String? {
        guard let (text, node) = text(name, "the name of a field") else { return nil }
        guard let problem = FieldText.problem(name: text) ?? problem(text) else { return text }
        reading.report(node, problem)
        return nil
    }

    func forwarding(_ name: String) -> FieldForwarding? {
        guard let value = value(name) else { return nil }
        switch value {
        case .scalar(let scalar):
            switch scalar.string {
            case "all": return .all
            case "strict": return .strict(and: [])
            default:
                let near = NearestName.find(scalar.string, among: ["all", "strict"])
                reading.report(
                    value, "\"\(name)\" is \"\(FieldText.escape(scalar.string))\"",
                    near.map { "did you mean \"\($0)\"?" } ?? "write all, strict or a list of field names")
                return nil
            }
        case .sequence:
            let listed = names(name, "a list of field names") { FieldText.problem(forwarded: $0) }
            return .strict(and: listed)
        case .mapping, .alias:
            reading.report(
                value, Self.wrongType("\"\(name)\"", value), "write all, strict or a list of field names")
            return nil
        }
    }

    func fieldValue(_ name: String) -> String? {
        guard let (text, node) = text(name, "the value of a field") else { return nil }
        guard let problem = FieldText.problem(value: text, of: name) else { return text }
        reading.report(node, problem)
        return nil
    }

    private func names(_ name: String, _ expected: String, problem: (String) -> TextProblem?) -> [String] {
        guard let value = value(name), let members = list(value, name, "write \(expected)", mayBeEmpty: true)
        else {
            return []
        }
        return members.compactMap { node in
            guard let text = text(node, name, "a name") else { return nil }
            guard let problem = problem(text) else { return text }
            reading.report(node, problem)
            return nil
        }
    }

    // MARK: - Rules

    /// The largest lifetime: ten years.
    private static let lifetimeBounds: ClosedRange<Int64> = 0...(3_650 * 86_400_000)

    func lifetimes(_ name: String) -> CachingRules.Lifetimes? {
        guard let value = value(name) else { return nil }
        guard case .mapping = value else {
            return duration(value, name, Self.lifetimeBounds).map {
                CachingRules.Lifetimes(defaultMilliseconds: $0)
            }
        }
        var lifetimes = CachingRules.Lifetimes()
        for (key, keyNode, node) in pairs(value, name) {
            guard let status = Int(key), (200...599).contains(status), key.utf8.count == 3 else {
                reading.report(
                    keyNode, "\"\(FieldText.escape(key))\" is not a final status code",
                    "write a number from 200 to 599")
                continue
            }
            // These are not stored as they are, whatever a rule says (RFC 9111 3, RFC 6585).
            if [206, 304, 428, 429, 431, 511].contains(status) {
                reading.report(
                    keyNode, "a response with status \(status) is never stored by a lifetime", "remove it")
                continue
            }
            lifetimes.byStatus[status] = duration(node, key, Self.lifetimeBounds)
        }
        return lifetimes
    }

    func query(_ name: String) -> QueryRule? {
        guard let value = value(name) else { return nil }
        switch value {
        case .scalar(let scalar):
            switch scalar.string {
            case "all": return .all
            case "ignore": return .ignore
            default:
                let near = NearestName.find(scalar.string, among: ["all", "ignore"])
                reading.report(
                    value, "\"\(name)\" is \"\(FieldText.escape(scalar.string))\"",
                    near.map { "did you mean \"\($0)\"?" }
                        ?? "write all, ignore, [\"\(scalar.string)\"] or { drop: [\"utm_*\"] }")
                return nil
            }
        case .sequence:
            return .keep(names(name, "a list of parameter names", problem: Self.parameterProblem))
        case .mapping, .alias:
            guard let section = section(name) else { return nil }
            let drop = section.names("drop", "a list of parameter names", problem: Self.parameterProblem)
            return .drop(drop, sort: section.flag("sort") ?? false)
        }
    }

    private static func parameterProblem(_ name: String) -> TextProblem? {
        if name.isEmpty { return TextProblem("the name of a parameter is empty", "remove it") }
        if name.dropLast().contains("*") {
            return TextProblem("\"\(name)\" has a * before its end", "write \(name.prefix { $0 != "*" })*")
        }
        guard let bad = name.first(where: { "&=?#".contains($0) || $0.isWhitespace }) else { return nil }
        return TextProblem("\"\(name)\" is not the name of a parameter", "remove \"\(bad)\"")
    }
}
