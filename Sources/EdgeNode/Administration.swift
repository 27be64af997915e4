import Synchronization

/// A purge that an operator asks for.
public struct PurgeOrder: Sendable {
    /// What a purge covers. A `url` or `prefix` is absolute, a `host` is `name[:port]`.
    public enum Scope: Sendable, Equatable {
        case url(String, anyQuery: Bool)
        case prefix(String)
        case host(String)
        case tag(String)
        case all
    }

    public var scope: Scope
    /// Whether it makes stale instead of hiding.
    public var isSoft: Bool
    /// The caller's address, for the audit.
    public var client: String

    public init(scope: Scope, isSoft: Bool, client: String) {
        self.scope = scope
        self.isSoft = isSoft
        self.client = client
    }
}

/// Why a purge was not done.
public enum PurgeError: Error {
    /// Why the value is no url, host or tag of this node.
    case refused(String)
    /// The ledger could not be written; nothing is purged.
    case failed(String)
}

/// A purge that was done.
public struct PurgeRecord: Codable, Sendable {
    /// Epoch and number: `18f3a2-42`.
    public var id: String
    public var purgedAt: String
    /// url, tag, prefix, host or all.
    public var scope: String
    /// As given; nil for all.
    public var value: String?
    /// Present when true.
    public var anyQuery: Bool?
    public var soft: Bool
    public var client: String

    public init(
        id: String, purgedAt: String, scope: String, value: String?, anyQuery: Bool?, soft: Bool,
        client: String
    ) {
        self.id = id
        self.purgedAt = purgedAt
        self.scope = scope
        self.value = value
        self.anyQuery = anyQuery
        self.soft = soft
        self.client = client
    }
}

/// The ledger in figures, and its newest purges.
public struct PurgeOverview: Codable, Sendable {
    /// The position after the last purge: `18f3a2-42`.
    public var head: String
    public var total: UInt64
    public var stamps: Int
    /// Newest first.
    public var recent: [PurgeRecord]

    public init(head: String, total: UInt64, stamps: Int, recent: [PurgeRecord]) {
        self.head = head
        self.total = total
        self.stamps = stamps
        self.recent = recent
    }
}

/// A request of which an operator asks what would become of it.
public struct ExplainQuestion: Sendable {
    public var url: String
    /// GET or HEAD.
    public var method: String
    public var headers: [(name: String, value: String)]
    public var originDown: Bool

    public init(url: String, method: String, headers: [(name: String, value: String)], originDown: Bool) {
        self.url = url
        self.method = method
        self.headers = headers
        self.originDown = originDown
    }
}

/// What would become of a request, and why.
public struct Explanation: Codable, Sendable {
    public struct Rule: Codable, Sendable {
        public var line: Int?
        public var path: String
        public var sets: [String]

        public init(line: Int?, path: String, sets: [String]) {
            self.line = line
            self.path = path
            self.sets = sets
        }
    }

    public struct Outcome: Codable, Sendable {
        public var result: String
        public var status: Int
        public var reason: String
        public var explanation: String
        public var cacheStatus: String
        public var contactsOrigin: Bool

        public init(
            result: String, status: Int, reason: String, explanation: String, cacheStatus: String,
            contactsOrigin: Bool
        ) {
            self.result = result
            self.status = status
            self.reason = reason
            self.explanation = explanation
            self.cacheStatus = cacheStatus
            self.contactsOrigin = contactsOrigin
        }
    }

    public struct Lifetime: Codable, Sendable {
        public var seconds: Double
        public var source: String
        public var detail: String

        public init(seconds: Double, source: String, detail: String) {
            self.seconds = seconds
            self.source = source
            self.detail = detail
        }
    }

    public var url: String
    public var method: String
    public var key: String
    public var site: String
    public var rules: [Rule]
    public var originDown: Bool
    public var outcome: Outcome
    public var ifOriginDown: Outcome
    public var stored: StoredObject?
    public var variants: [StoredObject]
    public var lifetime: Lifetime?
    public var notes: [String]

    public init(
        url: String, method: String, key: String, site: String, rules: [Rule], originDown: Bool,
        outcome: Outcome,
        ifOriginDown: Outcome, stored: StoredObject?, variants: [StoredObject], lifetime: Lifetime?,
        notes: [String]
    ) {
        self.url = url
        self.method = method
        self.key = key
        self.site = site
        self.rules = rules
        self.originDown = originDown
        self.outcome = outcome
        self.ifOriginDown = ifOriginDown
        self.stored = stored
        self.variants = variants
        self.lifetime = lifetime
        self.notes = notes
    }
}

/// One stored variant.
public struct StoredObject: Codable, Sendable {
    public var status: Int
    public var vary: [String: String]
    public var tiers: [String]
    public var bodyBytes: Int64
    public var storedBytes: Int64
    public var contentType: String?
    public var etag: String?
    public var lastModified: String?
    public var tags: [String]
    public var storedAt: String
    public var ageSeconds: Double
    public var lifetimeSeconds: Double
    public var lifetimeSource: String
    public var fresh: Bool
    public var softPurgedAt: String?
    public var pulledAtPosition: String

    public init(
        status: Int, vary: [String: String], tiers: [String], bodyBytes: Int64, storedBytes: Int64,
        contentType: String?, etag: String?, lastModified: String?, tags: [String], storedAt: String,
        ageSeconds: Double, lifetimeSeconds: Double, lifetimeSource: String, fresh: Bool,
        softPurgedAt: String?,
        pulledAtPosition: String
    ) {
        self.status = status
        self.vary = vary
        self.tiers = tiers
        self.bodyBytes = bodyBytes
        self.storedBytes = storedBytes
        self.contentType = contentType
        self.etag = etag
        self.lastModified = lastModified
        self.tags = tags
        self.storedAt = storedAt
        self.ageSeconds = ageSeconds
        self.lifetimeSeconds = lifetimeSeconds
        self.lifetimeSource = lifetimeSource
        self.fresh = fresh
        self.softPurgedAt = softPurgedAt
        self.pulledAtPosition = pulledAtPosition
    }
}

/// What is stored under a URL's key.
public struct ObjectList: Codable, Sendable {
    public var url: String
    public var key: String
    public var variants: [StoredObject]

    public init(url: String, key: String, variants: [StoredObject]) {
        self.url = url
        self.key = key
        self.variants = variants
    }
}

// Provisional: remembers purges and stores nothing.
private let provisional = Mutex<[ObjectIdentifier: [PurgeRecord]]>([:])

extension Node {
    public func purge(_ order: PurgeOrder) async throws -> PurgeRecord {
        provisional.withLock { all in
            let known = all[ObjectIdentifier(self), default: []]
            var record = PurgeRecord(
                id: "1-\(known.count + 1)", purgedAt: "2026-11-21T10:11:06.123Z", scope: "all", value: nil,
                anyQuery: nil, soft: order.isSoft, client: order.client)
            switch order.scope {
            case .url(let url, let anyQuery):
                (record.scope, record.value, record.anyQuery) = ("url", url, anyQuery ? true : nil)
            case .prefix(let prefix): (record.scope, record.value) = ("prefix", prefix)
            case .host(let host): (record.scope, record.value) = ("host", host)
            case .tag(let tag): (record.scope, record.value) = ("tag", tag)
            case .all: break
            }
            all[ObjectIdentifier(self)] = [record] + known
            return record
        }
    }

    public func purgeOverview(limit: Int) -> PurgeOverview {
        provisional.withLock { all in
            let known = all[ObjectIdentifier(self), default: []]
            return PurgeOverview(
                head: "1-\(known.count)", total: UInt64(known.count), stamps: known.count,
                recent: Array(known.prefix(limit)))
        }
    }

    public func explain(_ question: ExplainQuestion) async throws -> Explanation {
        let outcome = Explanation.Outcome(
            result: "miss", status: 200, reason: "not-stored", explanation: "Nothing is stored.",
            cacheStatus: "rockpool; fwd=uri-miss; detail=not-stored", contactsOrigin: true)
        return Explanation(
            url: question.url, method: question.method, key: question.url, site: "*", rules: [],
            originDown: question.originDown, outcome: outcome, ifOriginDown: outcome, stored: nil,
            variants: [],
            lifetime: nil, notes: [])
    }

    public func objects(url: String) async throws -> ObjectList {
        ObjectList(url: url, key: url, variants: [])
    }
}
