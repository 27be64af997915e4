import Glibc

/// A point of wall-clock time, in milliseconds since the Unix epoch.
public struct WallTime: Comparable, Hashable, Sendable {
    public var milliseconds: Int64

    @inlinable
    public init(milliseconds: Int64) {
        self.milliseconds = milliseconds
    }

    @inlinable
    public init(seconds: Int64) {
        milliseconds = seconds &* 1000
    }

    /// Whole seconds since the Unix epoch, rounded down.
    @inlinable
    public var seconds: Int64 { milliseconds / 1000 - (milliseconds % 1000 < 0 ? 1 : 0) }

    /// From 1970 to the end of the year 9999, the last that a Date can name. A time that was kept and lies
    /// outside of it was never one of a clock's.
    public static let nameable = WallTime(milliseconds: 0)...WallTime(milliseconds: 253_402_300_799_999)

    @inlinable
    public static func < (left: WallTime, right: WallTime) -> Bool { left.milliseconds < right.milliseconds }
}

/// A point of monotonic time, in nanoseconds since an arbitrary start; never steps back.
public struct MonotonicTime: Comparable, Hashable, Sendable {
    public var nanoseconds: Int64

    @inlinable
    public init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    @inlinable
    public static func < (left: MonotonicTime, right: MonotonicTime) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    @inlinable
    public static func + (time: MonotonicTime, milliseconds: Int64) -> MonotonicTime {
        MonotonicTime(nanoseconds: time.nanoseconds &+ milliseconds &* 1_000_000)
    }

    /// Milliseconds from `earlier` to this time.
    @inlinable
    public func milliseconds(since earlier: MonotonicTime) -> Int64 {
        (nanoseconds &- earlier.nanoseconds) / 1_000_000
    }
}

/// The system's clocks. Policy never reads them: `now` is always passed in.
public enum SystemClock {
    /// The wall clock (`CLOCK_REALTIME`).
    public static func wall() -> WallTime {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return WallTime(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }

    /// The monotonic clock (`CLOCK_MONOTONIC`).
    public static func monotonic() -> MonotonicTime {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return MonotonicTime(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }
}
