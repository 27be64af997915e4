import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import EdgeStore

/// A purge as an operator asks for it.
public struct PurgeOrder: Sendable {
    public enum Scope: Sendable, Equatable {
        /// An absolute URL. With `anyQuery`, all keys that are the same up to the question mark.
        case url(String, anyQuery: Bool)
        /// An absolute URL; all keys that begin with its key.
        case prefix(String)
        /// `name` or `name:port`; without a port every port.
        case host(String)
        /// A surrogate key.
        case tag(String)
        case all
    }

    public var scope: Scope
    public var isSoft: Bool
    /// The caller's address, for the records.
    public var client: String

    public init(scope: Scope, isSoft: Bool, client: String) {
        self.scope = scope
        self.isSoft = isSoft
        self.client = client
    }
}

/// Why a purge, or a question about a URL, was not carried out.
public enum PurgeError: Error, Sendable, Equatable {
    /// The value is no URL, host or tag that this node could have anything for.
    case refused(String)
    /// The ledger could not be written; nothing was purged.
    case failed(String)

    static let urlTooLong = refused("the URL is longer than \(Purge.largestValueBytes) octets")
}

/// A purge that was carried out.
public struct PurgeRecord: Codable, Sendable, Equatable {
    /// Its position in the ledger; see ``PurgePosition/id``.
    public var id: String
    public var purgedAt: String
    /// `url`, `prefix`, `host`, `tag` or `all`.
    public var scope: String
    /// What the caller named; nil for all.
    public var value: String?
    /// Only where true.
    public var anyQuery: Bool?
    public var soft: Bool
    public var client: String

    init(_ entry: PurgeEntry) {
        id = entry.position.id
        purgedAt = String(decoding: ISOTime.format(entry.time), as: UTF8.self)
        soft = entry.purge.isSoft
        client = entry.purge.client
        value = entry.purge.value
        switch entry.purge.scope {
        case .url: scope = "url"
        case .anyQuery: (scope, anyQuery) = ("url", true)
        case .prefix: scope = "prefix"
        case .host: scope = "host"
        case .tag: scope = "tag"
        case .all: (scope, value) = ("all", nil)
        }
    }
}

/// What was purged lately.
public struct PurgeOverview: Codable, Sendable, Equatable {
    /// The ledger's newest position.
    public var head: String
    /// Purges since the start of the node.
    public var total: UInt64
    /// Stamps that look-ups compare with.
    public var stamps: Int
    /// Newest first.
    public var recent: [PurgeRecord]
}

extension Node {
    /// Carries out a purge: when this returns, no request that begins later gets what it covers, also after a crash.
    ///
    /// - Throws: ``PurgeError``.
    public func purge(_ order: PurgeOrder) async throws -> PurgeRecord {
        let (scope, value) = try resolve(order.scope)
        let purge = Purge(scope: scope, isSoft: order.isSoft, value: value, client: order.client)
        return try await withCheckedContinuation { continuation in
            keep(purge) { continuation.resume(returning: $0) }
        }.get()
    }

    /// Has the ledger take a purge; `completion` is called, on another thread, once it is durable and in force.
    func keep(_ purge: Purge, _ completion: @escaping @Sendable (Result<PurgeRecord, PurgeError>) -> Void) {
        ledger.append(purge) { result in
            completion(result.map { PurgeRecord($0) }.mapError { .failed($0.description) })
        }
    }

    public func purgeOverview(limit: Int) -> PurgeOverview {
        PurgeOverview(
            head: store.stamps.head.id, total: ledger.counters.total, stamps: store.stamps.count,
            recent: ledger.recent(limit).map { PurgeRecord($0) })
    }

    /// What an order covers, in terms of keys, and what the caller named.
    private func resolve(_ scope: PurgeOrder.Scope) throws(PurgeError) -> (PurgeScope, String) {
        switch scope {
        case .url(let text, let anyQuery):
            let key = try target(text).withoutScheme
            guard anyQuery else { return (.url(key), text) }
            return (.anyQuery(Array(key.prefix { $0 != UInt8(ascii: "?") })), text)
        case .prefix(let text): return (.prefix(try target(text).withoutScheme), text)
        case .host(let text): return (.host(try host(text)), text)
        case .tag(let text): return (.tag(try Self.tag(text)), text)
        case .all: return (.all, "")
        }
    }

    /// A URL as the target of a request to this node.
    ///
    /// - Parameter asRequest: the key with the scheme of the listeners, which is what requests have.
    func target(_ text: String, asRequest: Bool = false) throws(PurgeError) -> AdministeredTarget {
        guard text.utf8.count <= Purge.largestValueBytes else {
            throw .urlTooLong
        }
        guard let target = AdministeredTarget(text, sites: sites, asRequest: asRequest) else {
            throw .refused(AdministeredTarget.problem(with: text, sites: sites))
        }
        return target
    }

    private func host(_ text: String) throws(PurgeError) -> [UInt8] {
        // As the authority of a key, but that every port counts as written.
        var bytes: [UInt8] = []
        CacheKey.appendAuthority(Array(text.utf8)[...], defaultPort: -1, to: &bytes)
        let (name, port) = PurgeStamps.split(authority: bytes)
        if let port, port.isEmpty || port.count > 5 || !port.allSatisfy(Octet.isDigit) {
            throw .refused("the port is no number")
        }
        guard !name.isEmpty, AuthorityReader.isValid(bytes) else {
            throw .refused("that is no host: name or name:port, for example www.example.com:8080")
        }
        guard !name.contains(UInt8(ascii: "*")) else {
            throw .refused("hosts are purged one by one: a name, not a pattern such as \(text)")
        }
        guard sites.site(forKeyed: bytes[...]) != nil || sites.defaultHost.elementsEqual(name) else {
            throw .refused("no site of this node has the host \(text)")
        }
        return bytes
    }

    private static func tag(_ text: String) throws(PurgeError) -> [UInt8] {
        let bytes = Array(text.utf8)
        guard !bytes.isEmpty, bytes.count <= 1_024 else {
            throw .refused("a tag has between 1 and 1024 octets")
        }
        // No response can carry such a tag: Surrogate-Key is split at white space, Cache-Tag at commas.
        guard bytes.allSatisfy({ $0 > 0x20 && $0 != 0x7F && $0 != Octet.comma }) else {
            throw .refused("a tag has no white space, comma or control character")
        }
        return bytes
    }
}

/// A URL that an operator names, as the key of the requests for it: by the code and the rules that make keys from
/// requests.
struct AdministeredTarget {
    let site: Site
    let rules: ResolvedRules
    let isTLS: Bool
    let authority: [UInt8]
    let path: [UInt8]
    let query: [UInt8]?
    let keyText: [UInt8]

    /// Nil where ``problem(with:sites:)`` says why.
    init?(_ text: String, sites: SiteTable, asRequest: Bool) {
        guard let uri = URIReference(Self.encoded(text.utf8)[...], allowsTargets: true),
            let scheme = uri.scheme,
            let named = uri.authority, !named.isEmpty, AuthorityReader.isValid(named),
            scheme == Array("http".utf8) || scheme == Array("https".utf8)
        else { return nil }
        let authority = CacheKey.authority(named[...], scheme: scheme.count == 5 ? "https" : "http")
        guard let site = sites.site(forKeyed: authority[...]) else { return nil }
        self.site = site
        // No listener speaks TLS: what comes by way of a terminator comes as http, without the port of https.
        isTLS = scheme.count == 5 && !asRequest
        self.authority = authority
        path = uri.path.isEmpty ? [UInt8(ascii: "/")] : uri.path
        query = uri.query
        rules = site.resolve(path: path[...])
        var key: [UInt8] = []
        CacheKey.append(
            scheme: isTLS ? "https" : "http", authority: authority[...], path: path[...], query: query?[...],
            rule: rules.query, into: &key)
        keyText = key
    }

    /// The URL with what is not ASCII percent-encoded, as clients send it (RFC 3987 3.1).
    static func encoded(_ text: some Sequence<UInt8>) -> [UInt8] {
        let digits = Array("0123456789ABCDEF".utf8)
        return text.flatMap { byte in
            byte < 0x80 ? [byte] : [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
    }

    /// The key from `//` on.
    var withoutScheme: [UInt8] { Self.withoutScheme(keyText, isTLS: isTLS) }

    static func withoutScheme(_ keyText: [UInt8], isTLS: Bool) -> [UInt8] {
        Array(keyText.dropFirst(isTLS ? 6 : 5))
    }

    static func problem(with text: String, sites: SiteTable) -> String {
        guard let uri = URIReference(encoded(text.utf8)[...], allowsTargets: true) else {
            return "that is no URL: octets that a URL may not have must be percent-encoded"
        }
        guard let scheme = uri.scheme, scheme == Array("http".utf8) || scheme == Array("https".utf8) else {
            return "the URL must be absolute: http://host/path or https://host/path"
        }
        guard let authority = uri.authority, !authority.isEmpty else { return "the URL has no host" }
        guard AuthorityReader.isValid(authority) else { return "the URL's host is malformed" }
        return "no site of this node has the host \(String(decoding: authority, as: UTF8.self))"
    }
}
