import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import Synchronization

/// The fills under way, by primary cache key: at most one for each variant (RFC 9111 4, collapsed requests).
final class RequestCollapser: Sendable {
    private final class Shard: Sendable {
        let fills = Mutex<[Digest128: [Fill]]>([:])
    }

    private let shards = (0..<16).map { _ in Shard() }

    private func shard(_ key: Digest128) -> Shard { shards[Int(truncatingIfNeeded: key.low & 15)] }

    enum Place {
        /// The request leads a new fill.
        case leader(Fill)
        /// The request follows a fill under way.
        case follower(Fill)
        /// `make` found that no pull is needed any more.
        case none
    }

    /// Joins a fill whose response may serve `request`, or makes one and leads it.
    ///
    /// A fill stores its response before it leaves, so `make`, which runs under the same lock as leaving, can see what
    /// a fill brought that ended between the look-up and this call; it then returns nil.
    func join(
        _ key: Digest128, request: SelectingFields, hint: VaryRule?, ask: RangeAsk?, make: () -> Fill?
    ) -> Place {
        shard(key).fills.withLock { fills in
            if let candidate = fills[key]?.first(where: { $0.mayServe(request, hint: hint, ask: ask) }) {
                return .follower(candidate)
            }
            guard let fill = make() else { return .none }
            fills[key, default: []].append(fill)
            return .leader(fill)
        }
    }

    /// Takes a fill out: it is over, or its response cannot serve anybody else.
    func leave(_ fill: Fill) {
        let key = fill.plan.key
        shard(key).fills.withLock { fills in
            fills[key]?.removeAll { $0 === fill }
            if fills[key]?.isEmpty == true { fills[key] = nil }
        }
    }

    /// The key was invalidated: fills under way may serve their own waiters but are not kept, and nobody joins them.
    func invalidate(_ key: Digest128) {
        let detached = shard(key).fills.withLock { $0.removeValue(forKey: key) ?? [] }
        for fill in detached { fill.discard() }
    }

    var count: Int {
        shards.reduce(0) { sum, shard in sum + shard.fills.withLock { $0.values.reduce(0) { $0 + $1.count } }
        }
    }
}
