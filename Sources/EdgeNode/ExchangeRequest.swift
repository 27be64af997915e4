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
struct ExchangeRequest: Sendable {
    let head: RequestHead
    let client: ClientAddress
    let isTLS: Bool
    let site: Site
    let rules: ResolvedRules
    let traits: RequestTraits
    /// Host and port as they stand in the key: also what the origin gets, whatever their spelling in the request.
    let authority: [UInt8]
    let key: Digest128
    let keyText: [UInt8]
    /// The fields that select a variant.
    let selecting: SelectingFields
    let started: MonotonicTime

    init(
        head: RequestHead, client: ClientAddress, isTLS: Bool, site: Site, rules: ResolvedRules,
        authority: [UInt8], key: Digest128, keyText: [UInt8], nodeID: [UInt8]
    ) {
        self.head = head
        self.client = client
        self.isTLS = isTLS
        self.site = site
        self.rules = rules
        self.authority = authority
        self.key = key
        self.keyText = keyText
        traits = RequestTraits(
            head: head, honoursClient: rules.caching.honoursClient,
            stripsCookies: rules.caching.cookies == .strip)
        started = SystemClock.monotonic()
        var context = ForwardContext(
            nodeID: nodeID, clientAddress: client.text, scheme: isTLS ? "https" : "http", host: authority,
            isCacheable: true, cookies: rules.caching.cookies, set: rules.requestEdits.set,
            remove: rules.requestEdits.remove)
        context.authority = authority
        context.forwarding = rules.forwarding
        context.clientAddressField = rules.clientAddressField
        context.reserved = rules.reservedFields
        if let query = keyText.firstIndex(of: UInt8(ascii: "?")) {
            context.noteQuery(keyText[(query + 1)...])
        }
        selecting = SelectingFields(head: head, touched: rules.touched, context: context)
    }

    var scheme: StaticString { isTLS ? "https" : "http" }

    /// Whether the origin gets something with it by which it could tell one visitor from another.
    var hasCredentials: Bool {
        head.names.contains(.authorization)
            || (head.names.contains(.cookie) && rules.caching.cookies != .strip)
    }

    /// Path and query of the key: what the origin is asked for where the answer may be kept.
    var keyTarget: ArraySlice<UInt8> {
        let target = keyText.dropFirst((isTLS ? 8 : 7) + authority.count)
        assert(target.first == UInt8(ascii: "/") || target.first == UInt8(ascii: "*") || target.isEmpty)
        return target
    }

    /// Whether the request has so many fields that no answer to it is kept: origins refuse what is much, and each
    /// has its own limit.
    var isOversized: Bool { head.fieldSectionBytes > Self.maxKeptFieldBytes }

    private static let maxKeptFieldBytes = 8 * 1024

    /// Whether the request is a HEAD that is asked as its GET would be: what the origin says may be merged into what is
    /// stored.
    var isAskedAsGet: Bool {
        head.method == .head && !isOversized && !Preconditions.mustForward(head.fields)
            && Node.passReason(self) == nil
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
