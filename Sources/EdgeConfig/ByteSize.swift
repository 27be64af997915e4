/// Sizes as people write them: `512MiB`, `10GiB`, `1GB`.
public enum ByteSize {
    private static let form = UnitText(units: [
        .init(name: "TiB", factor: 1 << 40, mistakes: ["ti", "t"]),
        .init(name: "GiB", factor: 1 << 30, mistakes: ["gi", "g"]),
        .init(name: "MiB", factor: 1 << 20, mistakes: ["mi", "m"]),
        .init(name: "KiB", factor: 1 << 10, mistakes: ["ki", "k"]),
        .init(name: "TB", factor: 1_000_000_000_000, mistakes: []),
        .init(name: "GB", factor: 1_000_000_000, mistakes: []),
        .init(name: "MB", factor: 1_000_000, mistakes: []),
        .init(name: "KB", factor: 1_000, mistakes: []),
        .init(name: "kB", factor: 1_000, mistakes: []),
        .init(name: "B", factor: 1, mistakes: ["byte", "bytes", "octets"]),
    ])

    /// The pattern of a size in a JSON Schema.
    static let pattern = "^(0|[0-9]+([KMGT]iB|[kKMGT]?B))$"

    /// The bytes that `text` stands for: a whole number and B, KB, MB, GB, TB (powers of 1000) or KiB, MiB,
    /// GiB, TiB (powers of 1024); nil: not a size, or beyond 64 bits.
    /// Nothing needs no unit.
    public static func parse(_ text: String) -> Int64? { text == "0" ? 0 : form.parse(text) }

    /// What to write instead of `text`, as a sentence fragment.
    public static func suggestion(for text: String) -> String {
        if let meant = form.correction(of: text) { return "write \(meant)" }
        if !text.isEmpty, text.allSatisfy({ $0.isASCII && $0.isNumber }) {
            return "write a unit: \(text)B, \(text)KiB, \(text)MiB or \(text)GiB"
        }
        return "write a whole number and a unit, such as 512MiB, 10GiB or 1GB"
    }

    /// The shortest exact form of a number of bytes.
    public static func format(_ bytes: Int64) -> String { form.format(bytes, zero: "B") }
}
