import Hummingbird
import NIOCore

/// What a request brings along: the address of who asks.
struct AdminContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let client: ClientAddress

    init(source: Source) {
        coreContext = .init(source: source)
        client = ClientAddress(source.channel.remoteAddress)
    }
}

/// A caller's address: as text for the audit, and the part of it that guesses are counted by.
package struct ClientAddress: Sendable {
    package let text: String
    /// The IPv4 address, or the first 64 bits of an IPv6 one: a household has at least that many.
    package let network: [UInt8]

    package init(_ address: SocketAddress?) {
        text = address?.ipAddress ?? "unknown"
        // The address lies behind family and port, and in IPv6 behind the flow label too.
        let bytes =
            address?.withSockAddr { pointer, size in
                Array(UnsafeRawBufferPointer(start: pointer, count: size))
            } ?? []
        switch address {
        case .v4: network = Array(bytes[4..<8])
        case .v6:
            let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
            let whole = Array(bytes[8..<24])
            network = whole.starts(with: mapped) ? Array(whole[12...]) : Array(whole[..<8])
        case .unixDomainSocket, nil: network = []
        }
    }
}
