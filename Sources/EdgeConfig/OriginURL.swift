import EdgeHTTP

/// The base URL of an origin server: a scheme, a host and perhaps a port, and nothing more, because the
/// path of a request goes to the origin untouched.
public enum OriginURL {
    /// The pattern of such a URL in a JSON Schema.
    static let pattern = "^https?://[^/?#@]+/?$"

    /// The URL in its normal form: scheme and host in lower case, no slash at the end.
    public static func parse(_ text: String) throws(TextProblem) -> String {
        let wrong = "\"\(text)\" is not the URL of an origin"
        guard let mark = text.firstRange(of: "://") else {
            let (host, port) = HostText.split(text)
            let guess = port == "443" ? "https://\(host)" : "http://\(text)"
            throw TextProblem("\(wrong): it has no scheme", "write \(guess)")
        }
        let scheme = text[..<mark.lowerBound].lowercased()
        let rest = text[mark.upperBound...]
        guard scheme == "http" || scheme == "https" else {
            throw TextProblem("\(wrong): the scheme is \(scheme)", "write http://\(rest) or https://\(rest)")
        }
        let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        let authority = String(rest[..<end])
        if let at = authority.lastIndex(of: "@") {
            let bare = authority[authority.index(after: at)...]
            throw TextProblem(
                "\(wrong): it holds a user name",
                "write \(scheme)://\(bare) and send Authorization with headers")
        }
        let (host, port) = try check(authority, wrong: wrong)
        let normal = "\(scheme)://\(host.lowercased())" + (port.map { ":\($0)" } ?? "")
        guard rest[end...].isEmpty || rest[end...] == "/" else {
            throw TextProblem("\(wrong): it has a path or a query", "write \(normal)")
        }
        return normal
    }

    private static func check(_ authority: String, wrong: String) throws(TextProblem) -> (String, Int?) {
        let (host, portText) = HostText.split(authority)
        let isAddress =
            host.hasPrefix("[") && host.hasSuffix("]") && HostText.isIPv6(String(host.dropFirst().dropLast()))
        guard isAddress || HostText.isNameOrIPv4(host) else {
            let what = host.isEmpty ? "it has no host" : "\"\(host)\" is not a host"
            throw TextProblem(
                "\(wrong): \(what)", "write one such as https://origin.example or http://127.0.0.1:3000")
        }
        guard let portText else { return (host, nil) }
        guard let port = HostText.port(portText, in: 1...65535) else {
            throw TextProblem("\(wrong): \"\(portText)\" is not a port", "write a number from 1 to 65535")
        }
        return (host, port)
    }
}
