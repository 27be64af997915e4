import EdgeHTTP
import EdgeOrigin
import EdgePolicy
import EdgeStore

/// Finds the site that answers for a host: an exact name beats a wildcard, a longer wildcard beats a
/// shorter one, and `*` comes last. Names are compared without regard to the case of ASCII letters (RFC
/// 9110 4.2.3), the port and trailing dots are ignored.
///
/// All names lie in one open-addressed table under a hash that is computed from the last octet to the
/// first. So the hash of each suffix falls out on the way to the hash of the whole name, and one pass over
/// the host finds the exact name and every wildcard that covers it, without an allocation. Clients cannot
/// add to the table, so the hash needs no secret.
public final class SiteTable: Sendable {
    private struct Name: Sendable {
        /// Lower-case octets; a wildcard without its star (`.example.net`).
        let octets: [UInt8]
        let isWildcard: Bool
        let site: Int
    }

    /// The sites in the order of the configuration.
    public let sites: [Site]
    private let names: [Name]
    /// Positions in `names`, or -1; a power of two of them, at most half in use.
    private let slots: [Int32]
    private let catchAll: Site?
    /// The authority of requests that name none (HTTP/1.0), as it stands in keys: the first name of the first site,
    /// or else its origin's own. Empty without a site.
    public let defaultAuthority: [UInt8]
    /// As it stands in the keys of either scheme.
    private let keyedDefaults: [[UInt8]]
    /// The sites' names by their numbers.
    private let namesByNumber: [[UInt8]]

    /// Compiles the sites of a configuration. Of a name given twice the first counts; the configuration
    /// file's reader refuses such a file.
    ///
    /// - Parameter numbers: under which the sites are counted; those of the table before it, if there was one.
    public init(_ configuration: NodeConfiguration, numbers: SiteNumbers = SiteNumbers()) {
        let maxResponseBytes = configuration.cache.maxResponseBytes
        let sites = configuration.sites.map {
            Site(
                $0, maxResponseBytes: maxResponseBytes, number: numbers.number($0.hosts.first ?? ""),
                originFields: configuration.origins[$0.origin].map { Array($0.headers.keys) } ?? [])
        }
        var names: [Name] = []
        var catchAll: Site?
        for (index, site) in sites.enumerated() {
            for host in site.hosts {
                let octets = host.utf8.map { Octet.lower($0) }
                if octets == [Self.star] {
                    if catchAll == nil { catchAll = site }
                } else if octets.starts(with: [Self.star, Self.dot]) {
                    names.append(Name(octets: Array(octets.dropFirst()), isWildcard: true, site: index))
                } else {
                    names.append(Name(octets: octets, isWildcard: false, site: index))
                }
            }
        }
        self.sites = sites
        let origin = sites.first.flatMap { configuration.origins[$0.originName]?.urls.first }
        let authority = sites.first?.firstName ?? origin.map { Self.authority(ofURL: $0) } ?? []
        defaultAuthority = authority
        keyedDefaults = ["http", "https"].map { CacheKey.authority(authority[...], scheme: $0) }
        self.names = names
        self.catchAll = catchAll
        slots = Self.slots(for: names)
        var namesByNumber = [[UInt8]](repeating: [], count: (sites.map(\.number).max() ?? 0) + 1)
        for site in sites { namesByNumber[site.number] = site.nameOctets }
        self.namesByNumber = namesByNumber
    }

    /// The name of the site that is counted under `number`.
    func name(number: Int) -> [UInt8] { number < namesByNumber.count ? namesByNumber[number] : [] }

    /// The first site of the configuration.
    public var firstSite: Site? { sites.first }

    /// The site of requests without a Host: that of the authority under which they are keyed, where there is one, or
    /// two sites would share keys.
    var siteWithoutHost: Site? { site(forHost: defaultAuthority[...]) ?? firstSite }

    /// The authority under which requests without a Host are keyed.
    public func authorityWithoutHost(isTLS: Bool) -> [UInt8] { keyedDefaults[isTLS ? 1 : 0] }

    /// The site whose requests have `authority` in their keys, with a Host or without.
    func site(forKeyed authority: ArraySlice<UInt8>) -> Site? {
        site(forHost: authority)
            ?? (keyedDefaults.contains { authority.elementsEqual($0) } ? firstSite : nil)
    }

    /// ``defaultAuthority`` without its port.
    var defaultHost: ArraySlice<UInt8> { PurgeStamps.split(authority: defaultAuthority).name }

    /// The authority of an origin's URL, as it stands in keys: without the default port of its scheme.
    private static func authority(ofURL url: String) -> [UInt8] {
        let text = Array(url.utf8)
        let isSecure = text.starts(with: "https://".utf8)
        let rest = text.dropFirst(isSecure ? 8 : 7)
        return CacheKey.authority(
            rest.prefix { $0 != UInt8(ascii: "/") }, scheme: isSecure ? "https" : "http")
    }

    /// The site that answers for `host`, the octets of an authority with or without port; nil: none does
    /// (421).
    public func site(forHost host: ArraySlice<UInt8>) -> Site? {
        if names.isEmpty { return catchAll }
        return host.withUnsafeBufferPointer { octets in
            let name = UnsafeBufferPointer(rebasing: octets[..<Self.nameLength(octets)])
            guard let position = find(name) else { return catchAll }
            return sites[names[position].site]
        }
    }

    // MARK: - The table

    private static let star: UInt8 = 42
    private static let dot: UInt8 = 46
    private static let hashStart: UInt64 = 0xcbf2_9ce4_8422_2325

    /// One step of a multiplicative hash (FNV-1a).
    @inline(__always)
    private static func step(_ hash: UInt64, _ octet: UInt8) -> UInt64 {
        (hash ^ UInt64(octet)) &* 0x0000_0100_0000_01b3
    }

    /// The slot at which the search for a hash starts: the upper bits, as the lower ones of the product are
    /// weak.
    @inline(__always)
    private static func firstSlot(_ hash: UInt64, _ mask: Int) -> Int {
        Int(truncatingIfNeeded: hash ^ (hash >> 32)) & mask
    }

    private static func slots(for names: [Name]) -> [Int32] {
        var count = 4
        while count < names.count * 2 { count *= 2 }
        var slots = [Int32](repeating: -1, count: count)
        for (position, name) in names.enumerated() {
            let hash = name.octets.reversed().reduce(hashStart) { step($0, $1) }
            var slot = firstSlot(hash, count - 1)
            while slots[slot] >= 0 { slot = (slot + 1) & (count - 1) }
            slots[slot] = Int32(position)
        }
        return slots
    }

    /// How many octets of an authority are its host: without port and without trailing dots, as in keys.
    private static func nameLength(_ octets: UnsafeBufferPointer<UInt8>) -> Int {
        var length = octets.count
        var index = length
        while index > 0 {
            index -= 1
            let octet = octets[index]
            if octet == Octet.colon {
                length = index
                break
            }
            // Only digits can belong to a port; anything else, a bracket too, ends the search.
            if !Octet.isDigit(octet) { break }
        }
        while length > 1, octets[length - 1] == dot { length -= 1 }
        return length
    }

    /// The position in `names` of the exact name, or else of the longest wildcard.
    private func find(_ host: UnsafeBufferPointer<UInt8>) -> Int? {
        var hash = Self.hashStart
        var wildcard: Int?
        var index = host.count
        while index > 0 {
            index -= 1
            let octet = Octet.lower(host[index])
            hash = Self.step(hash, octet)
            // A wildcard stands for at least one octet before its dot.
            if octet == Self.dot, index > 0,
                let found = look(
                    up: UnsafeBufferPointer(rebasing: host[index...]), hash: hash, isWildcard: true)
            {
                wildcard = found
            }
        }
        return look(up: host, hash: hash, isWildcard: false) ?? wildcard
    }

    private func look(up octets: UnsafeBufferPointer<UInt8>, hash: UInt64, isWildcard: Bool) -> Int? {
        let mask = slots.count - 1
        var slot = Self.firstSlot(hash, mask)
        while slots[slot] >= 0 {
            let position = Int(slots[slot])
            if names[position].isWildcard == isWildcard, Self.equal(names[position].octets, octets) {
                return position
            }
            slot = (slot + 1) & mask
        }
        return nil
    }

    private static func equal(_ name: [UInt8], _ octets: UnsafeBufferPointer<UInt8>) -> Bool {
        guard name.count == octets.count else { return false }
        for index in 0..<name.count where name[index] != Octet.lower(octets[index]) { return false }
        return true
    }
}
