import Foundation

/// Numbers as a person reads them, in ASCII.
enum Amount {
    /// `1234567` as `1,234,567`.
    static func count(_ number: some BinaryInteger) -> String {
        let digits = Array(String(number.magnitude))
        var text = number < 0 ? "-" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index).isMultiple(of: 3) { text += "," }
            text.append(digit)
        }
        return text
    }

    /// Bytes in powers of 1024.
    static func size(_ bytes: Int64) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var value = Double(bytes)
        var unit = 0
        while value >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        return unit == 0 ? "\(bytes) B" : "\(fixed(value, 1)) \(units[unit])"
    }

    /// Seconds as the two largest units that are not zero at the front: `3d 4h`, `2m 0s`, `0.25s`.
    static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds.magnitude < 1e15 else { return "unknown" }
        if seconds < 0 { return "-" + duration(-seconds) }
        if seconds < 1 {
            return seconds == 0 ? "0s" : seconds < 0.001 ? "0.001s" : "\(trimmed(seconds, 3))s"
        }
        let whole = Int64(seconds)
        let parts = [
            (whole / 86_400, "d"), (whole / 3_600 % 24, "h"), (whole / 60 % 60, "m"), (whole % 60, "s"),
        ]
        var shown = parts.drop { $0.0 == 0 }.prefix(2)
        if shown.count == 2, shown.last?.0 == 0 { shown = shown.dropLast() }
        return shown.map { "\($0.0)\($0.1)" }.joined(separator: " ")
    }

    /// Microseconds as milliseconds, from a second on as seconds.
    static func latency(microseconds: Double) -> String {
        switch microseconds {
        case ..<9_950: "\(fixed(microseconds / 1_000, 2)) ms"
        case ..<999_500: "\(fixed(microseconds / 1_000, microseconds < 99_500 ? 1 : 0)) ms"
        default: "\(fixed(microseconds / 1_000_000, 1)) s"
        }
    }

    /// A rate: one decimal below a hundred, none above.
    static func rate(_ perSecond: Double) -> String {
        perSecond < 99.95 ? fixed(perSecond, 1) : count(Int64(min(perSecond.rounded(), 9e15)))
    }

    /// A share of 1 in percent; what is not quite everything is not shown as 100.
    static func percent(_ share: Double) -> String {
        let shown = share < 1 && share > 0.9995 ? 0.999 : share
        return fixed(shown * 100, 1) + " %"
    }

    /// The word for `number` of them.
    static func plural(_ number: some BinaryInteger, _ one: String, _ many: String? = nil) -> String {
        "\(count(number)) \(number == 1 ? one : many ?? one + "s")"
    }

    static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    static func fixed(_ value: Double, _ decimals: Int) -> String {
        String(format: "%.\(decimals)f", value)
    }

    private static func trimmed(_ value: Double, _ decimals: Int) -> String {
        var text = fixed(value, decimals)
        while text.hasSuffix("0") { text.removeLast() }
        return text.hasSuffix(".") ? String(text.dropLast()) : text
    }
}
