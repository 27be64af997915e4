import EdgeNode
import EdgePrimitives
import Logging
import Synchronization

/// The program's own log, on standard error: one line for each message whatever is in it, of bounded length, and a
/// level that a reload changes for every copy of the logger.
struct ProgramLog: LogHandler {
    /// The least severe message that is written.
    final class Threshold: Sendable {
        private let state: Mutex<Logger.Level>

        init(_ level: NodeConfiguration.Log.Level) { state = Mutex(Self.level(level)) }

        func set(_ level: NodeConfiguration.Log.Level) { state.withLock { $0 = Self.level(level) } }

        var level: Logger.Level { state.withLock { $0 } }

        private static func level(_ level: NodeConfiguration.Log.Level) -> Logger.Level {
            Logger.Level(rawValue: level.rawValue) ?? .info
        }
    }

    /// More than any value has that a line tells of.
    static let longestMessage = 32_768

    private var output: any LogHandler
    private let threshold: Threshold
    /// What this copy of the logger leaves out whatever the threshold.
    private var floor = Logger.Level.trace

    init(_ threshold: Threshold, output: any LogHandler = StreamLogHandler.standardError(label: "rockpool")) {
        self.threshold = threshold
        self.output = output
    }

    var logLevel: Logger.Level {
        get { max(floor, threshold.level) }
        set { floor = newValue }
    }

    var metadata: Logger.Metadata {
        get { output.metadata }
        set { output.metadata = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { output[metadataKey: key] }
        set { output[metadataKey: key] = newValue }
    }

    func log(event: LogEvent) {
        var event = event
        event.message = "\(Self.line("\(event.message)"))"
        event.metadata = event.metadata?.mapValues { .string(Self.line("\($0)")) }
        output.log(event: event)
    }

    private static func line(_ text: String) -> String { PlainText.escaped(text, limit: longestMessage) }
}
