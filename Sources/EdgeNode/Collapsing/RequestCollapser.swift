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
    /// Fills are judged outside of the lock, which others wait for: what they vary by takes time. Those that
    /// came meanwhile are judged in another round.
    ///
    /// A fill stores its response before it leaves, so `make`, which runs under the same lock as leaving, can
    /// see what a fill brought that ended between the look-up and this call; it then returns nil.
    ///
    /// - Parameter width: how many fills there may be that would do before the request follows one of them.
    func join(
        _ key: Digest128, request: SelectingFields, hint: VaryRule?, ask: RangeAsk?, width: Int = 1,
        make: () -> Fill?
    ) -> Place {
        let shard = shard(key)
        // Held, so that no other fill is taken for one of them.
        var judged: [Fill] = []
        var fitting: [Fill] = []
        while true {
            let seen = shard.fills.withLock { $0[key] ?? [] }
            fitting.removeAll { fill in !seen.contains { $0 === fill } }
            for fill in seen where fitting.count < width && !judged.contains(where: { $0 === fill }) {
                judged.append(fill)
                if fill.mayServe(request, hint: hint, ask: ask) { fitting.append(fill) }
            }
            let chosen = fitting.count < width ? nil : fitting.last
            let place: Place? = shard.fills.withLock { fills in
                let current = fills[key] ?? []
                if let chosen {
                    return current.contains { $0 === chosen } ? .follower(chosen) : nil
                }
                guard current.allSatisfy({ fill in judged.contains { $0 === fill } }) else { return nil }
                guard let fill = make() else { return Place.none }
                fills[key, default: []].append(fill)
                return .leader(fill)
            }
            if let place { return place }
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

    /// The key was invalidated: fills under way may serve their own waiters but are not kept, and nobody
    /// joins them.
    func invalidate(_ key: Digest128) {
        let detached = shard(key).fills.withLock { $0.removeValue(forKey: key) ?? [] }
        for fill in detached { fill.discard() }
    }

    var count: Int {
        shards.reduce(0) { sum, shard in sum + shard.fills.withLock { $0.values.reduce(0) { $0 + $1.count } }
        }
    }
}
