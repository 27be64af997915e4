/// Which characters may stand in a log or on a terminal as they are.
public enum PlainText {
    /// Whether `scalar` shows as itself and leaves alone what stands beside it. Control characters, those that turn the
    /// direction of text or join it (Unicode's format characters), line and paragraph separators, what has no width
    /// at all, and what has no meaning of its own do not: with them a name looks like another, or a line like two.
    public static func shows(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value < 0x7f { return scalar.value >= 0x20 }
        let properties = scalar.properties
        switch properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator:
            return false
        default:
            // Fillers and variation selectors are letters and marks by their category, and show nothing.
            return !properties.isDefaultIgnorableCodePoint
        }
    }

    /// `text` with `\u{202e}` for every character that does not show as itself; what is longer than `limit` is cut, and
    /// the end says by how many bytes.
    public static func escaped(_ text: some StringProtocol, limit: Int = .max) -> String {
        var result = ""
        var count = 0
        for (index, scalar) in zip(text.unicodeScalars.indices, text.unicodeScalars) {
            guard count < limit else {
                return result + cutMark(bytes: text.utf8.distance(from: index, to: text.endIndex))
            }
            count += 1
            if shows(scalar) {
                result.unicodeScalars.append(scalar)
            } else {
                result += "\\u{" + String(scalar.value, radix: 16) + "}"
            }
        }
        return result
    }

    /// A JSON text that means the same: inside its strings, what does not show as itself becomes `\u` escapes. JSON has
    /// none of it outside of strings but white space, which stays.
    ///
    /// - Parameter isPlain: what needs no escape.
    public static func json(_ text: String, isPlain: (Unicode.Scalar) -> Bool = shows) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            if isPlain(scalar) || scalar == "\n" || scalar == "\r" || scalar == "\t" {
                result.unicodeScalars.append(scalar)
                continue
            }
            for unit in String(scalar).utf16 {
                let digits = String(unit, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }
        }
        return result
    }

    /// What stands at the end of a text of which so many bytes were left out.
    public static func cutMark(bytes: Int) -> String { "...(+\(bytes))" }
}
