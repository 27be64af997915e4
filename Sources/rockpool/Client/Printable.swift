import EdgePrimitives

/// Text from elsewhere (URLs, names, what a node answers) made fit for a terminal: what could move the cursor, change
/// the colours, hide or reorder text is shown as an escape and never sent raw; of what is longer than any URL that a
/// node takes, the rest is left out, and the end says how much.
enum Printable {
    static let longest = 16_384

    /// One line, with letters of every script.
    static func text(_ text: some StringProtocol) -> String {
        var result = ""
        for (count, index) in text.unicodeScalars.indices.enumerated() {
            guard count < longest else { return result + cut(text, index) }
            let scalar = text.unicodeScalars[index]
            if isPlain(scalar) {
                result.unicodeScalars.append(scalar)
            } else {
                result += escape(scalar)
            }
        }
        return result
    }

    /// One line of ASCII alone, so that each character takes exactly one column of the screen.
    static func columns(_ text: some StringProtocol) -> String {
        var result = ""
        for (count, index) in text.unicodeScalars.indices.enumerated() {
            guard count < longest else { return result + cut(text, index) }
            let scalar = text.unicodeScalars[index]
            if scalar.value >= 0x20, scalar.value < 0x7f {
                result.unicodeScalars.append(scalar)
            } else {
                result += escape(scalar)
            }
        }
        return result
    }

    /// A JSON text that means the same: inside its strings, such characters become `\u` escapes. JSON has none outside
    /// of strings but white space, which stays.
    static func json(_ text: String) -> String { PlainText.json(text, isPlain: isPlain) }

    /// Several lines, each by itself.
    static func lines(_ text: some StringProtocol) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { Self.text($0) }.joined(
            separator: "\n")
    }

    private static func cut(_ text: some StringProtocol, _ index: String.Index) -> String {
        PlainText.cutMark(bytes: text.utf8.distance(from: index, to: text.endIndex))
    }

    private static func escape(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16)
        guard scalar.value < 0x80 else { return "\\u{\(digits)}" }
        return "\\x" + (digits.count < 2 ? "0" : "") + digits
    }

    private static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value < 0x80 { return scalar.value >= 0x20 && scalar.value != 0x7f }
        guard PlainText.shows(scalar) else { return false }
        switch scalar.properties.generalCategory {
        case .spaceSeparator, .nonspacingMark, .enclosingMark, .spacingMark: return false
        // A pattern of Braille without a dot is one more space.
        default: return scalar != "\u{2800}"
        }
    }
}
