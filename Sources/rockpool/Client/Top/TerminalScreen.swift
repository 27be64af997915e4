import Glibc

/// The terminal while `top` has it: alternate screen, no cursor, keys at once and unseen. It is left as it was found.
final class TerminalScreen {
    private var found = termios()
    private let keys: CInt
    private var isEntered = false

    /// - Parameter keys: the descriptor that keys come from.
    init(keys: CInt) {
        self.keys = keys
        tcgetattr(keys, &found)
    }

    deinit { leave() }

    func enter() {
        guard !isEntered else { return }
        var raw = found
        // Signals of the keyboard stay: Ctrl-C and Ctrl-Z come as such.
        raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
        raw.c_iflag &= ~tcflag_t(IXON)
        tcsetattr(keys, TCSADRAIN, &raw)
        isEntered = true
        Terminal.write("\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l\u{1b}[2J", to: 1)
    }

    func leave() {
        guard isEntered else { return }
        isEntered = false
        Terminal.write("\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l", to: 1)
        tcsetattr(keys, TCSADRAIN, &found)
    }

    /// Takes the terminal again after somebody else had it.
    func enterAgain() {
        isEntered = false
        enter()
    }

    /// Shows `lines` from the top; what was below goes.
    ///
    /// - Returns: whether the terminal is still there.
    func show(_ lines: [StyledLine], columns: Int, colours: Bool) -> Bool {
        // After a character in the last column the cursor still stands on it, and what erases to the right takes it.
        let rows = lines.map { $0.rendered(colours: colours) + ($0.width < columns ? "\u{1b}[K" : "") }
        return Terminal.write("\u{1b}[H" + rows.joined(separator: "\r\n") + "\u{1b}[J", to: 1)
    }
}
