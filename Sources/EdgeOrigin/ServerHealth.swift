import EdgePrimitives

/// What is known of one server's health; pure, time passed in.
///
/// Two things are kept apart. A server that is *out* gets no pull at all, so that requests may have to be refused:
/// only failures to connect and the node's own checks take it out, and only a check brings it back, since what clients
/// ask for must not decide over others. A server that is *set aside* gets none while another one is left.
///
///     well ──connect failures, a failed check──▶ out ──a check that is answered──▶ well
///     well ──pulls that others answer──▶ set aside ──back-off over──▶ well
package struct ServerHealth: Sendable, Equatable {
    /// Failures in a row to connect that take a server out.
    package static let connectFailuresToGoOut = 3
    /// Pulls of so many different keys, failed without an answer in between, say that more than a target is in
    /// trouble: the server is checked at once.
    package static let keysToCheck = 10
    /// Pulls in a row that failed here, and that another server then answered, set a server aside.
    package static let answeredElsewhereToSetAside = 3
    /// Pulls in a row that failed here, while nothing is held against another server, do the same.
    package static let failuresToSetAside = 10
    package static let firstBackOffMilliseconds: Int64 = 1_000
    package static let lastBackOffMilliseconds: Int64 = 30_000

    /// What a check came to.
    package enum CheckOutcome: Sendable, Equatable {
        /// There was an answer, whatever it says; what its status means is for the configured check to say.
        case answered(isWell: Bool)
        /// Connected, and then no answer.
        case unanswered
        case unconnected
    }

    package private(set) var isOut = false
    /// It is out because it could not be connected to: that it can be again is all there is to find out.
    private var isOutOfReach = false
    /// Pulls in a row that failed.
    package private(set) var consecutiveFailures = 0
    /// Since when.
    package private(set) var firstFailure: MonotonicTime?
    package private(set) var lastAnswer: MonotonicTime?
    /// When the next check is due because something failed.
    private var nextCheck: MonotonicTime?
    private var connectFailures = 0
    private var answeredElsewhere = 0
    private var failedKeys: Set<UInt64> = []
    /// Something failed, and neither a pull nor a check was answered since.
    private var isSuspect = false

    private var setAsideUntil: MonotonicTime?
    private var setAsideMilliseconds = firstBackOffMilliseconds

    private var lastCheck: MonotonicTime?
    private var checkMilliseconds = firstBackOffMilliseconds
    private var checkFailures = 0
    private var checkSuccesses = 0

    package init() {}

    package func isSetAside(now: MonotonicTime) -> Bool { setAsideUntil.map { now < $0 } ?? false }

    /// Whether it was set aside and has not answered since: one pull at a time finds out.
    package func isOnTrial(now: MonotonicTime) -> Bool {
        setAsideUntil.map { now >= $0 && consecutiveFailures > 0 } ?? false
    }

    /// Whether there is something to be found out.
    package var isInTrouble: Bool { isOut || isSuspect }

    /// Whether nothing is held against it since that time.
    package func isWell(since time: MonotonicTime) -> Bool {
        !isOut && (consecutiveFailures == 0 || lastAnswer.map { $0 >= time } ?? false)
    }

    // MARK: Pulls

    /// A pull brought a head.
    package mutating func answered(now: MonotonicTime) {
        lastAnswer = now
        if !isSetAside(now: now) {
            setAsideUntil = nil
            setAsideMilliseconds = Self.firstBackOffMilliseconds
        }
        consecutiveFailures = 0
        firstFailure = nil
        answeredElsewhere = 0
        forgetSuspicion()
    }

    /// A pull failed in a way that speaks of the server.
    ///
    /// - Parameters:
    ///   - key: what was pulled.
    ///   - connecting: whether the server could not even be connected to.
    ///   - anotherIsWell: whether there is another server against which nothing is held.
    package mutating func failed(
        key: UInt64, connecting: Bool, anotherIsWell: Bool = false, now: MonotonicTime
    ) {
        consecutiveFailures += 1
        isSuspect = true
        firstFailure = firstFailure ?? now
        if failedKeys.count < Self.keysToCheck { failedKeys.insert(key) }
        if connecting {
            connectFailures += 1
            if connectFailures >= Self.connectFailuresToGoOut, !isOut { goOut(now, isOutOfReach: true) }
        } else if anotherIsWell, isOnTrial(now: now) || consecutiveFailures >= Self.failuresToSetAside {
            setAside(now)
        }
        guard !isOut else { return }
        let soonest = lastCheck.map { max(now, $0 + Self.firstBackOffMilliseconds) } ?? now
        checkBy(isFailingBroadly ? soonest : now + checkMilliseconds)
    }

    /// A pull that failed here was answered by another server.
    package mutating func wasAnsweredElsewhere(now: MonotonicTime) {
        guard consecutiveFailures > 0, !isSetAside(now: now) else { return }
        answeredElsewhere += 1
        // One that was set aside and has not answered since has had its chance.
        let enough = setAsideUntil == nil ? Self.answeredElsewhereToSetAside : 1
        if answeredElsewhere >= enough { setAside(now) }
    }

    private var isFailingBroadly: Bool { failedKeys.count >= Self.keysToCheck }

    private mutating func setAside(_ now: MonotonicTime) {
        guard !isSetAside(now: now) else { return }
        if setAsideUntil != nil {
            setAsideMilliseconds = min(setAsideMilliseconds * 2, Self.lastBackOffMilliseconds)
        }
        setAsideUntil = now + setAsideMilliseconds
        answeredElsewhere = 0
    }

    private mutating func forgetSuspicion() {
        isSuspect = false
        connectFailures = 0
        failedKeys.removeAll()
        guard !isOut else { return }
        nextCheck = nil
        checkMilliseconds = Self.firstBackOffMilliseconds
    }

    private mutating func goOut(_ now: MonotonicTime, isOutOfReach: Bool = false) {
        isOut = true
        self.isOutOfReach = isOutOfReach
        checkSuccesses = 0
        checkMilliseconds = Self.firstBackOffMilliseconds
        nextCheck = now + checkMilliseconds
    }

    // MARK: Checks

    /// When the next check is due; nil: nothing is to be found out.
    ///
    /// - Parameter rules: of the configured check, which goes on while all is well.
    package func checkDue(_ rules: OriginConfiguration.Health?) -> MonotonicTime? {
        guard let rules else { return nextCheck }
        let regular = lastCheck.map { $0 + rules.intervalMilliseconds } ?? MonotonicTime(nanoseconds: 0)
        return nextCheck.map { min($0, regular) } ?? regular
    }

    /// Brings the next check forward.
    package mutating func checkBy(_ time: MonotonicTime) {
        nextCheck = nextCheck.map { min($0, time) } ?? time
    }

    package mutating func checkBegan(now: MonotonicTime) {
        lastCheck = now
        nextCheck = nil
    }

    /// - Parameter rules: of the configured check, whose path and status count; nil where any answer does.
    package mutating func checked(
        _ outcome: CheckOutcome, rules: OriginConfiguration.Health?, now: MonotonicTime
    ) {
        if let rules {
            judge(outcome == .answered(isWell: true), rules, now)
        } else {
            judge(outcome, now)
        }
        if isInTrouble { checkBy(now + checkMilliseconds) }
    }

    private mutating func judge(_ isWell: Bool, _ rules: OriginConfiguration.Health, _ now: MonotonicTime) {
        if isWell {
            checkSuccesses += 1
            checkFailures = 0
            checkMilliseconds = Self.firstBackOffMilliseconds
            if isOut, checkSuccesses < rules.healthyAfter { return }
            comeBack()
        } else {
            checkFailures += 1
            checkSuccesses = 0
            if isOut {
                waitLonger()
            } else if checkFailures >= rules.unhealthyAfter {
                goOut(now)
            }
        }
    }

    private mutating func judge(_ outcome: CheckOutcome, _ now: MonotonicTime) {
        switch outcome {
        case .answered: comeBack()
        case .unanswered where isOut && isOutOfReach:
            // It may be that it does not speak to a HEAD; it can be reached, and that was what failed.
            comeBack()
        case .unconnected, .unanswered:
            if isOut {
                waitLonger()
            } else if isSuspect, outcome == .unconnected || isFailingBroadly {
                goOut(now, isOutOfReach: outcome == .unconnected)
            } else if isSuspect {
                // One target failed, and it may be that the check's has the same trouble: others need not.
                waitLonger()
            }
        }
    }

    /// A check was answered. What clients ask for may go on failing: that is for their answers to end.
    private mutating func comeBack() {
        isOut = false
        forgetSuspicion()
    }

    private mutating func waitLonger() {
        checkMilliseconds = min(checkMilliseconds * 2, Self.lastBackOffMilliseconds)
    }
}
