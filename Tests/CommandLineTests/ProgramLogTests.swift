import EdgeNode
import Logging
import Synchronization
import Testing

@testable import rockpool

/// The program's own log.
struct ProgramLogTests {
    private final class Kept: LogHandler {
        let lines = Mutex<[String]>([])
        var metadata: Logger.Metadata {
            get { [:] }
            set {}
        }
        var logLevel: Logger.Level {
            get { .trace }
            set {}
        }
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { nil }
            set {}
        }
        func log(event: LogEvent) {
            lines.withLock { $0.append("\(event.message) \(event.metadata ?? [:])") }
        }
    }

    private static func logger(_ threshold: ProgramLog.Threshold) -> (Logger, Kept) {
        let kept = Kept()
        return (Logger(label: "test") { _ in ProgramLog(threshold, output: kept) }, kept)
    }

    @Test func `whatever is in a message or its metadata, it is one line of bounded length`() throws {
        let (logger, kept) = Self.logger(.init(.info))
        logger.notice("a\nb\u{202e}c\u{9b}", metadata: ["who": "x\ny"])
        logger.notice("\(String(repeating: "z", count: 1 << 20))")
        let lines = kept.lines.withLock { $0 }
        try #require(lines.count == 2)
        #expect(lines[0].hasPrefix("a\\u{a}b\\u{202e}c\\u{9b} "))
        #expect(!lines[0].contains("\n"))
        #expect(lines[1].utf8.count < 40_000 && lines[1].contains("...(+"))
    }

    @Test func `a level that changes counts for every copy of the logger`() {
        let threshold = ProgramLog.Threshold(.info)
        let (logger, kept) = Self.logger(threshold)
        var quiet = logger
        quiet.logLevel = .warning
        let copy = logger
        copy.debug("1")
        threshold.set(.debug)
        copy.debug("2")
        quiet.notice("3")
        threshold.set(.error)
        logger.warning("4")
        quiet.error("5")
        #expect(kept.lines.withLock { $0.map { $0.prefix(1) } } == ["2", "5"])
    }
}
