import EdgeHTTP

/// The tags by which a stored response can be purged: Surrogate-Key, separated by white space, and Cache-Tag,
/// separated by commas. Both are removed before a client sees them.
public enum SurrogateKey {
    /// So many tags count, repetitions too, in so many octets of field values. A response with more is not
    /// kept: it could not be purged by those left out.
    public static let maxTags = 16_384
    public static let maxBytes = 128 * 1024

    /// Whether a response has more tags than count.
    public static func areTooMany(_ fields: FieldSection) -> Bool {
        var count = 0
        var size = 0
        for line in fields.lines where line.name == .surrogateKey || line.name == .cacheTag {
            let value = fields.value(line)
            size += value.count
            guard size <= maxBytes else { return true }
            forEach(value, line.name) { _ in count += 1 }
            guard count <= maxTags else { return true }
        }
        return false
    }

    /// All tags of a response, octet for octet, in order, each once. Case counts.
    public static func tags(_ fields: FieldSection) -> [[UInt8]] {
        var tags: [[UInt8]] = []
        var seen: Set<ArraySlice<UInt8>> = []
        for line in fields.lines where line.name == .surrogateKey || line.name == .cacheTag {
            forEach(fields.value(line), line.name) { member in
                if seen.insert(member).inserted { tags.append(Array(member)) }
            }
        }
        return tags
    }

    private static func forEach(
        _ value: ArraySlice<UInt8>, _ name: FieldName, _ body: (ArraySlice<UInt8>) -> Void
    ) {
        if name == .cacheTag {
            for member in ListMembers(value) { body(member) }
            return
        }
        var start = value.startIndex
        for index in value.indices where Octet.isWhitespace(value[index]) {
            if index > start { body(value[start..<index]) }
            start = index + 1
        }
        if start < value.endIndex { body(value[start...]) }
    }
}
