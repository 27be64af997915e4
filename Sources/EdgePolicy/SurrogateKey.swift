import EdgeHTTP

/// The tags by which a stored response can be purged: Surrogate-Key, separated by white space, and Cache-Tag,
/// separated by commas. Both are removed before a client sees them.
public enum SurrogateKey {
    /// All tags of a response, octet for octet, in order, each once. Case counts.
    public static func tags(_ fields: FieldSection) -> [[UInt8]] {
        var tags: [[UInt8]] = []
        var seen: Set<[UInt8]> = []
        for line in fields.lines {
            let members: [ArraySlice<UInt8>]
            switch line.name {
            case .surrogateKey: members = fields.value(line).split(whereSeparator: Octet.isWhitespace)
            case .cacheTag: members = fields.value(line).split(separator: Octet.comma).map(Octet.trim)
            default: continue
            }
            for member in members where !member.isEmpty {
                let tag = Array(member)
                if seen.insert(tag).inserted { tags.append(tag) }
            }
        }
        return tags
    }
}
