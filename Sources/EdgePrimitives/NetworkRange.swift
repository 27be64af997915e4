import Glibc

/// A network of IP addresses: those whose first bits are given (RFC 4632 3.1, RFC 4291 2.3).
public struct NetworkRange: Sendable, Hashable, CustomStringConvertible {
    /// Why a text is no network.
    public enum Problem: Error, Sendable, Equatable {
        case malformed
        /// Bits behind the prefix are set; the text is the network that the address lies in.
        case bitsBeyondPrefix(String)
    }

    /// 4 octets, or 16.
    private let octets: [UInt8]
    private let prefixBits: Int

    /// Reads `10.0.0.0/8`, `2001:db8::/32`, or one address.
    public init(_ text: String) throws(Problem) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let octets = Self.octets(of: String(parts[0])) else { throw .malformed }
        var bits = octets.count * 8
        if parts.count == 2 {
            let digits = parts[1]
            guard (1...3).contains(digits.utf8.count), digits.utf8.allSatisfy({ (48...57).contains($0) }),
                digits.utf8.count == 1 || digits.first != "0", let read = Int(digits), read <= bits
            else { throw .malformed }
            bits = read
        }
        var masked = Self.masked(octets, bits)
        let hasMore = masked != octets
        if bits >= 96, let mapped = Self.unmapped(masked) { (masked, bits) = (mapped, bits - 96) }
        self.init(octets: masked, prefixBits: bits)
        if hasMore { throw .bitsBeyondPrefix(description) }
    }

    private init(octets: [UInt8], prefixBits: Int) {
        self.octets = octets
        self.prefixBits = prefixBits
    }

    /// Whether an address, as text, lies in it. An IPv4 address that an IPv6 socket shows (`::ffff:192.0.2.1`, RFC 4291
    /// 2.5.5.2) is taken as what it is.
    public func contains(_ address: String) -> Bool {
        guard let octets = Self.octets(of: address) else { return false }
        let found = Self.unmapped(octets) ?? octets
        return found.count == self.octets.count && Self.masked(found, prefixBits) == self.octets
    }

    public var description: String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let family = octets.count == 4 ? AF_INET : AF_INET6
        guard
            octets.withUnsafeBytes({ inet_ntop(family, $0.baseAddress, &text, socklen_t(text.count)) }) != nil
        else { return "" }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            + "/\(prefixBits)"
    }

    /// The IPv4 address in an IPv4-mapped IPv6 address; nil for any other.
    private static func unmapped(_ octets: [UInt8]) -> [UInt8]? {
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
        return octets.count == 16 && octets[..<12].elementsEqual(mapped) ? Array(octets[12...]) : nil
    }

    private static func octets(of address: String) -> [UInt8]? {
        // The C functions would read up to a NUL.
        guard !address.utf8.contains(0) else { return nil }
        var four = [UInt8](repeating: 0, count: 4)
        if inet_pton(AF_INET, address, &four) == 1 { return four }
        var sixteen = [UInt8](repeating: 0, count: 16)
        return inet_pton(AF_INET6, address, &sixteen) == 1 ? sixteen : nil
    }

    private static func masked(_ octets: [UInt8], _ bits: Int) -> [UInt8] {
        octets.enumerated().map { index, octet in
            let kept = min(8, max(0, bits - index * 8))
            return kept == 0 ? 0 : octet & ~UInt8(truncatingIfNeeded: 0xFF >> kept)
        }
    }
}
