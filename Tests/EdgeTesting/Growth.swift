import Glibc

/// How many times the processor time that four times as much `work` takes: about 4 where it is linear, 16
/// where it grows with the square.
///
/// - Parameter work: does so much, on this thread alone.
public func growth(from size: Int, _ work: (Int) -> Void) -> Double {
    // Others on the machine make a run longer, never shorter.
    let small = (0..<5).map { _ in processorSeconds { work(size) } }.min() ?? 0
    let large = (0..<3).map { _ in processorSeconds { work(4 * size) } }.min() ?? 0
    return large / max(small, 1e-9)
}

private func processorSeconds(_ work: () -> Void) -> Double {
    func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
    let start = now()
    work()
    return now() - start
}
