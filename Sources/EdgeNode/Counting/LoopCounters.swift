import EdgePolicy
import Synchronization

/// How a request was answered, for counters and the access log.
public enum RequestOutcome: Int, Sendable, CaseIterable {
    case hit, stale, revalidated, miss, pass, error

    public var label: String {
        switch self {
        case .hit: "hit"
        case .stale: "stale"
        case .revalidated: "revalidated"
        case .miss: "miss"
        case .pass: "pass"
        case .error: "error"
        }
    }
}

/// The counters of one event loop. Only that loop writes, so an increment is a load and a store; readers of
/// `/metrics` sum over the loops.
public final class LoopCounters: Sendable {
    private static let reasons = Reason.allCases.count + 1
    /// A cell for each outcome and reason; the last reason stands for none.
    private let requests: Row
    public let responseBytes = Cell()
    public let connectionsAccepted = Cell()
    public let connectionsClosed = Cell()
    public let requestsRefused = Cell()

    public init() {
        requests = Row(count: RequestOutcome.allCases.count * Self.reasons)
    }

    /// One counter.
    public final class Cell: Sendable {
        private let value = Atomic<UInt64>(0)

        public init() {}

        @inline(__always)
        public func add(_ amount: UInt64) {
            value.store(value.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
        }

        public var current: UInt64 { value.load(ordering: .relaxed) }
    }

    @inline(__always)
    func count(_ outcome: RequestOutcome, _ reason: Reason?) {
        requests.add(1, at: outcome.rawValue * Self.reasons + (reason?.ordinal ?? Self.reasons - 1))
    }

    /// How many requests had that outcome for that reason.
    public func requests(_ outcome: RequestOutcome, _ reason: Reason?) -> UInt64 {
        requests[outcome.rawValue * Self.reasons + (reason?.ordinal ?? Self.reasons - 1)]
    }

    /// A fixed row of counters.
    final class Row: Sendable {
        // Atomics are safe to share; the pointer itself never changes.
        private nonisolated(unsafe) let cells: UnsafeMutablePointer<Atomic<UInt64>>
        private let count: Int

        init(count: Int) {
            self.count = count
            cells = .allocate(capacity: count)
            for index in 0..<count { (cells + index).initialize(to: Atomic(0)) }
        }

        deinit {
            cells.deinitialize(count: count)
            cells.deallocate()
        }

        @inline(__always)
        func add(_ amount: UInt64, at index: Int) {
            precondition(index < count)
            let value = cells[index].load(ordering: .relaxed)
            cells[index].store(value &+ amount, ordering: .relaxed)
        }

        subscript(index: Int) -> UInt64 {
            precondition(index < count)
            return cells[index].load(ordering: .relaxed)
        }
    }
}

extension Reason {
    private static let ordinals: [Reason: Int] = Dictionary(
        uniqueKeysWithValues: Reason.allCases.enumerated().map { ($1, $0) })

    /// The position in `allCases`.
    var ordinal: Int { Self.ordinals[self] ?? 0 }
}
