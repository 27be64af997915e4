import EdgeNode

extension ListenAddress {
    /// An address from text: `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, or `:8080` for every IPv4
    /// address of the machine. Port 0 lets the system choose a free one.
    public static func parse(_ text: String) throws(TextProblem) -> ListenAddress {
        let wrong = "\"\(text)\" is not an address to listen on"
        if let scheme = text.firstRange(of: "://") {
            throw TextProblem(wrong, "leave the scheme out: \(text[scheme.upperBound...])")
        }
        if HostText.isIPv6(text) { throw TextProblem(wrong, "write [\(text)]:8080") }
        if HostText.port(text, in: 0...65535) != nil {
            throw TextProblem(wrong, "write 127.0.0.1:\(text), or :\(text) for every address")
        }
        let (host, portText) = HostText.split(text)
        guard let portText else {
            throw TextProblem("\(wrong): it has no port", "write \(host):8080")
        }
        if HostText.isIPv6(host) { throw TextProblem(wrong, "write [\(host)]:\(portText)") }
        guard let port = HostText.port(portText, in: 0...65535) else {
            throw TextProblem("\(wrong): \"\(portText)\" is not a port", "write a number from 0 to 65535")
        }
        if host.isEmpty { return ListenAddress(host: "0.0.0.0", port: port) }
        if host.hasPrefix("["), host.hasSuffix("]") {
            let inner = String(host.dropFirst().dropLast())
            guard HostText.isIPv6(inner) else {
                throw TextProblem(
                    "\(wrong): \"\(inner)\" is not an IPv6 address", "write one such as [::1]:\(port)")
            }
            return ListenAddress(host: inner, port: port)
        }
        guard HostText.isNameOrIPv4(host) else {
            throw TextProblem(
                "\(wrong): \"\(host)\" is neither an IP address nor a host name",
                "write one such as 127.0.0.1:\(port)")
        }
        return ListenAddress(host: host, port: port)
    }
}
