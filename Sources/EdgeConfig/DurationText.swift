/// Durations as people write them: `300ms`, `5s`, `10m`, `24h`, `7d`.
public enum DurationText {
    private static let form = UnitText(units: [
        .init(name: "d", factor: 86_400_000, mistakes: ["day", "days"]),
        .init(name: "h", factor: 3_600_000, mistakes: ["hr", "hrs", "hour", "hours"]),
        .init(name: "m", factor: 60_000, mistakes: ["min", "mins", "minute", "minutes"]),
        .init(name: "s", factor: 1_000, mistakes: ["sec", "secs", "second", "seconds"]),
        .init(name: "ms", factor: 1, mistakes: ["msec", "msecs", "millis", "millisecond", "milliseconds"]),
    ])

    /// The pattern of a duration in a JSON Schema.
    static let pattern = "^[0-9]+(ms|s|m|h|d)$"

    /// The milliseconds that `text` stands for: a whole number and ms, s, m, h or d; nil: not a duration,
    /// or beyond 64 bits.
    public static func parse(_ text: String) -> Int64? { form.parse(text) }

    /// What to write instead of `text`, as a sentence fragment.
    public static func suggestion(for text: String) -> String {
        if let meant = form.correction(of: text) { return "write \(meant)" }
        if !text.isEmpty, text.allSatisfy({ $0.isASCII && $0.isNumber }) {
            return "write a unit: \(text)ms, \(text)s, \(text)m, \(text)h or \(text)d"
        }
        return "write a whole number and a unit, such as 300ms, 5s, 10m, 24h or 7d"
    }

    /// The shortest exact form of a number of milliseconds.
    public static func format(_ milliseconds: Int64) -> String { form.format(milliseconds, zero: "s") }
}
