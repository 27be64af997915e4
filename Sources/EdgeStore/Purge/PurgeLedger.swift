import EdgePrimitives
import Synchronization

/// The ordered log of purges. It gives each purge its position, keeps it, and applies it to the stamps that look-ups
/// read; what look-ups read knows nothing of where the log is kept, on this machine or for a whole fleet.
public protocol PurgeLedger: Sendable {
    /// What this log's purges are applied to.
    var stamps: PurgeStamps { get }

    /// Puts `purge` at the end of the log.
    ///
    /// - Parameter completion: called once, on another thread or this one: with the entry as soon as it is durable and
    ///   applied, so that whatever begins after it sees the purge; with an error where it could not be kept, and then
    ///   it is not applied.
    func append(
        _ purge: Purge, _ completion: @escaping @Sendable (Result<PurgeEntry, PurgeLedgerError>) -> Void)

    /// The newest purges, newest first, at most `limit`.
    func recent(_ limit: Int) -> [PurgeEntry]

    var counters: PurgeCounters { get }

    /// Ends after what was appended.
    func shutdown()
}

/// Why a purge could not be kept.
public struct PurgeLedgerError: Error, Sendable, Equatable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}

/// What a ledger did since the start.
public struct PurgeCounters: Sendable, Equatable {
    /// Purges by scope and mode: the index is twice the scope's place in ``scopes``, plus 1 for soft ones.
    public var purges = [UInt64](repeating: 0, count: 2 * PurgeCounters.scopes.count)
    public var failures: UInt64 = 0
    /// Syncs of the log, and what they took together. Purges that come at the same time share one.
    public var syncs: UInt64 = 0
    public var syncNanoseconds: UInt64 = 0
    /// What applying the purges took, the node's own share.
    public var applyNanoseconds: UInt64 = 0

    public static let scopes = ["url", "anyQuery", "prefix", "host", "tag", "all"]

    public var total: UInt64 { purges.reduce(0, +) }

    mutating func count(_ entries: [PurgeEntry]) {
        for entry in entries { purges[2 * entry.purge.scope.ordinal + (entry.purge.isSoft ? 1 : 0)] += 1 }
    }
}

extension PurgeScope {
    /// The place in ``PurgeCounters/scopes``.
    var ordinal: Int {
        switch self {
        case .url: 0
        case .anyQuery: 1
        case .prefix: 2
        case .host: 3
        case .tag: 4
        case .all: 5
        }
    }
}

/// The newest purges, for those who ask what was purged.
struct RecentPurges {
    static let largestCount = 100
    private var entries: [PurgeEntry] = []

    mutating func append(_ newer: [PurgeEntry]) {
        entries.append(contentsOf: newer)
        if entries.count > 2 * Self.largestCount { entries.removeFirst(entries.count - Self.largestCount) }
    }

    func newest(_ limit: Int) -> [PurgeEntry] {
        Array(entries.suffix(max(0, min(limit, Self.largestCount))).reversed())
    }
}

/// The ledger of a node that keeps nothing over a restart: its log is as long-lived as what it purges.
public final class VolatilePurgeLedger: PurgeLedger {
    private struct State {
        var position: PurgePosition
        var recent = RecentPurges()
        var counters = PurgeCounters()
    }

    public let stamps: PurgeStamps
    private let state: Mutex<State>

    /// - Parameter epoch: what was stored in an earlier one is hidden.
    public init(
        stamps: PurgeStamps = PurgeStamps(), epoch: UInt64 = UInt64(max(1, SystemClock.wall().milliseconds))
    ) {
        self.stamps = stamps
        let start = PurgePosition(epoch: epoch, number: 0)
        stamps.begin(at: start)
        state = Mutex(State(position: start))
    }

    public func append(
        _ purge: Purge, _ completion: @escaping @Sendable (Result<PurgeEntry, PurgeLedgerError>) -> Void
    ) {
        // Under the lock, so that entries are applied in their order.
        let entry = state.withLock { state in
            state.position = PurgePosition(epoch: state.position.epoch, number: state.position.number + 1)
            let entry = PurgeEntry(position: state.position, time: SystemClock.wall(), purge: purge)
            let started = SystemClock.monotonic()
            stamps.apply([entry])
            state.counters.applyNanoseconds += started.nanosecondsUntilNow
            state.counters.count([entry])
            state.recent.append([entry])
            return entry
        }
        completion(.success(entry))
    }

    public func recent(_ limit: Int) -> [PurgeEntry] { state.withLock { $0.recent.newest(limit) } }
    public var counters: PurgeCounters { state.withLock { $0.counters } }
    public func shutdown() {}
}

extension MonotonicTime {
    var nanosecondsUntilNow: UInt64 {
        UInt64(max(0, SystemClock.monotonic().nanoseconds - nanoseconds))
    }
}
