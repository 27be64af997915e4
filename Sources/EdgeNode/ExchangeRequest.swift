import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import EdgeStore

/// What is known of a connection's far end.
public struct ClientAddress: Sendable, Equatable {
    /// The address without port, as text.
    public let text: [UInt8]
    /// A number that stands for the client where clients are treated fairly against each other.
    public let identity: UInt64

    public init(text: [UInt8]) {
        self.text = text
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        identity = hash
    }
}

/// One request with everything that was looked up for it once.
struct ExchangeRequest {
    let head: RequestHead
    let client: ClientAddress
    let isTLS: Bool
    let site: Site
    let rules: ResolvedRules
    let traits: RequestTraits
    let key: Digest128
    let keyText: [UInt8]
    let started: MonotonicTime
    /// What stored responses and pulls are compared with, for Vary.
    let selecting: SelectingFields

    var scheme: StaticString { isTLS ? "https" : "http" }

    /// Whether the origin gets something with it by which it could tell one visitor from another.
    var hasCredentials: Bool {
        head.names.contains(.authorization)
            || (head.names.contains(.cookie) && rules.caching.cookies != .strip)
    }
}

/// How a request went forward and what came of it, for Cache-Status.
struct ForwardOutcome {
    var status: Int?
    var isStored: Bool
    var isCollapsed: Bool
}

/// Whether an answer from the store is a hit, or what a forwarded request ended in.
enum StoredAnswerKind {
    case hit
    case forwarded(ForwardOutcome)
}

/// A fill's response, before it is known which part of it this client gets.
struct FillResponse {
    let fill: Fill
    let head: FillHead
    let cacheStatus: CacheStatus
    let isLeader: Bool

    /// The fields that this client gets.
    var fields: FieldSection { isLeader ? head.leaderFields : head.clientFields }

    func representation(length: Int64, source: Delivery.Source) -> Representation {
        Representation(
            fields: fields, cookies: nil, status: 200, length: length,
            ageSeconds: head.initialAgeSeconds > 0 ? head.initialAgeSeconds : nil,
            cacheStatus: cacheStatus, source: source)
    }
}
