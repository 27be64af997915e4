import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import Synchronization

/// What is counted of fills, by whatever thread starts one.
final class FillCounts: Sendable {
    private let cacheable = Atomic<UInt64>(0)
    private let passes = Atomic<UInt64>(0)

    func started(_ kind: FillPlan.Kind) {
        switch kind {
        case .cacheable: cacheable.wrappingAdd(1, ordering: .relaxed)
        case .pass: passes.wrappingAdd(1, ordering: .relaxed)
        }
    }

    var cacheableStarted: UInt64 { cacheable.load(ordering: .relaxed) }
    var passesStarted: UInt64 { passes.load(ordering: .relaxed) }
}

/// The counters of all loops, added up at one moment.
public struct NodeCounts: Sendable {
    /// Requests of one site that had one outcome for one reason.
    public struct Requests: Sendable {
        public let site: String
        public let outcome: RequestOutcome
        public let reason: Reason?
        public let count: UInt64
    }

    public struct BodyBytes: Sendable {
        public let site: String
        public let outcome: RequestOutcome
        public let bytes: UInt64
    }

    /// Those that occurred.
    public private(set) var requests: [Requests] = []
    public private(set) var bodyBytes: [BodyBytes] = []
    /// Requests that could not be read, by what was wrong: every kind, with hyphens for spaces.
    public let refused: [(kind: String, count: UInt64)]
    public let connectionsAccepted: UInt64
    public let connectionsClosed: UInt64
    public let fillsStarted: UInt64
    public let passesStarted: UInt64
    public let followersJoined: UInt64
    public let followersReleased: UInt64
    public let hitForMissMarks: Int
    public let failureMarks: Int
    public let hitLatency: LatencyHistogram.Snapshot
    /// The heads of answers that were no plain hits, by outcome.
    public let headLatency: [(outcome: RequestOutcome, latency: LatencyHistogram.Snapshot)]
    public let loopLag: LatencyHistogram.Snapshot
    /// The greatest of the last minute, in nanoseconds.
    public let maxLoopLag: Int64

    public init(_ node: Node) {
        let loops = node.counters
        // Closed first: between the two reads one more may come, and open would be less than none.
        connectionsClosed = loops.reduce(0) { $0 + $1.connectionsClosed.current }
        connectionsAccepted = loops.reduce(0) { $0 + $1.connectionsAccepted.current }
        fillsStarted = node.fillCounts.cacheableStarted
        passesStarted = node.fillCounts.passesStarted
        followersReleased = loops.reduce(0) { $0 + $1.followersReleased.current }
        followersJoined = loops.reduce(0) { $0 + $1.followersJoined.current }
        (hitForMissMarks, failureMarks) = node.marks.counts
        hitLatency = loops.reduce(LatencyHistogram.Snapshot()) { $0 + $1.hitLatency.snapshot }
        headLatency = RequestOutcome.allCases.map { outcome in
            (outcome, loops.reduce(LatencyHistogram.Snapshot()) { $0 + $1.headLatency(outcome) })
        }
        loopLag = loops.reduce(LatencyHistogram.Snapshot()) { $0 + $1.lag.snapshot }
        let now = SystemClock.monotonic()
        maxLoopLag = loops.map { $0.lag.maximum(now: now) }.max() ?? 0
        refused = RequestRefusal.allCases.map { refusal in
            (
                String(refusal.rawValue.lowercased().map { $0 == " " ? "-" : $0 }),
                loops.reduce(0) { $0 + $1.refused(refusal) }
            )
        }
        for (number, name) in node.siteNumbers.all where loops.contains(where: { $0.hasRow(number) }) {
            add(number, name, loops)
        }
    }

    private mutating func add(_ number: Int, _ name: String, _ loops: [LoopCounters]) {
        let reasons = Reason.allCases.map(Optional.some) + [nil]
        for outcome in RequestOutcome.allCases {
            var hasAny = false
            for reason in reasons {
                let count = loops.reduce(UInt64(0)) { $0 + $1.requests(site: number, outcome, reason) }
                guard count > 0 else { continue }
                hasAny = true
                requests.append(Requests(site: name, outcome: outcome, reason: reason, count: count))
            }
            guard hasAny else { continue }
            let bytes = loops.reduce(UInt64(0)) { $0 + $1.bodyBytes(site: number, outcome) }
            bodyBytes.append(BodyBytes(site: name, outcome: outcome, bytes: bytes))
        }
    }

    public var connectionsOpen: UInt64 { connectionsAccepted - min(connectionsAccepted, connectionsClosed) }
    public var refusedTotal: UInt64 { refused.reduce(0) { $0 + $1.count } }
    public var bodyBytesTotal: UInt64 { bodyBytes.reduce(0) { $0 + $1.bytes } }
}
