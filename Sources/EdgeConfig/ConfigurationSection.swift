import Yams

/// A mapping of the file beside the part of the schema table that declares its keys. Making one reports the
/// keys that don't belong, are missing, or are not supported yet; reading a value reports what is wrong
/// with it.
struct ConfigurationSection {
    let node: Node
    let path: String
    let reading: Reading
    private let entries: [String: Node]

    /// nil: not a mapping, reported. `path` is the container's path in the schema table.
    init?(_ node: Node, path: String, reading: Reading) {
        guard case .mapping(let mapping) = node else {
            let names = ConfigurationSchema.children(of: path).map(\.name).joined(separator: ", ")
            reading.report(node, Self.wrongType(Self.label(path), node), "write a mapping with \(names)")
            return nil
        }
        self.node = node
        self.path = path
        self.reading = reading
        let declared = ConfigurationSchema.children(of: path)
        var entries: [String: Node] = [:]
        for (key, value) in mapping {
            guard let name = key.scalar?.string else {
                reading.report(
                    key, "a key of \(Self.label(path)) is not a text", "write one of \(Self.names(declared))")
                continue
            }
            if YAMLDocument.isStruckOut(name) { continue }
            guard let schema = declared.first(where: { $0.name == name }) else {
                let near = NearestName.find(name, among: declared.map(\.name))
                reading.report(
                    key, "unknown key \"\(name)\" in \(Self.label(path))",
                    near.map { "did you mean \"\($0)\"?" } ?? "the keys are \(Self.names(declared))")
                continue
            }
            guard schema.isSupported else {
                reading.report(key, "\"\(schema.path)\" is not supported yet", "remove it")
                continue
            }
            if Self.isNull(value) {
                reading.report(value, "\"\(name)\" has no value", "write one, or remove the key")
                continue
            }
            entries[name] = value
        }
        for key in declared
        where key.isRequired && !mapping.contains(where: { $0.key.scalar?.string == key.name }) {
            let example = key.example ?? key.defaultText
            reading.report(
                node, "\(Self.label(path)) has no \"\(key.name)\"",
                example.map { "add \(key.name): \($0)" } ?? "add it")
        }
        self.entries = entries
    }

    private static func names(_ keys: [SchemaKey]) -> String {
        keys.filter(\.isSupported).map(\.name).joined(separator: ", ")
    }

    private static func label(_ path: String) -> String { path.isEmpty ? "the file" : "\"\(path)\"" }

    static func isNull(_ node: Node) -> Bool {
        guard let scalar = node.scalar, scalar.style == .plain else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(scalar.string)
    }

    static func wrongType(_ label: String, _ node: Node) -> String {
        switch node {
        case .scalar(let scalar): "\(label) is the text \"\(FieldText.escape(scalar.string))\""
        case .mapping: "\(label) is a mapping"
        case .sequence: "\(label) is a list"
        case .alias: "\(label) is an alias"
        }
    }

    // MARK: - Structure

    /// The node of a key's value, if the file has the key.
    func value(_ name: String) -> Node? { entries[name] }

    func schema(_ name: String) -> SchemaKey {
        guard let key = ConfigurationSchema.key(path.isEmpty ? name : "\(path).\(name)") else {
            preconditionFailure("\(path).\(name) is not in the schema table")
        }
        return key
    }

    func section(_ name: String) -> ConfigurationSection? {
        guard let value = value(name), let inner = schema(name).innerPath else { return nil }
        return ConfigurationSection(value, path: inner, reading: reading)
    }

    /// The members of a list of sections.
    func sections(_ name: String, mayBeEmpty: Bool = false) -> [ConfigurationSection]? {
        guard let value = value(name), let inner = schema(name).innerPath else { return nil }
        guard let members = list(value, name, "write each one after a dash", mayBeEmpty: mayBeEmpty) else {
            return nil
        }
        return members.compactMap { ConfigurationSection($0, path: inner, reading: reading) }
    }

    /// The sections of a mapping from free names, in the order of the file.
    func namedSections(_ name: String) -> [(name: String, section: ConfigurationSection?)] {
        guard let value = value(name), let inner = schema(name).innerPath else { return [] }
        return pairs(value, name).map { key, _, node in
            (key, ConfigurationSection(node, path: inner, reading: reading))
        }
    }

    /// The pairs of a mapping with free keys; empty and reported if it is none.
    func pairs(_ value: Node, _ name: String) -> [(key: String, keyNode: Node, value: Node)] {
        guard case .mapping(let mapping) = value else {
            reading.report(
                value, Self.wrongType("\"\(name)\"", value), "write a mapping from names to values")
            return []
        }
        return mapping.compactMap { key, node in
            guard let text = key.scalar?.string else {
                reading.report(key, "a name in \"\(name)\" is not a text", "write a name")
                return nil
            }
            return YAMLDocument.isStruckOut(text) ? nil : (text, key, node)
        }
    }

    /// The members of a list; nil and reported if it is none, or empty without leave.
    func list(_ value: Node, _ name: String, _ suggestion: String, mayBeEmpty: Bool = false) -> [Node]? {
        guard case .sequence(let members) = value else {
            let text = value.scalar?.string
            reading.report(
                value, "\(Self.wrongType("\"\(name)\"", value)), not a list",
                text.map { "write [\"\($0)\"]" } ?? suggestion)
            return nil
        }
        if members.isEmpty, !mayBeEmpty {
            reading.report(value, "\"\(name)\" is empty", suggestion)
            return nil
        }
        return Array(members)
    }
}
