import EdgeHTTP
import EdgePolicy
import EdgePrimitives
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
///
/// Requests are counted in a row for each site, at the site's number (``SiteNumbers``). A row comes into being when
/// its site's first request is counted, and stays.
public final class LoopCounters: Sendable {
    /// Of so many plain hits one is timed: reading the clock twice for each would cost more than counting it.
    public static let hitsPerTimedHit: UInt32 = 16

    public let connectionsAccepted = Cell()
    public let connectionsClosed = Cell()
    /// Requests that waited for another request's fill.
    public let followersJoined = Cell()
    /// Followers whose fill could not serve them: they went to a pull of their own, or joined another.
    public let followersReleased = Cell()
    /// From the bytes being read to the answer handed to the socket.
    public let hitLatency = LatencyHistogram()
    public let lag = LoopLag()
    let missTable = MissTable.Shared()
    /// From the request to its answer's head, by outcome; plain hits are not among them.
    private let headLatencies = RequestOutcome.allCases.map { _ in LatencyHistogram() }
    private let refusals = Row(count: RequestRefusal.allCases.count)

    private static let outcomes = RequestOutcome.allCases.count
    /// One for each reason, and one for none.
    private let reasons = Reason.allCases.count + 1
    // Atomics are safe to share; the pointers never change once they are set.
    private nonisolated(unsafe) let rows: UnsafeMutablePointer<Atomic<UInt>>
    private let untilTimed = Atomic<UInt32>(0)

    public init() {
        rows = .allocate(capacity: SiteNumbers.capacity)
        for index in 0..<SiteNumbers.capacity { (rows + index).initialize(to: Atomic(0)) }
    }

    deinit {
        let cells = Self.outcomes * (reasons + 1)
        for index in 0..<SiteNumbers.capacity {
            guard
                let row = UnsafeMutablePointer<Atomic<UInt64>>(
                    bitPattern: rows[index].load(ordering: .relaxed))
            else { continue }
            row.deinitialize(count: cells)
            row.deallocate()
        }
        rows.deinitialize(count: SiteNumbers.capacity)
        rows.deallocate()
    }

    // MARK: Rows of sites: body bytes by outcome, then requests by outcome and reason

    @inline(__always)
    private func row(_ site: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        precondition(site >= 0 && site < SiteNumbers.capacity)
        let address = rows[site].load(ordering: .relaxed)
        if let row = UnsafeMutablePointer<Atomic<UInt64>>(bitPattern: address) { return row }
        return makeRow(site)
    }

    @inline(never)
    private func makeRow(_ site: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        let cells = Self.outcomes * (reasons + 1)
        let row = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: cells)
        for index in 0..<cells { (row + index).initialize(to: Atomic(0)) }
        rows[site].store(UInt(bitPattern: row), ordering: .releasing)
        return row
    }

    @inline(__always)
    private func cell(_ outcome: RequestOutcome, _ reason: Reason?) -> Int {
        Self.outcomes + outcome.rawValue * reasons + (reason?.ordinal ?? reasons - 1)
    }

    @inline(__always)
    private static func add(_ amount: UInt64, to cell: UnsafeMutablePointer<Atomic<UInt64>>) {
        let value = cell.pointee.load(ordering: .relaxed)
        cell.pointee.store(value &+ amount, ordering: .relaxed)
    }

    @inline(__always)
    func count(site: Int, _ outcome: RequestOutcome, _ reason: Reason?, bodyBytes: Int64) {
        let row = row(site)
        Self.add(1, to: row + cell(outcome, reason))
        Self.add(UInt64(bodyBytes), to: row + outcome.rawValue)
    }

    /// Counts a plain hit.
    @inline(__always)
    func countHit(site: Int, _ reason: Reason, bodyBytes: Int) {
        count(site: site, .hit, reason, bodyBytes: Int64(bodyBytes))
        let left = untilTimed.load(ordering: .relaxed)
        if left > 0 { untilTimed.store(left &- 1, ordering: .relaxed) }
    }

    /// Bytes of requests were read: the time in monotonic nanoseconds where the next plain hit is one to be timed,
    /// else 0.
    @inline(__always)
    public func bytesRead() -> Int64 {
        untilTimed.load(ordering: .relaxed) == 0 ? SystemClock.monotonic().nanoseconds : 0
    }

    /// The hit that is timed was answered, if not flushed yet.
    ///
    /// - Parameter readAt: what ``bytesRead()`` gave; 0 afterwards, as one hit is timed and not those behind it.
    /// - Returns: the same, for ``timedHitFlushed(_:)``.
    public func timedHitAnswered(_ readAt: inout Int64) -> Int64 {
        untilTimed.store(Self.hitsPerTimedHit &- 1, ordering: .relaxed)
        defer { readAt = 0 }
        return readAt
    }

    /// The hit that is timed was handed to the socket.
    public func timedHitFlushed(_ readAt: inout Int64) {
        hitLatency.record(nanoseconds: SystemClock.monotonic().nanoseconds - readAt)
        readAt = 0
    }

    /// Notes how long the head of an answer took that was no plain hit.
    func headSent(_ outcome: RequestOutcome, from start: MonotonicTime, to end: MonotonicTime) {
        headLatencies[outcome.rawValue].record(from: start, to: end)
    }

    /// Counts a request that was refused before it had a meaning.
    public func count(_ refusal: RequestRefusal) {
        guard let kind = RequestRefusal.allCases.firstIndex(of: refusal) else { return }
        refusals.add(1, at: kind)
    }

    // MARK: Reading, from any thread

    private func read(_ site: Int, _ cell: Int) -> UInt64 {
        let address = rows[site].load(ordering: .acquiring)
        guard let row = UnsafeMutablePointer<Atomic<UInt64>>(bitPattern: address) else { return 0 }
        return row[cell].load(ordering: .relaxed)
    }

    /// Whether a request of that site was counted here.
    func hasRow(_ site: Int) -> Bool { rows[site].load(ordering: .relaxed) != 0 }

    /// How many requests of a site had that outcome for that reason.
    func requests(site: Int, _ outcome: RequestOutcome, _ reason: Reason?) -> UInt64 {
        read(site, cell(outcome, reason))
    }

    /// The body bytes of a site's answers of that outcome.
    func bodyBytes(site: Int, _ outcome: RequestOutcome) -> UInt64 { read(site, outcome.rawValue) }

    /// How long the heads of answers took that were no plain hits.
    public func headLatency(_ outcome: RequestOutcome) -> LatencyHistogram.Snapshot {
        headLatencies[outcome.rawValue].snapshot
    }

    /// How many requests were refused before they had a meaning, and why.
    public func refused(_ refusal: RequestRefusal) -> UInt64 {
        RequestRefusal.allCases.firstIndex(of: refusal).map { refusals[$0] } ?? 0
    }

    // MARK: Parts

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
    /// The position in `allCases`: an enum without payloads is its cases' number in one byte.
    @inline(__always)
    var ordinal: Int { Int(unsafeBitCast(self, to: UInt8.self)) }
}
