/// The field lines of a message as they stood on the wire.
public struct FieldLines: Sendable, CustomStringConvertible {
    public private(set) var lines: [(name: String, value: String)] = []

    public init() {}

    /// Reads `Name: value` lines.
    init(_ lines: some Sequence<Substring>) throws {
        for line in lines {
            guard let colon = line.firstIndex(of: ":") else { throw TestFailure("no field line: \(line)") }
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            self.lines.append((String(line[..<colon]), String(value)))
        }
    }

    public func all(_ name: String) -> [String] {
        lines.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
    }

    /// All lines of that name as one list; nil where there is none.
    public subscript(name: String) -> String? {
        let values = all(name)
        return values.isEmpty ? nil : values.joined(separator: ", ")
    }

    public var description: String { lines.map { "\($0.name): \($0.value)" }.joined(separator: "\n") }
}
