import EdgeAdmin
import EdgeTesting

extension JSONValue {
    subscript(_ name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    var members: [JSONMember] {
        guard case .object(let members) = self else { return [] }
        return members
    }

    var items: [JSONValue]? {
        guard case .array(let values) = self else { return nil }
        return values
    }

    var text: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    var double: Double? {
        guard case .number(let text) = self else { return nil }
        return Double(text)
    }

    init(parsing text: String) throws { self = try JSONReader.read(Array(text.utf8)) }
}

/// The part of JSON Schema 2020-12 that the document uses. A keyword that it does not know fails the value, so that no
/// rule goes unchecked.
struct Schema {
    private static let annotations: Set = ["description", "default", "examples"]
    let document: JSONValue

    /// What `reference` (`#/a/b`) names.
    func resolve(_ value: JSONValue) throws -> JSONValue {
        guard let reference = value["$ref"]?.text else { return value }
        var found = document
        for step in reference.dropFirst(2).split(separator: "/") {
            guard let next = found[String(step)] else { throw TestFailure("\(reference) names nothing") }
            found = next
        }
        return found
    }

    /// What is wrong with `value`; empty where it is valid.
    func faults(_ value: JSONValue, _ schema: JSONValue, at place: String = "$") throws -> [String] {
        var faults: [String] = []
        for rule in schema.members where !Self.annotations.contains(rule.name) {
            faults += try check(value, rule, schema, place)
        }
        return faults
    }

    private func check(_ value: JSONValue, _ rule: JSONMember, _ schema: JSONValue, _ place: String) throws
        -> [String]
    {
        func fault(_ isWrong: Bool) -> [String] {
            isWrong ? ["\(place): \(rule.name) \(rule.value), not \(value)"] : []
        }
        switch rule.name {
        case "$ref": return try faults(value, resolve(schema), at: place)
        case "type": return fault(!isOfType(value, rule.value.text))
        case "const": return fault(value != rule.value)
        case "enum": return fault(rule.value.items?.contains(value) != true)
        case "oneOf":
            let fitting = try (rule.value.items ?? []).filter { try faults(value, $0, at: place).isEmpty }
            return fault(fitting.count != 1)
        case "required":
            return (rule.value.items ?? []).compactMap(\.text).filter { value[$0] == nil }
                .map { "\(place): \($0) is missing" }
        case "properties":
            return try value.members.flatMap { member in
                try rule.value[member.name].map {
                    try faults(member.value, $0, at: "\(place).\(member.name)")
                } ?? []
            }
        case "additionalProperties":
            let extra = value.members.filter { schema["properties"]?[$0.name] == nil }
            if case .bool(let allowed) = rule.value { return fault(!allowed && !extra.isEmpty) }
            return try extra.flatMap { try faults($0.value, rule.value, at: "\(place).\($0.name)") }
        case "items":
            return try (value.items ?? []).enumerated().flatMap {
                try faults($1, rule.value, at: "\(place)[\($0)]")
            }
        case "maxItems": return fault(Double(value.items?.count ?? 0) > rule.value.double ?? 0)
        case "minimum": return fault((value.double ?? .infinity) < rule.value.double ?? 0)
        case "maximum": return fault((value.double ?? -.infinity) > rule.value.double ?? 0)
        case "minLength": return fault(Double(value.text?.count ?? .max) < rule.value.double ?? 0)
        case "maxLength": return fault(Double(value.text?.count ?? 0) > rule.value.double ?? 0)
        case "pattern": return fault(try value.text?.firstMatch(of: Regex(rule.value.text ?? "")) == nil)
        default: return ["\(place): no rule \(rule.name) is known here"]
        }
    }

    private func isOfType(_ value: JSONValue, _ type: String?) -> Bool {
        switch (type, value) {
        case ("null", .null), ("boolean", .bool), ("string", .string), ("number", .number), ("array", .array),
            ("object", .object):
            true
        case ("integer", .number(let text)): Int64(text) != nil
        default: false
        }
    }
}
