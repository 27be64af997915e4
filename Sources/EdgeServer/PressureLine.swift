import EdgePrimitives

/// Says that client connections came to their bound, at most once a minute.
struct PressureLine {
    static let intervalMilliseconds: Int64 = 60_000

    /// What had happened by some moment.
    struct Counts: Equatable {
        var pauses: UInt64 = 0
        var ended: UInt64 = 0
        var failures: UInt64 = 0
    }

    private var told = Counts()
    private var toldAt: MonotonicTime?

    /// - Returns: a line where there is something new to say.
    mutating func look(_ counts: Counts, open: Int, limit: Int, at now: MonotonicTime) -> String? {
        guard counts.pauses != told.pauses || counts.failures != told.failures else { return nil }
        if let toldAt, now.milliseconds(since: toldAt) < Self.intervalMilliseconds { return nil }
        defer {
            told = counts
            toldAt = now
        }
        let ended = counts.ended - told.ended
        let failures = counts.failures - told.failures
        var line = "client connections: \(open) are open, and \(limit) may be; accepting stopped"
        line += " \(counts.pauses - told.pauses) times, and \(ended) that waited between requests were ended"
        if failures > 0 {
            line += "; the system had no descriptor or no memory for \(failures)"
        }
        return line + " (raise the limit of open files: ulimit -n, or LimitNOFILE= of the unit)"
    }
}
