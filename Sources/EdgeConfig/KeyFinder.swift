import Yams

/// Finds the places of a key that a mapping of a YAML file has more than once, given the first of them.
struct KeyFinder {
    /// A key as it is written, quotes included; line and columns from 0.
    struct Place: Equatable {
        var line: Int
        var columns: Range<Int>
    }

    private let lines: [[Unicode.Scalar]]
    private let startLine: Int
    private let startColumn: Int

    init(lines: [[Unicode.Scalar]], mark: Mark) {
        self.lines = lines
        startLine = mark.line - 1
        startColumn = mark.column - 1
    }

    /// Every place from the first on where the mapping has the key, in the order of the text.
    func places(of name: String) -> [Place] {
        guard lines.indices.contains(startLine), lines[startLine].count > startColumn else { return [] }
        let places = blockPlaces(name)
        return places.count > 1 ? places : flowPlaces(name)
    }

    /// In block style all keys begin in the same column, and whatever lies deeper belongs to a value.
    private func blockPlaces(_ name: String) -> [Place] {
        var places: [Place] = []
        for number in startLine..<lines.count {
            let line = lines[number]
            if number > startLine {
                guard let indent = line.firstIndex(where: { $0 != " " && $0 != "\r" }), line[indent] != "#"
                else { continue }
                if indent < startColumn { break }
                if indent > startColumn { continue }
            }
            if let columns = key(name, in: line, at: startColumn) {
                places.append(Place(line: number, columns: columns))
            }
        }
        return places
    }

    /// In flow style a key follows a comma at the depth of the mapping, which ends with its brace.
    private func flowPlaces(_ name: String) -> [Place] {
        var places: [Place] = []
        var depth = 1
        var expectsKey = true
        for number in startLine..<lines.count {
            let line = lines[number]
            var column = number == startLine ? startColumn : 0
            while column < line.count {
                let scalar = line[column]
                if expectsKey, scalar != " ", scalar != "\t", scalar != "#" {
                    expectsKey = false
                    if let columns = key(name, in: line, at: column) {
                        places.append(Place(line: number, columns: columns))
                        column = columns.upperBound
                        continue
                    }
                }
                switch scalar {
                case "{", "[":
                    depth += 1
                case "}", "]":
                    depth -= 1
                    if depth == 0 { return places }
                case ",": expectsKey = depth == 1
                case "#" where column == 0 || line[column - 1] == " ": column = line.count
                case "\"", "'": column = endOfQuote(line, from: column)
                default: break
                }
                column += 1
            }
        }
        return places
    }

    /// The column of the quote that closes the one at `start`; the end of the line if it is not on it.
    private func endOfQuote(_ line: [Unicode.Scalar], from start: Int) -> Int {
        var column = start + 1
        while column < line.count, line[column] != line[start] {
            column += line[start] == "\"" && line[column] == "\\" ? 2 : 1
        }
        return column
    }

    /// The columns of the key if it is written at `column`, plain or in quotes, with a colon behind.
    private func key(_ name: String, in line: [Unicode.Scalar], at column: Int) -> Range<Int>? {
        for quote in ["", "\"", "'"] {
            let written = Array((quote + name + quote).unicodeScalars)
            let end = column + written.count
            guard end < line.count, Array(line[column..<end]) == written else { continue }
            if line[end...].first(where: { $0 != " " }) == ":" { return column..<end }
        }
        return nil
    }
}
