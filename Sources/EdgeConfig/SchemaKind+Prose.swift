/// What a kind is called in comments, and the form it takes in a JSON Schema.
extension SchemaKind {
    /// A few words on what to write: `Duration, 1ms to 10m`.
    var prose: String {
        switch self {
        case .section, .sections, .namedSections: ""
        case .flag: "true or false"
        case .count(let bounds): "A number, \(bounds.lowerBound) to \(bounds.upperBound)"
        case .size(let bounds):
            "A size, \(ByteSize.format(bounds.lowerBound)) to \(ByteSize.format(bounds.upperBound))"
        case .duration(let bounds):
            "A duration, \(DurationText.format(bounds.lowerBound)) to \(DurationText.format(bounds.upperBound))"
        case .choice(let choices): "One of \(choices.joined(separator: ", "))"
        case .listenAddress: "An address"
        case .file: "A file, which must be there"
        case .path: "A folder"
        case .accessLog, .nodeID, .originHost, .query: "A text"
        case .urlPath: "A path"
        case .glob: "A glob"
        case .originURLs: "A list of URLs"
        case .serverName: "A host name"
        case .hosts: "A list of host names"
        case .originName: "A name"
        case .methods: "A list of methods"
        case .networks: "A list of networks"
        case .fields: "Names and values"
        case .fieldName: "The name of a field"
        case .forwarding: "all, strict, or a list of names"
        case .fieldNames, .parameterNames: "A list of names"
        case .fieldValue: "The value of a field"
        case .lifetimes: "A duration, or durations by status"
        }
    }

    /// The keywords of a JSON Schema (draft 2020-12) for values that are not sections.
    var jsonSchema: JSONText {
        switch self {
        case .section, .sections, .namedSections: .object([])
        case .flag: .type("boolean")
        case .count(let bounds):
            .object([
                ("type", .string("integer")), ("minimum", .number(bounds.lowerBound)),
                ("maximum", .number(bounds.upperBound)),
            ])
        case .size: .pattern(ByteSize.pattern)
        case .duration: .pattern(DurationText.pattern)
        case .choice(let choices): .object([("enum", .list(choices.map { .string($0) }))])
        case .listenAddress: .pattern("^(\\[[0-9A-Fa-f:.]+\\]|[^\\[\\]:/]*):[0-9]{1,5}$")
        case .file, .path, .accessLog, .originHost, .serverName, .originName, .fieldValue: .text
        case .nodeID: .pattern("^[A-Za-z0-9._-]{1,64}$")
        case .urlPath: .pattern("^/")
        case .glob: .pattern("^[/*?]")
        case .originURLs: .list(of: .pattern(OriginURL.pattern), least: 1)
        case .methods: .list(of: .pattern("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"), least: 1)
        case .hosts, .networks: .list(of: .text, least: 1)
        case .fieldName: .pattern("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
        case .fieldNames, .parameterNames: .list(of: .text, least: 0)
        case .forwarding:
            .object([
                (
                    "anyOf",
                    .list([
                        SchemaKind.choice(["all", "strict"]).jsonSchema, SchemaKind.fieldNames.jsonSchema,
                    ])
                )
            ])
        case .fields(let files):
            .object([("type", .string("object")), ("additionalProperties", Self.fieldValue(files))])
        case .lifetimes: Self.lifetimesSchema
        case .query:
            .object([
                (
                    "anyOf",
                    .list([
                        SchemaKind.choice(["all", "ignore"]).jsonSchema, SchemaKind.parameterNames.jsonSchema,
                    ])
                )
            ])
        }
    }

    private static func fieldValue(_ files: Bool) -> JSONText {
        guard files else { return .type("string") }
        let file = JSONText.object([
            ("type", .string("object")), ("properties", .object([("file", .text)])),
            ("required", .list([.string("file")])), ("additionalProperties", .flag(false)),
        ])
        return .object([("anyOf", .list([.type("string"), file]))])
    }

    private static var lifetimesSchema: JSONText {
        let byStatus = JSONText.object([
            ("type", .string("object")),
            ("patternProperties", .object([("^[2-5][0-9]{2}$", .pattern(DurationText.pattern))])),
            ("additionalProperties", .flag(false)),
        ])
        return .object([("anyOf", .list([.pattern(DurationText.pattern), byStatus]))])
    }
}
