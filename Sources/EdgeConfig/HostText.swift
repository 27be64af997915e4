import Glibc

/// What may stand where a host is expected (RFC 3986 3.2.2, RFC 1123 2.1).
enum HostText {
    /// Whether `text` is an IPv4 address in dotted form.
    static func isIPv4(_ text: String) -> Bool {
        var address = in_addr()
        return inet_pton(AF_INET, text, &address) == 1
    }

    /// Whether `text` is an IPv6 address, without brackets.
    static func isIPv6(_ text: String) -> Bool {
        var address = in6_addr()
        return inet_pton(AF_INET6, text, &address) == 1
    }

    /// Whether `text` is a host name or an IPv4 address: labels of letters, digits, hyphens and
    /// underscores, and not a malformed IPv4 address.
    static func isNameOrIPv4(_ text: String) -> Bool {
        let labels = text.split(separator: ".", omittingEmptySubsequences: false)
        guard !text.isEmpty, text.utf8.count <= 253 else { return false }
        for label in labels {
            guard (1...63).contains(label.utf8.count), label.utf8.first != 45, label.utf8.last != 45 else {
                return false
            }
            guard label.utf8.allSatisfy({ isLabelOctet($0) }) else { return false }
        }
        // A last label of digits alone can only be an address.
        let last = labels.last ?? ""
        return last.utf8.allSatisfy { $0 &- 48 < 10 } ? isIPv4(text) : true
    }

    private static func isLabelOctet(_ octet: UInt8) -> Bool {
        octet &- 48 < 10 || (octet | 32) &- 97 < 26 || octet == 45 || octet == 95
    }

    /// Cuts an authority into host (an IPv6 address with its brackets) and port text; nil port: there is no
    /// colon.
    static func split(_ authority: String) -> (host: String, port: String?) {
        if authority.hasPrefix("["), let close = authority.firstIndex(of: "]") {
            let host = String(authority[...close])
            let rest = authority[authority.index(after: close)...]
            if rest.isEmpty { return (host, nil) }
            if rest.hasPrefix(":") { return (host, String(rest.dropFirst())) }
            return (authority, nil)
        }
        guard let colon = authority.lastIndex(of: ":") else { return (authority, nil) }
        return (String(authority[..<colon]), String(authority[authority.index(after: colon)...]))
    }

    /// A port as decimal digits within `range`.
    static func port(_ text: String, in range: ClosedRange<Int>) -> Int? {
        guard !text.isEmpty, text.utf8.count <= 5, text.utf8.allSatisfy({ $0 &- 48 < 10 }),
            let port = Int(text),
            range.contains(port)
        else { return nil }
        return port
    }
}
