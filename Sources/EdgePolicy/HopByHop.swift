import EdgeHTTP

/// The fields that concern one connection only and go no further (RFC 9110 7.6.1, RFC 9111 3.1).
public enum HopByHop {
    /// Whether a field of that name is always dropped. The three Proxy- fields of authentication are among
    /// them: they speak to the neighbour, and RFC 9111 3.1 keeps them out of a store.
    public static func isHopByHop(_ name: FieldName) -> Bool {
        switch name {
        case .connection, .keepAlive, .proxyAuthenticate, .proxyAuthenticationInfo, .proxyAuthorization,
            .proxyConnection, .te, .transferEncoding, .upgrade:
            true
        default:
            false
        }
    }

    /// Removes the hop-by-hop fields and those that Connection lists.
    ///
    /// A listed name that this program knows as end-to-end stays: `Connection: Host, Authorization,
    /// Cache-Control` is an attempt to make the next hop see another request than this one judged.
    public static func strip(_ fields: inout FieldSection) {
        var isTouched = false
        for line in fields.lines where isHopByHop(line.name) {
            isTouched = true
            break
        }
        guard isTouched else { return }
        let listed = ListedFields(fields)
        fields.removeAll { section, line in
            isHopByHop(line.name) || (listed.mayHold(line) && listed.contains(section.nameBytes(line)))
        }
    }
}

/// The names of a section that its Connection lists, as far as Connection may remove them.
///
/// However many names Connection lists, each is looked up once, among the sorted names of the section's own
/// fields.
private struct ListedFields {
    /// Sorted, each once.
    private var names: [ArraySlice<UInt8>]
    private var isListed: [Bool]

    init(_ fields: FieldSection) {
        names = []
        isListed = []
        guard fields.contains(.connection) else { return }
        for line in fields.lines where Self.mayBeListed(line) { names.append(fields.nameBytes(line)) }
        guard !names.isEmpty else { return }
        names.sort { Self.compare($0, $1) < 0 }
        isListed = Array(repeating: false, count: names.count)
        for line in fields.lines where line.name == .connection {
            for member in ListMembers(fields.value(line)) where member.allSatisfy(Octet.isToken) {
                if let index = index(of: member) { isListed[index] = true }
            }
        }
    }

    func mayHold(_ line: FieldLine) -> Bool { !names.isEmpty && Self.mayBeListed(line) }

    func contains(_ name: ArraySlice<UInt8>) -> Bool { index(of: name).map { isListed[$0] } ?? false }

    private static func mayBeListed(_ line: FieldLine) -> Bool {
        line.name == .other || line.name == .trailer
    }

    /// The first of the names that are equal to `name`.
    private func index(of name: ArraySlice<UInt8>) -> Int? {
        var low = 0
        var high = names.count
        while low < high {
            let middle = (low + high) / 2
            if Self.compare(names[middle], name) < 0 { low = middle + 1 } else { high = middle }
        }
        return low < names.count && Self.compare(names[low], name) == 0 ? low : nil
    }

    /// An order of names without regard to their case: the length first, which tells most of them apart.
    private static func compare(_ left: ArraySlice<UInt8>, _ right: ArraySlice<UInt8>) -> Int {
        guard left.count == right.count else { return left.count - right.count }
        var other = right.startIndex
        for byte in left {
            let difference = Int(Octet.lower(byte)) - Int(Octet.lower(right[other]))
            if difference != 0 { return difference }
            other += 1
        }
        return 0
    }
}
