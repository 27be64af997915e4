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

    /// The names that Connection lists, in lower case; `close` and other options that name no field among
    /// them.
    public static func connectionListed(_ fields: FieldSection) -> [[UInt8]] {
        var names: [[UInt8]] = []
        for line in fields.lines where line.name == .connection {
            for member in fields.value(line).split(separator: Octet.comma) {
                let member = Octet.trim(member)
                if !member.isEmpty, member.allSatisfy(Octet.isToken) { names.append(member.map(Octet.lower)) }
            }
        }
        return names
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
        let listed = connectionListed(fields)
        fields.removeAll { section, line in
            if isHopByHop(line.name) { return true }
            guard line.name == .other || line.name == .trailer, !listed.isEmpty else { return false }
            let name = section.nameBytes(line)
            return listed.contains { Octet.equalIgnoringCase($0, name) }
        }
    }
}
