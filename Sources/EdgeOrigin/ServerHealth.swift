import EdgePrimitives

/// What is known of one server's health; pure, time passed in.
///
///     healthy ──failures──▶ unhealthy ──back-off over──▶ halfOpen ──success──▶ healthy
///                               ▲─────────failure─────────┘
package struct ServerHealth: Sendable, Equatable {
    /// Failures in a row to connect, or of any kind, that take a server out. A server that can be connected to and
    /// fails single requests (one slow target, one that crashes a worker) may well serve the others.
    package static let connectFailuresToOpen = 3
    package static let failuresToOpen = 10
    package static let firstBackOffMilliseconds: Int64 = 1_000
    package static let lastBackOffMilliseconds: Int64 = 30_000

    package enum State: Sendable, Equatable {
        case healthy
        case unhealthy(until: MonotonicTime)
        /// One pull, and no second one, finds out.
        case halfOpen
    }

    package private(set) var state = State.healthy
    package private(set) var consecutiveFailures = 0
    private var connectFailures = 0
    private var backOffMilliseconds = firstBackOffMilliseconds
    private var activeFailures = 0
    private var activeSuccesses = 0

    package init() {}

    /// Whether a pull may go to this server now; where the back-off is over, that pull becomes the probe.
    package mutating func admits(now: MonotonicTime) -> Bool {
        switch state {
        case .healthy: return true
        case .halfOpen: return false
        case .unhealthy(let until):
            guard now >= until else { return false }
            state = .halfOpen
            return true
        }
    }

    package mutating func succeeded() {
        if case .unhealthy = state, activeFailures > 0 { return }
        var fresh = ServerHealth()
        fresh.activeFailures = activeFailures
        fresh.activeSuccesses = activeSuccesses
        self = fresh
    }

    /// - Parameter connecting: whether the server could not even be connected to.
    package mutating func failed(now: MonotonicTime, connecting: Bool) {
        consecutiveFailures += 1
        if connecting { connectFailures += 1 }
        switch state {
        case .healthy:
            if connectFailures >= Self.connectFailuresToOpen || consecutiveFailures >= Self.failuresToOpen {
                open(now)
            }
        case .halfOpen:
            backOffMilliseconds = min(backOffMilliseconds * 2, Self.lastBackOffMilliseconds)
            open(now)
        case .unhealthy: break
        }
    }

    /// What is known carries over a reload, but for a probe under way, whose result may no longer find its server.
    package mutating func carryOver() {
        if state == .halfOpen { state = .unhealthy(until: MonotonicTime(nanoseconds: 0)) }
    }

    /// A probe ended without an answer to the question (it was cancelled).
    package mutating func undecided(now: MonotonicTime) {
        if state == .halfOpen { state = .unhealthy(until: now) }
    }

    private mutating func open(_ now: MonotonicTime) {
        state = .unhealthy(until: now + backOffMilliseconds)
    }

    /// The result of an active check.
    package mutating func checked(isWell: Bool, rules: OriginConfiguration.Health, now: MonotonicTime) {
        if isWell {
            activeSuccesses += 1
            activeFailures = 0
            if activeSuccesses >= rules.healthyAfter, state != .healthy { self = ServerHealth() }
        } else {
            activeFailures += 1
            activeSuccesses = 0
            if activeFailures >= rules.unhealthyAfter {
                state = .unhealthy(until: now + max(rules.intervalMilliseconds * 2, backOffMilliseconds))
            }
        }
    }
}
