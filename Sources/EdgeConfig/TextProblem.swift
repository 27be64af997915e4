/// Why a text is not what it should be, without a place: what the parsers of addresses, URLs and the like
/// throw, for the configuration file and for the command line.
public struct TextProblem: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong.
    public var message: String
    /// What would be right.
    public var suggestion: String

    public init(_ message: String, _ suggestion: String) {
        self.message = message
        self.suggestion = suggestion
    }

    public var description: String { "\(message); \(suggestion)" }
}
