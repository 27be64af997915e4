import EdgePolicy
import EdgePrimitives
import Synchronization

/// What the node remembers of keys beside stored responses: that their responses could not be shared
/// (hit-for-miss), and that their pulls failed (back-off). Bounded: when full, an arbitrary mark goes.
final class KeyMarks: Sendable {
    static let hitForMissMilliseconds: Int64 = 120_000
    static let firstBackOffMilliseconds: Int64 = 1_000
    static let lastBackOffMilliseconds: Int64 = 30_000

    private struct Failure {
        var nextProbe: MonotonicTime
        var backOffMilliseconds: Int64
        var kind: OriginFailure
        /// Where it was pulled from: what failed there says nothing of another origin.
        var origin: String
    }

    private struct Marks {
        var hitForMiss: [Digest128: MonotonicTime] = [:]
        var failures: [Digest128: Failure] = [:]
        var withdrawn: Set<Digest128> = []
    }

    /// What a failed key's next request may do.
    enum Standing: Equatable {
        case unmarked
        /// The back-off runs: stale at once, no pull.
        case backingOff(OriginFailure)
        /// The back-off is over: stale at once, and this request starts the probe behind.
        case probe(OriginFailure)

        var isProbe: Bool { if case .probe = self { true } else { false } }
    }

    private let capacity: Int
    private let marks = Mutex(Marks())

    init(capacity: Int = 65_536) {
        self.capacity = capacity
    }

    /// How many keys are marked: as hit-for-miss, and as failing.
    var counts: (hitForMiss: Int, failures: Int) {
        marks.withLock { ($0.hitForMiss.count, $0.failures.count) }
    }

    func isHitForMiss(_ key: Digest128, now: MonotonicTime) -> Bool {
        marks.withLock { marks in
            guard let until = marks.hitForMiss[key] else { return false }
            if until > now { return true }
            marks.hitForMiss[key] = nil
            return false
        }
    }

    func markHitForMiss(_ key: Digest128, now: MonotonicTime) {
        marks.withLock { marks in
            if marks.hitForMiss.count >= capacity, let victim = marks.hitForMiss.keys.first {
                marks.hitForMiss[victim] = nil
            }
            marks.hitForMiss[key] = now + Self.hitForMissMilliseconds
        }
    }

    func clearHitForMiss(_ key: Digest128) {
        marks.withLock { marks in
            if !marks.hitForMiss.isEmpty { marks.hitForMiss[key] = nil }
            // There is something to store again.
            if !marks.withdrawn.isEmpty { marks.withdrawn.remove(key) }
        }
    }

    /// The origin took back what was stored under `key`: the next request is told so.
    func markWithdrawn(_ key: Digest128) {
        marks.withLock { marks in
            if marks.withdrawn.count >= capacity, let victim = marks.withdrawn.first {
                marks.withdrawn.remove(victim)
            }
            marks.withdrawn.insert(key)
        }
    }

    /// Whether what was stored under `key` was taken back and no request has been told.
    ///
    /// - Parameter isTrial: leaves the mark for a request.
    func isWithdrawn(_ key: Digest128, isTrial: Bool) -> Bool {
        marks.withLock { marks in
            guard !marks.withdrawn.isEmpty else { return false }
            return isTrial ? marks.withdrawn.contains(key) : marks.withdrawn.remove(key) != nil
        }
    }

    /// The standing of `key`; a ``Standing/probe`` is given to one caller and then held for a back-off.
    ///
    /// - Parameters:
    ///   - origin: where it would be pulled from.
    ///   - isTrial: leaves the probe to another.
    func standing(
        _ key: Digest128, origin: String = "", now: MonotonicTime, isTrial: Bool = false
    ) -> Standing {
        marks.withLock { marks in
            guard let failure = marks.failures[key], failure.origin == origin else { return .unmarked }
            if failure.nextProbe > now { return .backingOff(failure.kind) }
            if !isTrial { marks.failures[key]?.nextProbe = now + failure.backOffMilliseconds }
            return .probe(failure.kind)
        }
    }

    func pullFailed(
        _ key: Digest128, _ kind: OriginFailure, origin: String = "", now: MonotonicTime
    ) {
        marks.withLock { marks in
            let known = marks.failures[key].flatMap { $0.origin == origin ? $0 : nil }
            let before = known?.backOffMilliseconds
            let backOff =
                before.map { min($0 * 2, Self.lastBackOffMilliseconds) } ?? Self.firstBackOffMilliseconds
            if marks.failures[key] == nil, marks.failures.count >= capacity,
                let victim = marks.failures.keys.first
            {
                marks.failures[victim] = nil
            }
            marks.failures[key] = Failure(
                nextProbe: now + backOff, backOffMilliseconds: backOff, kind: kind, origin: origin)
        }
    }

    /// The origin is another one now.
    func forgetFailures(of origin: String) {
        marks.withLock { marks in
            if !marks.failures.isEmpty {
                marks.failures = marks.failures.filter { $0.value.origin != origin }
            }
        }
    }

    func pullSucceeded(_ key: Digest128) {
        marks.withLock { marks in
            if !marks.failures.isEmpty { marks.failures[key] = nil }
        }
    }
}
