/// The sample that shows every supported key with its default and unit.
public enum SampleFile {
    private static let columns = 100

    /// The text of `edge-config/full.yaml`, made from the table of keys.
    ///
    /// A key with a default stands there as it takes effect when left out. A key without one, and a section
    /// that is off until it is written, is commented out with `#` directly before the name, so that
    /// removing that one character turns it on.
    public static func full() -> String {
        var lines = [
            "# Every key of a Rockpool configuration, with its default.",
            "#",
            "# Sizes: B, KB, MB, GB, TB (powers of 1000), KiB, MiB, GiB, TiB (powers of 1024).",
            "# Durations: ms, s, m, h, d. Relative paths start at the folder of this file.",
            "# A key without default is commented out with an example: remove the # to set it.",
            "# yaml-language-server: $schema=rockpool.schema.json",
        ]
        for key in ConfigurationSchema.children(of: "") where key.isSupported {
            lines.append("")
            write(key, indent: 0, isOff: false, to: &lines)
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Writes one key with its prose, and all keys below it.
    private static func write(_ key: SchemaKey, indent: Int, isOff: Bool, to lines: inout [String]) {
        let margin = String(repeating: " ", count: indent)
        lines += comment(key).map { "\(margin)# \($0)" }
        let isOff = isOff || isLeftOut(key)
        let mark = isOff ? "#" : ""
        switch key.kind {
        case .section:
            lines.append("\(margin)\(mark)\(key.name):")
            writeChildren(of: key.path, indent: indent + 2, isOff: isOff, to: &lines)
        case .sections:
            lines.append("\(margin)\(mark)\(key.name):")
            var members: [String] = []
            writeChildren(of: "\(key.path)[]", indent: indent + 4, isOff: isOff, to: &members)
            lines += dashed(members, indent: indent + 2)
        case .namedSections:
            lines.append("\(margin)\(mark)\(key.name):")
            lines.append("\(margin)  \(mark)main:")
            writeChildren(of: "\(key.path).*", indent: indent + 4, isOff: isOff, to: &lines)
        case .query:
            lines.append("\(margin)\(mark)\(key.name): \(key.defaultText ?? "")")
            for child in ConfigurationSchema.children(of: key.path) {
                lines += comment(child, as: "\(key.name).\(child.name)").map { "\(margin)# \($0)" }
            }
        default:
            lines.append("\(margin)\(mark)\(key.name): \(key.defaultText ?? key.example ?? "")")
        }
    }

    private static func writeChildren(of path: String, indent: Int, isOff: Bool, to lines: inout [String]) {
        for child in ConfigurationSchema.children(of: path) where child.isSupported {
            write(child, indent: indent, isOff: isOff, to: &lines)
        }
    }

    /// Puts the dash of a list member before its first key.
    private static func dashed(_ lines: [String], indent: Int) -> [String] {
        var lines = lines
        guard let first = lines.firstIndex(where: { $0.drop { $0 == " " }.first != "#" }) else {
            return lines
        }
        let margin = String(repeating: " ", count: indent)
        lines[first] = "\(margin)- \(lines[first].drop { $0 == " " })"
        return lines
    }

    /// Whether the sample comments the key out: it has no default, or no key below it is there to be shown.
    private static func isLeftOut(_ key: SchemaKey) -> Bool {
        switch key.kind {
        case .sections, .namedSections: return false
        case .section:
            let children = ConfigurationSchema.children(of: key.path).filter(\.isSupported)
            // A section that needs a key without default is off as a whole.
            return children.contains { $0.isRequired && $0.defaultText == nil }
                || children.allSatisfy(isLeftOut)
        default: return key.defaultText == nil && !key.isRequired
        }
    }

    /// The prose of a key, with its kind, bounds and default, cut into lines.
    private static func comment(_ key: SchemaKey, as name: String? = nil) -> [String] {
        var text = name.map { "\($0): \(key.prose)" } ?? key.prose
        if !key.kind.prose.isEmpty { text += " \(key.kind.prose)" }
        if let preset = key.defaultText {
            text += "; default \(preset)."
        } else if !key.kind.prose.isEmpty {
            text += key.isRequired ? "; required." : "; no default."
        }
        var lines: [String] = [""]
        for word in text.split(separator: " ") {
            if lines[lines.count - 1].count + word.count + 12 > columns { lines.append("") }
            lines[lines.count - 1] += lines[lines.count - 1].isEmpty ? String(word) : " \(word)"
        }
        return lines
    }
}
