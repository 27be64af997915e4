import CCurl
import Glibc

/// Finds the addresses of a name. It may take its time: it is called on a thread of its own.
package struct NameResolver: Sendable {
    /// Numeric addresses; nil where there are none.
    package let addresses: @Sendable (String) -> [String]?
    /// How often it is asked while all is well.
    package let intervalMilliseconds: Int64

    package init(
        intervalMilliseconds: Int64 = 10_000, addresses: @escaping @Sendable (String) -> [String]?
    ) {
        self.intervalMilliseconds = intervalMilliseconds
        self.addresses = addresses
    }

    /// What the system says, /etc/hosts included.
    package static let system = NameResolver(addresses: { name in
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var first: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(name, nil, &hints, &first) == 0 else { return nil }
        defer { freeaddrinfo(first) }
        var found: [String] = []
        var next = first
        while let entry = next {
            if let text = text(of: entry.pointee), !found.contains(text) { found.append(text) }
            next = entry.pointee.ai_next
        }
        return found
    })

    private static func text(of entry: addrinfo) -> String? {
        guard let address = entry.ai_addr else { return nil }
        switch entry.ai_family {
        case AF_INET:
            return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                text(AF_INET, &$0.pointee.sin_addr)
            }
        case AF_INET6:
            return address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                text(AF_INET6, &$0.pointee.sin6_addr)
            }
        default: return nil
        }
    }

    private static func text(_ family: Int32, _ address: UnsafeRawPointer) -> String? {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard inet_ntop(family, address, &text, socklen_t(text.count)) != nil else { return nil }
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// The one spelling of an address; nil where the text is a name.
    static func address(_ text: String) -> String? {
        for family in [AF_INET, AF_INET6] {
            var storage = in6_addr()
            if inet_pton(family, text, &storage) == 1 { return Self.text(family, &storage) }
        }
        return nil
    }

    private final class Question: Sendable {
        let name: String
        let resolver: NameResolver
        let told: @Sendable ([String]?) -> Void

        init(_ name: String, _ resolver: NameResolver, _ told: @escaping @Sendable ([String]?) -> Void) {
            self.name = name
            self.resolver = resolver
            self.told = told
        }
    }

    /// Asks on a thread of its own: a name server that says nothing holds up that one name only.
    func ask(_ name: String, told: @escaping @Sendable ([String]?) -> Void) {
        let question = Unmanaged.passRetained(Question(name, self, told))
        var thread = pthread_t()
        let status = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let question = Unmanaged<Question>.fromOpaque(argument).takeRetainedValue()
                question.told(question.resolver.addresses(question.name))
                return nil
            }, question.toOpaque())
        if status == 0 {
            pthread_detach(thread)
        } else {
            question.release()
            told(nil)
        }
    }
}
