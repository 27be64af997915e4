import Yams

/// A YAML file as a tree of nodes with their places, or the reasons why it is none.
///
/// Yams refuses a mapping with a key written twice, and names the first one only. So each later one of the
/// twins is found in the text, reported, and overwritten with as many characters that no key begins with;
/// then the text is composed again. All other places stay as they were, so the rest of the file can be
/// checked too.
struct YAMLDocument {
    struct Complaint {
        var line: Int
        var column: Int
        var message: String
        var suggestion: String
    }

    private(set) var root: Node?
    private(set) var complaints: [Complaint] = []

    /// The first of the characters that stand for a struck-out key: a private one of Unicode.
    private static let strikeOut: UInt32 = 0xe000
    private static let mostStrikes = 4096

    init(_ text: String) {
        var lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false).map {
            Array($0)
        }
        var strikes = 0
        while true {
            let source = lines.map { line in String(String.UnicodeScalarView(line)) }.joined(separator: "\n")
            do {
                root = try Yams.compose(yaml: source)
                return
            } catch YamlError.duplicatedKeysInMapping(let names, let context) {
                // The mark is that of the first place of the first name; other names come with the next
                // round.
                let name = names.min() ?? ""
                let places = KeyFinder(lines: lines, mark: context.mark).places(of: name)
                guard places.count > 1, strikes < Self.mostStrikes else {
                    let message = "the key \"\(name)\" is written more than once"
                    complaints.append(
                        Complaint(
                            line: context.mark.line, column: context.mark.column, message: message,
                            suggestion: "keep one of them"))
                    return
                }
                for place in places.dropFirst() {
                    let letter =
                        Unicode.Scalar(Self.strikeOut + UInt32(strikes % Self.mostStrikes)) ?? "\u{e000}"
                    for column in place.columns { lines[place.line][column] = letter }
                    strikes += 1
                    complaints.append(Self.twin(name, at: place, first: places[0]))
                }
            } catch {
                complaints.append(Self.syntax(error, lines: lines))
                return
            }
        }
    }

    /// Whether a key was struck out above.
    static func isStruckOut(_ key: String) -> Bool {
        key.unicodeScalars.first.map { (strikeOut..<strikeOut + UInt32(mostStrikes)).contains($0.value) }
            ?? false
    }

    private static func twin(_ name: String, at place: KeyFinder.Place, first: KeyFinder.Place) -> Complaint {
        Complaint(
            line: place.line + 1, column: place.columns.lowerBound + 1,
            message: "the key \"\(name)\" is written twice",
            suggestion: "the first is on line \(first.line + 1): keep one")
    }

    private static func syntax(_ error: any Error, lines: [[Unicode.Scalar]]) -> Complaint {
        let (mark, problem): (Mark?, String) =
            switch error {
            case YamlError.scanner(_, let problem, let mark, _),
                YamlError.parser(_, let problem, let mark, _),
                YamlError.composer(_, let problem, let mark, _):
                (mark, problem)
            case YamlError.reader(let problem, _, _, _): (nil, problem)
            default: (nil, "\(error)")
            }
        var line = mark?.line ?? 1
        var column = mark?.column ?? 1
        if mark == nil, let bad = controlCharacter(lines) { (line, column) = bad }
        let found = lines.indices.contains(line - 1) ? lines[line - 1].dropFirst(column - 1).first : nil
        let suggestion =
            found == "\t"
            ? "indent with spaces" : "check indentation, quotes and brackets here and on the line above"
        return Complaint(
            line: line, column: column, message: "this is not YAML: \(problem)", suggestion: suggestion)
    }

    /// The first character that YAML does not allow, from 1.
    private static func controlCharacter(_ lines: [[Unicode.Scalar]]) -> (Int, Int)? {
        for (number, line) in lines.enumerated() {
            let column = line.firstIndex { ($0.value < 32 && $0 != "\t" && $0 != "\r") || $0.value == 127 }
            if let column { return (number + 1, column + 1) }
        }
        return nil
    }
}
