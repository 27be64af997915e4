import EdgePrimitives

/// A place in the ordered log of purges: an epoch, and a number within it, compared in that order.
///
/// A stored response carries the position at which its pull began: a purge of a later position covers it. Numbers
/// may have gaps. A new epoch begins where a log cannot be continued, and hides everything of the older ones.
public struct PurgePosition: Sendable, Hashable, Comparable {
    public let epoch: UInt64
    public let number: UInt64

    public init(epoch: UInt64, number: UInt64) {
        self.epoch = epoch
        self.number = number
    }

    /// Before every purge.
    public static let zero = PurgePosition(epoch: 0, number: 0)

    public static func < (left: PurgePosition, right: PurgePosition) -> Bool {
        left.epoch == right.epoch ? left.number < right.number : left.epoch < right.epoch
    }

    /// The id of the purge at this position: the epoch in hexadecimal, the number in decimal.
    public var id: String { String(epoch, radix: 16) + "-" + String(number) }
}

/// What a purge covers, by the canonical keys of requests without their scheme: `//host/path?query`.
public enum PurgeScope: Sendable, Hashable {
    /// All variants of one key.
    case url([UInt8])
    /// All variants of all keys that are the same up to their question mark.
    case anyQuery([UInt8])
    /// All keys that begin with these octets.
    case prefix([UInt8])
    /// All keys of a host, `name` or `name:port`, in lower case. Without a port: of every port.
    case host([UInt8])
    /// Everything that carries this surrogate key.
    case tag([UInt8])
    case all
}

/// A purge that is asked for.
public struct Purge: Sendable, Equatable {
    /// The longest value, in octets.
    public static let largestValueBytes = 8_192

    public var scope: PurgeScope
    /// Makes stale and keeps for validation, where a hard purge hides.
    public var isSoft: Bool
    /// What the caller named, for the records.
    public var value: String
    /// The caller's address, for the records.
    public var client: String

    public init(scope: PurgeScope, isSoft: Bool, value: String, client: String) {
        self.scope = scope
        self.isSoft = isSoft
        self.value = value
        self.client = client
    }
}

extension Purge {
    /// Whether it covers `response`, as ``PurgeStamps`` finds it by look-up; for explanations.
    public func covers(_ response: StoredResponse) -> Bool {
        let scheme = response.keyText.prefix { $0 != UInt8(ascii: ":") }
        let key = response.keyText.dropFirst(scheme.count + 1)
        switch scope {
        case .url(let url): return key.elementsEqual(url)
        case .anyQuery(let base): return key.prefix { $0 != UInt8(ascii: "?") }.elementsEqual(base)
        case .prefix(let prefix): return key.starts(with: prefix)
        case .tag(let tag): return response.tags.contains(tag)
        case .all: return true
        case .host(let host):
            let authority = key.dropFirst(2).prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
            let (name, port) = PurgeStamps.split(authority: authority)
            let standard = scheme.count == 5 ? "443" : "80"
            let full = Array(name) + [UInt8(ascii: ":")] + (port.map { Array($0) } ?? Array(standard.utf8))
            return name.elementsEqual(host) || full == host
        }
    }
}

/// A purge with its place in the log.
public struct PurgeEntry: Sendable, Equatable {
    public let position: PurgePosition
    public let time: WallTime
    public let purge: Purge

    public init(position: PurgePosition, time: WallTime, purge: Purge) {
        self.position = position
        self.time = time
        self.purge = purge
    }
}

/// What the purges so far mean for one stored response.
public enum PurgeVerdict: Sendable, Equatable {
    case untouched
    /// To be treated as stale since then.
    case stale(since: WallTime)
    /// Not to be used for anything.
    case hidden
}
