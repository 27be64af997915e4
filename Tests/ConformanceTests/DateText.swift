import Foundation

/// Dates in fixture text: `{now}`, `{now-3600}`, `{now+60}`, and the two obsolete forms `{rfc850+60}` and
/// `{asctime+60}` (RFC 9110 5.6.7). All of a case count from the same second.
struct DateText: Sendable {
    let base: Date

    func expand(_ text: String) -> String {
        var result = ""
        var rest = text[...]
        while let open = rest.firstIndex(of: "{"), let close = rest[open...].firstIndex(of: "}") {
            result += rest[..<open]
            let word = rest[rest.index(after: open)..<close]
            result += date(word) ?? "{\(word)}"
            rest = rest[rest.index(after: close)...]
        }
        return result + rest
    }

    private func date(_ word: Substring) -> String? {
        let name = word.prefix { $0.isLetter || $0.isNumber }
        let offset = word.dropFirst(name.count)
        guard let format = Self.formats[String(name)], let seconds = offset.isEmpty ? 0 : Int(offset) else {
            return nil
        }
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(identifier: "GMT")
        formatter.dateFormat = format
        let text = formatter.string(from: base.addingTimeInterval(TimeInterval(seconds)))
        return name == "asctime" ? Self.spaceDay(text) : text
    }

    private static let formats = [
        "now": "EEE, dd MMM yyyy HH:mm:ss 'GMT'",
        "rfc850": "EEEE, dd-MMM-yy HH:mm:ss 'GMT'",
        "asctime": "EEE MMM dd HH:mm:ss yyyy",
    ]

    /// In asctime a day below ten has a space before it.
    private static func spaceDay(_ text: String) -> String {
        var characters = Array(text)
        if characters.count > 8, characters[8] == "0" { characters[8] = " " }
        return String(characters)
    }
}
