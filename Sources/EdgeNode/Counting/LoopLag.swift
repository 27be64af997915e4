import EdgePrimitives
import NIOCore
import Synchronization

/// How late an event loop comes to what is due: a timer every 100 ms measures it. Requests on that loop wait as long.
public final class LoopLag: Sendable {
    static let intervalMilliseconds: Int64 = 100
    /// The maximum is kept for each of so many seconds.
    private static let seconds = 60

    private let histogram = LatencyHistogram()
    // Atomics are safe to share; the pointer itself never changes.
    private nonisolated(unsafe) let maxima: UnsafeMutablePointer<Atomic<Int64>>
    private let second = Atomic<Int64>(0)
    /// When the timer is due, in monotonic nanoseconds; 0 where none runs.
    private let due = Atomic<Int64>(0)

    init() {
        maxima = .allocate(capacity: Self.seconds)
        for index in 0..<Self.seconds { (maxima + index).initialize(to: Atomic(0)) }
    }

    deinit {
        maxima.deinitialize(count: Self.seconds)
        maxima.deallocate()
    }

    /// Begins to measure; ends with the loop.
    func measure(_ loop: any EventLoop) {
        let now = SystemClock.monotonic()
        due.store((now + Self.intervalMilliseconds).nanoseconds, ordering: .relaxed)
        loop.scheduleTask(in: .milliseconds(Self.intervalMilliseconds)) { [weak self] in
            guard let self else { return }
            let now = SystemClock.monotonic()
            self.note(nanoseconds: now.nanoseconds - self.due.load(ordering: .relaxed), now: now)
            self.measure(loop)
        }
    }

    /// - Parameter nanoseconds: how late the timer came.
    func note(nanoseconds: Int64, now: MonotonicTime) {
        let late = max(0, nanoseconds)
        histogram.record(nanoseconds: late)
        let current = now.nanoseconds / 1_000_000_000
        let before = second.load(ordering: .relaxed)
        if current != before {
            // Seconds that passed without a timer have no maximum of their own; what came late tells of them.
            for passed in max(before + 1, current - Int64(Self.seconds) + 1)...current {
                maxima[Int(passed) % Self.seconds].store(0, ordering: .relaxed)
            }
            second.store(current, ordering: .relaxed)
        }
        let cell = Int(current) % Self.seconds
        if maxima[cell].load(ordering: .relaxed) < late { maxima[cell].store(late, ordering: .relaxed) }
    }

    public var snapshot: LatencyHistogram.Snapshot { histogram.snapshot }

    /// The greatest lag of the last minute in nanoseconds; a loop that is stuck now counts with what it is late.
    public func maximum(now: MonotonicTime) -> Int64 {
        let due = due.load(ordering: .relaxed)
        var greatest = due == 0 ? 0 : max(0, now.nanoseconds - due)
        let age = now.nanoseconds / 1_000_000_000 - second.load(ordering: .relaxed)
        guard age < Int64(Self.seconds) else { return greatest }
        for index in 0..<Self.seconds { greatest = max(greatest, maxima[index].load(ordering: .relaxed)) }
        return greatest
    }
}
