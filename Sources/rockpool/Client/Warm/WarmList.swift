/// The lines of a list of URLs.
struct WarmList: Equatable {
    /// A line that is neither URL nor comment.
    struct WrongLine: Equatable, Encodable {
        let line: Int
        let text: String
        let problem: String
    }

    private static let shownCharacters = 200

    private(set) var urls: [WarmURL] = []
    private(set) var wrong: [WrongLine] = []

    /// Reads a text with one URL on each line; blank lines and those that begin with `#` are skipped.
    init(_ text: String) {
        var number = 0
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
            number += 1
            let content = line.trimmingPrefix { $0 == " " || $0 == "\t" || $0 == "\u{feff}" }
            guard let first = content.first, first != "#" else { continue }
            var end = content.endIndex
            while end > content.startIndex, " \t".contains(content[content.index(before: end)]) {
                end = content.index(before: end)
            }
            let url = content[..<end]
            guard !url.isEmpty else { continue }
            do {
                urls.append(try WarmURL(url))
            } catch {
                wrong.append(
                    WrongLine(
                        line: number, text: String(url.prefix(Self.shownCharacters)), problem: error.text))
            }
        }
    }
}
