import Glibc

/// Lines for the person at the terminal.
enum Terminal {
    /// Writes a line to standard error.
    static func error(_ text: String) {
        let line = Array((text + "\n").utf8)
        _ = write(2, line, line.count)
    }

    /// Writes a line to standard output, at once.
    static func say(_ text: String) {
        let line = Array((text + "\n").utf8)
        _ = write(1, line, line.count)
    }
}
