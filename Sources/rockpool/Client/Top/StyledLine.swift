import Foundation

/// A line of the screen: pieces of text with a look each. Every character takes one column.
struct StyledLine {
    enum Style: String {
        case plain = ""
        case bold = "1"
        case dim = "2"
        case good = "32"
        case warning = "33"
        case bad = "31"
        case reversed = "7"
    }

    private(set) var pieces: [(text: String, style: Style)] = []

    var width: Int { pieces.reduce(0) { $0 + $1.text.count } }
    var text: String { pieces.map(\.text).joined() }

    init(_ text: String = "", _ style: Style = .plain) { add(text, style) }

    mutating func add(_ text: String, _ style: Style = .plain) {
        if !text.isEmpty { pieces.append((text, style)) }
    }

    /// Adds `text`, cut to `columns` and filled up with spaces.
    mutating func add(_ text: String, columns: Int, _ style: Style = .plain) {
        add(Amount.padded(Self.cut(text, columns), columns), style)
    }

    mutating func fill(to column: Int) {
        add(String(repeating: " ", count: max(0, column - width)))
    }

    /// The line without what lies beyond `columns`.
    func cropped(to columns: Int) -> StyledLine {
        var line = StyledLine()
        for piece in pieces where line.width < columns {
            line.add(String(piece.text.prefix(columns - line.width)), piece.style)
        }
        return line
    }

    /// The line for a terminal.
    func rendered(colours: Bool) -> String {
        pieces.map { piece in
            guard colours, piece.style != .plain else { return piece.text }
            return "\u{1b}[\(piece.style.rawValue)m\(piece.text)\u{1b}[0m"
        }.joined()
    }

    /// `text` in at most `columns`; what is longer loses its middle, since both ends of a URL tell.
    static func cut(_ text: String, _ columns: Int) -> String {
        guard text.count > columns else { return text }
        guard columns > 8 else { return String(text.prefix(max(0, columns))) }
        let tail = (columns - 2) / 2
        return text.prefix(columns - 2 - tail) + ".." + text.suffix(tail)
    }
}
