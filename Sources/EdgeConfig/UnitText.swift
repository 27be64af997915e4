/// A whole number directly followed by a unit: the common form of sizes and durations.
struct UnitText {
    struct Unit: Sendable {
        let name: String
        let factor: Int64
        /// What people write instead, in lower case.
        let mistakes: [String]
    }

    let units: [Unit]

    /// The value in the smallest unit; nil: not of this form, or beyond 64 bits.
    func parse(_ text: String) -> Int64? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard !digits.isEmpty, let number = Int64(digits),
            let unit = units.first(where: { $0.name == text.dropFirst(digits.count) })
        else { return nil }
        let (value, overflow) = number.multipliedReportingOverflow(by: unit.factor)
        return overflow ? nil : value
    }

    /// The text that was probably meant, or nil.
    func correction(of text: String) -> String? {
        let compact = text.filter { !$0.isWhitespace && $0 != "_" }
        let digits = compact.prefix { $0.isASCII && $0.isNumber }
        let written = compact.dropFirst(digits.count).lowercased()
        guard !digits.isEmpty, !written.isEmpty else { return nil }
        let meant =
            units.first { $0.name.lowercased() == written } ?? units.first { $0.mistakes.contains(written) }
        guard let meant, parse(digits + meant.name) != nil else { return nil }
        return digits + meant.name
    }

    /// The shortest exact form of a value.
    func format(_ value: Int64, zero: String) -> String {
        if value == 0 { return "0\(zero)" }
        let unit = units.filter { value % $0.factor == 0 }.max { $0.factor < $1.factor }
        guard let unit else { return "\(value)" }
        return "\(value / unit.factor)\(unit.name)"
    }
}
