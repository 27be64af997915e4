import Foundation

/// Where `warm` sends its requests while nobody names a listener: to one that the node names itself.
enum WarmTarget {
    /// How to name one.
    static let hint = "name the node's data listener with --node http://HOST:PORT, or in ROCKPOOL_NODE"

    /// The URL of a listener that can be reached from here: a plain one before one with TLS, else the first.
    ///
    /// - Parameters:
    ///   - listeners: as `/status` has them.
    ///   - admin: the URL at which the node's admin API was asked. Its host is that of a node that listens on every
    ///     address; and a listener for the node's own machine is within reach where the admin API is asked there.
    /// - Returns: nil where there is none.
    static func choose(_ listeners: [NodeStatus.Listener], admin: String) -> String? {
        let adminHost = host(of: admin)
        let inOrder = listeners.filter { !$0.tls } + listeners.filter(\.tls)
        for listener in inOrder {
            guard let colon = listener.address.lastIndex(of: ":"),
                let port = UInt16(listener.address[listener.address.index(after: colon)...])
            else { continue }
            var host = String(listener.address[..<colon])
            if isEveryAddress(host) { host = adminHost }
            guard !host.isEmpty, !isLoopback(host) || isLoopback(adminHost),
                let url = ListenerURL.read("\(listener.tls ? "https" : "http")://\(host):\(port)")
            else { continue }
            return url
        }
        return nil
    }

    /// Asks the node for it.
    ///
    /// - Throws: ``ClientFailure`` with what to do instead.
    static func find(admin: String?, tokenFile: String?) throws(ClientFailure) -> String {
        let client: AdminClient
        let body: Data
        do {
            client = try AdminClient(admin: admin, tokenFile: tokenFile)
            body = try client.get("/status")
        } catch let failure as ClientFailure {
            throw failure.with("; the listener is looked up there: \(hint)")
        } catch {
            throw .refused("the listener cannot be looked up (\(error)): \(hint)")
        }
        guard let status = try? JSONDecoder().decode(NodeStatus.self, from: body),
            let listeners = status.listeners
        else { throw .refused("\(client.base): the node does not say where it listens: \(hint)") }
        guard let url = choose(listeners, admin: client.base) else {
            let addresses = listeners.map { Printable.text($0.address) }.joined(separator: ", ")
            throw .refused(
                "\(client.base): the node listens on \(addresses.isEmpty ? "nothing" : addresses), "
                    + "which is not within reach from here: \(hint)")
        }
        return url
    }

    private static func host(of url: String) -> String {
        let start = url.range(of: "://")?.upperBound ?? url.startIndex
        let authority = url[start...].prefix { $0 != "/" }
        guard let colon = authority.lastIndex(of: ":"), authority.last != "]" else {
            return String(authority)
        }
        return String(authority[..<colon])
    }

    private static func isEveryAddress(_ host: String) -> Bool {
        ["", "0.0.0.0", "[::]", "::", "*"].contains(host)
    }

    private static func isLoopback(_ host: String) -> Bool {
        host == "localhost" || host == "[::1]" || host.hasPrefix("127.")
    }
}
