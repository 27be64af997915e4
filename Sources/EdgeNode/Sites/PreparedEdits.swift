/// The changes that the rules make to a field section, as octets ready for the wire: first the removals,
/// then the settings, each of which replaces every line of its name (RFC 9110 5.3).
public struct PreparedEdits: Sendable {
    public let set: [(name: [UInt8], value: [UInt8])]
    public let remove: [[UInt8]]
    /// Responses only: the Cache-Control that clients get instead of the origin's.
    public let clientCacheControl: [UInt8]?

    /// No change.
    public static let none = PreparedEdits(merging: [])

    public var isEmpty: Bool { remove.isEmpty && set.isEmpty && clientCacheControl == nil }

    init(set: [(name: [UInt8], value: [UInt8])], remove: [[UInt8]], clientCacheControl: [UInt8]?) {
        self.set = set
        self.remove = remove
        self.clientCacheControl = clientCacheControl
    }

    /// The sum of the edits of several rules, the first rule first: what is done to a field is decided by
    /// the first rule that names it, be it to set or to remove.
    init(merging edits: [RuleConfiguration.FieldEdits]) {
        var decided: Set<String> = []
        var settings: [(name: [UInt8], value: [UInt8])] = []
        var removals: [[UInt8]] = []
        for edit in edits {
            // Within one rule the removals come first, so a name in both is set.
            for (name, value) in edit.set.sorted(by: { $0.key < $1.key })
            where decided.insert(name.lowercased()).inserted {
                settings.append((Array(name.utf8), Array(value.utf8)))
            }
            for name in edit.remove where decided.insert(name.lowercased()).inserted {
                removals.append(Array(name.utf8))
            }
        }
        set = settings
        remove = removals
        clientCacheControl = edits.lazy.compactMap(\.clientCacheControl).first.map { Array($0.utf8) }
    }
}
