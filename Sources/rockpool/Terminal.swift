import Glibc

/// Lines for the person at the terminal.
enum Terminal {
    /// Writes lines to standard error, each made fit for a terminal.
    static func error(_ text: String) {
        write(Printable.lines(text) + "\n", to: 2)
    }

    /// Writes a line to standard output, at once.
    ///
    /// - Returns: whether anybody still reads it.
    @discardableResult
    static func say(_ text: String) -> Bool {
        write(text + "\n", to: 1)
    }

    /// Writes all of `text`.
    ///
    /// - Returns: whether the far end took it.
    @discardableResult
    static func write(_ text: String, to descriptor: CInt) -> Bool {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN {
                var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&ready, 1, -1)
                continue
            }
            guard count > 0 else { return false }
            bytes = bytes.dropFirst(count)
        }
        return true
    }

    static func isTerminal(_ descriptor: CInt) -> Bool { isatty(descriptor) == 1 }

    /// Columns and rows of the terminal at `descriptor`; 80 by 24 where it doesn't say.
    static func size(_ descriptor: CInt) -> (columns: Int, rows: Int) {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return (80, 24)
        }
        return (Int(size.ws_col), Int(size.ws_row))
    }
}
