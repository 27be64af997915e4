/// What a key of the configuration file holds.
enum SchemaKind: Sendable {
    /// A mapping with the keys that the table declares below it.
    case section
    /// A list of such mappings; the keys below are declared under `path[]`.
    case sections
    /// A mapping from free names to such mappings; the keys below are declared under `path.*`.
    case namedSections
    case flag
    case count(ClosedRange<Int>)
    case size(ClosedRange<Int64>)
    /// Milliseconds.
    case duration(ClosedRange<Int64>)
    case choice([String])
    case listenAddress
    /// A file that must be there and hold something.
    case file
    /// A path where the node may make what is missing.
    case path
    /// `-`, `off`, or a path.
    case accessLog
    /// A cdn-id of CDN-Loop (RFC 8586).
    case nodeID
    /// A path of a URL.
    case urlPath
    case glob
    case originURLs
    case originHost
    case serverName
    case hosts
    case originName
    case methods
    /// Networks of IP addresses.
    case networks
    /// Field names to values; with files, a value may be `{ file: path }`.
    case fields(files: Bool)
    case fieldName
    case fieldNames
    /// `all`, `strict`, or a list of field names.
    case forwarding
    case fieldValue
    /// A duration, or a mapping from status codes to durations.
    case lifetimes
    /// `all`, `ignore`, a list of names, or a section.
    case query
    case parameterNames
}

/// One key of the configuration file: the single place where its path, kind, bounds, default and prose are
/// written. The checks, the full sample and the JSON Schema all read it.
struct SchemaKey: Sendable {
    /// Where the key is: names joined with dots, `[]` for the members of a list, `.*` for a free name.
    let path: String
    let kind: SchemaKind
    /// The default as it would be written in the file; nil: none.
    let defaultText: String?
    /// What the sample shows, commented out, for a key without default.
    let example: String?
    /// What the key does: sentences that begin with what it is.
    let prose: String
    let isRequired: Bool
    /// Whether this version obeys the key. One that is not supported is refused, so that nobody believes it
    /// works.
    let isSupported: Bool

    init(
        _ path: String, _ kind: SchemaKind, default defaultText: String? = nil, example: String? = nil,
        required: Bool = false, supported: Bool = true, _ prose: String
    ) {
        self.path = path
        self.kind = kind
        self.defaultText = defaultText
        self.example = example
        self.prose = prose
        isRequired = required
        isSupported = supported
    }

    /// The last part of the path.
    var name: String {
        String(path[(path.lastIndex(of: ".").map { path.index(after: $0) } ?? path.startIndex)...])
    }

    /// The path of the mapping that the key stands in; empty for the top level.
    var container: String { path.lastIndex(of: ".").map { String(path[..<$0]) } ?? "" }

    /// The path under which the keys below this one are declared; nil: it has none.
    var innerPath: String? {
        switch kind {
        case .section, .query: path
        case .sections: "\(path)[]"
        case .namedSections: "\(path).*"
        default: nil
        }
    }
}
