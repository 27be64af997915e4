import Glibc

/// Signals as bytes in a pipe, so that a loop that waits for descriptors sees them like everything else.
enum SignalPipe {
    private static let ends: (reads: CInt, writes: CInt) = {
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else { return (-1, -1) }
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        return (ends[0], ends[1])
    }()

    /// Readable while a signal waits to be taken.
    static var descriptor: CInt { ends.reads }

    /// From now on these signals do nothing but come out of `take`.
    static func catching(_ signals: [CInt]) {
        // Before the first handler runs: it may not be the one that makes the pipe.
        _ = ends
        for number in signals {
            signal(number) { number in
                let before = errno
                var byte = UInt8(truncatingIfNeeded: number)
                _ = write(SignalPipe.ends.writes, &byte, 1)
                errno = before
            }
        }
    }

    /// The signals that came since the last call.
    static func take() -> [CInt] {
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = read(ends.reads, &bytes, bytes.count)
        return count > 0 ? bytes.prefix(count).map { CInt($0) } : []
    }
}
