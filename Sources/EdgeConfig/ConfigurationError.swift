/// One thing that is wrong in a configuration file: where, what, and what would be right.
public struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The path of the file as it was given.
    public var file: String
    /// From 1.
    public var line: Int
    /// From 1, in Unicode scalars.
    public var column: Int
    /// What is wrong.
    public var message: String
    /// What would be right.
    public var suggestion: String

    public init(file: String, line: Int, column: Int, message: String, suggestion: String) {
        self.file = file
        self.line = line
        self.column = column
        self.message = message
        self.suggestion = suggestion
    }

    /// `file:line:column: message; suggestion`, the form that editors and terminals make a link of.
    public var description: String {
        let place = "\(file):\(line):\(column): \(message)"
        return suggestion.isEmpty ? place : "\(place); \(suggestion)"
    }
}

/// Everything that is wrong in a configuration file, in the order of the lines; never empty.
public struct ConfigurationErrors: Error, Sendable, Equatable, CustomStringConvertible {
    public var errors: [ConfigurationError]

    public init(_ errors: [ConfigurationError]) {
        precondition(!errors.isEmpty, "a file without errors is not refused")
        self.errors = errors.sorted { ($0.line, $0.column) < ($1.line, $1.column) }
    }

    /// One error a line.
    public var description: String { errors.map(\.description).joined(separator: "\n") }
}
