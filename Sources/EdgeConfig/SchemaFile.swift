/// The JSON Schema (draft 2020-12) with which editors complete and check the configuration file.
public enum SchemaFile {
    /// The text of `edge-config/rockpool.schema.json`, made from the table of keys.
    public static func text() -> String {
        let head: [(String, JSONText)] = [
            ("$schema", .string("https://json-schema.org/draft/2020-12/schema")),
            ("title", .string("Rockpool configuration")),
        ]
        return JSONText.object(head + mapping("").members).written() + "\n"
    }

    /// A mapping with the supported keys below `container`.
    private static func mapping(_ container: String) -> JSONText {
        let keys = ConfigurationSchema.children(of: container).filter(\.isSupported)
        var members: [(String, JSONText)] = [
            ("type", .string("object")),
            ("properties", .object(keys.map { ($0.name, property($0)) })),
        ]
        let required = keys.filter(\.isRequired).map { JSONText.string($0.name) }
        if !required.isEmpty { members.append(("required", .list(required))) }
        members.append(("additionalProperties", .flag(false)))
        return .object(members)
    }

    private static func property(_ key: SchemaKey) -> JSONText {
        let kind = key.kind.prose.isEmpty ? "" : " \(key.kind.prose)."
        let preset = key.defaultText.map { " Default: \($0)." } ?? ""
        return .object([("description", .string(key.prose + kind + preset))] + form(key).members)
    }

    private static func form(_ key: SchemaKey) -> JSONText {
        switch key.kind {
        case .section: return mapping(key.path)
        case .sections:
            return .list(of: mapping("\(key.path)[]"), least: key.isRequired || key.path == "listen" ? 1 : 0)
        case .namedSections:
            return .object([
                ("type", .string("object")), ("minProperties", .number(1)),
                ("additionalProperties", mapping("\(key.path).*")),
            ])
        case .query:
            let simple = key.kind.jsonSchema.members.compactMap { name, value -> [JSONText]? in
                if name == "anyOf", case .list(let forms) = value { return forms }
                return nil
            }
            return .object([("anyOf", .list(simple.flatMap { $0 } + [mapping(key.path)]))])
        default: return key.kind.jsonSchema
        }
    }
}
