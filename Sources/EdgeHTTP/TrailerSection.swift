/// The trailer section of a response (RFC 9112 7.1.2), with the limits of a head and as strict.
public struct TrailerSection: Sendable {
    public private(set) var fields = FieldSection()
    private var sectionBytes = 0

    public init() {}

    /// Takes field lines with their line ends: one, or several that were held back together.
    public mutating func read(lines: UnsafeBufferPointer<UInt8>) -> ResponseRefusal? {
        sectionBytes += lines.count
        guard sectionBytes <= ResponseHeadParser.maxSectionBytes else { return .trailersTooLarge }
        var start = 0
        while start < lines.count {
            guard let end = lines[start...].firstIndex(of: Octet.lf), end > start,
                lines[end - 1] == Octet.cr
            else { return .malformedTrailerEnd }
            let text = UnsafeBufferPointer(rebasing: lines[start..<(end - 1)])
            start = end + 1
            // The blank line, where a library tells of it.
            if text.isEmpty { continue }
            switch LineText.read(text) {
            case .refused(let refusal): return refusal
            case .line(let line):
                guard fields.count < ResponseHeadParser.maxFields else { return .trailersTooLarge }
                fields.append(name: text[line.name], value: text[line.value])
            }
        }
        return nil
    }
}
