import EdgePolicy
import EdgePrimitives
import Synchronization

/// Tells when an origin as a whole is down: when connecting to it failed or timed out, or when at least 10 pulls of
/// different keys failed and none succeeded for 2 s. One success ends the outage.
final class OutageDetector: Sendable {
    private struct OriginState {
        var failedKeys: Set<Digest128> = []
        var lastSuccess: MonotonicTime?
        var firstFailure: MonotonicTime?
        var isDown = false
        var nextProbe = MonotonicTime(nanoseconds: 0)
        var backOffMilliseconds = KeyMarks.firstBackOffMilliseconds

        mutating func goDown(_ now: MonotonicTime) {
            isDown = true
            backOffMilliseconds = KeyMarks.firstBackOffMilliseconds
            nextProbe = now + backOffMilliseconds
        }
    }

    private let origins = Mutex<[String: OriginState]>([:])

    /// The standing of an origin; see ``KeyMarks/Standing``.
    func standing(
        _ origin: String, now: MonotonicTime, isTrial: Bool = false
    ) -> KeyMarks.Standing {
        origins.withLock { origins in
            guard let state = origins[origin], state.isDown else { return .unmarked }
            if state.nextProbe > now { return .backingOff(.unreachable) }
            if !isTrial { origins[origin]?.nextProbe = now + state.backOffMilliseconds }
            return .probe(.unreachable)
        }
    }

    /// The origin is another one now.
    func forget(_ origin: String) { origins.withLock { $0[origin] = nil } }

    /// A pull was not even tried, since no server of the origin can be connected to: it lengthens no back-off.
    func pullRefused(_ origin: String, now: MonotonicTime) {
        origins.withLock { origins in
            var state = origins[origin] ?? OriginState()
            guard !state.isDown else { return }
            state.goDown(now)
            origins[origin] = state
        }
    }

    func pullFailed(_ origin: String, key: Digest128, connecting: Bool, now: MonotonicTime) {
        origins.withLock { origins in
            var state = origins[origin] ?? OriginState()
            if state.isDown {
                state.backOffMilliseconds = min(
                    state.backOffMilliseconds * 2, KeyMarks.lastBackOffMilliseconds)
                state.nextProbe = now + state.backOffMilliseconds
            } else {
                if state.failedKeys.count < 64 { state.failedKeys.insert(key) }
                let first = state.firstFailure ?? now
                state.firstFailure = first
                let quietSince = max(state.lastSuccess ?? first, first)
                let broad = state.failedKeys.count >= 10 && now.milliseconds(since: quietSince) >= 2_000
                if connecting || broad { state.goDown(now) }
            }
            origins[origin] = state
        }
    }

    func pullSucceeded(_ origin: String, now: MonotonicTime) {
        origins.withLock { origins in
            var state = origins[origin] ?? OriginState()
            if state.isDown || !state.failedKeys.isEmpty { state = OriginState() }
            state.lastSuccess = now
            origins[origin] = state
        }
    }
}
