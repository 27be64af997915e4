import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import Foundation
import Synchronization
import Testing

@testable import EdgeNode

/// Where the lines of the access log go: whatever is done to it while loops write, each line is whole, once, and in
/// the file that was the log's when it was written.
@Suite struct AccessLogTests {
    /// A folder of its own, gone at the end.
    private static func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = NSTemporaryDirectory() + "access-log-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder + "/")
    }

    /// Loops that write numbered lines as fast as they can.
    private final class Writers: Sendable {
        private let isOver = Atomic<Bool>(false)
        private let written: [Counter]
        private let group = DispatchGroup()

        final class Counter: Sendable {
            let count = Atomic<Int>(0)
        }

        init(_ lanes: [AccessLane]) {
            written = lanes.map { _ in Counter() }
            for (number, lane) in lanes.enumerated() {
                let counter = written[number]
                group.enter()
                Thread.detachNewThread { [self] in
                    while !isOver.load(ordering: .relaxed) {
                        let next = counter.count.load(ordering: .relaxed)
                        AccessLogTests.append("\(number)-\(next)", to: lane)
                        counter.count.store(next + 1, ordering: .releasing)
                        // What a loop's memory has no room for is dropped: on a busy machine the writer gets its turn.
                        while next % 200 == 199, !lane.isEmpty { sched_yield() }
                    }
                    group.leave()
                }
            }
        }

        /// The lines that each has surely written by now.
        var counts: [Int] { written.map { $0.count.load(ordering: .acquiring) } }

        func stop() -> [Int] {
            isOver.store(true, ordering: .relaxed)
            group.wait()
            return counts
        }

        /// Until each has written `more` lines.
        func waitForLines(_ more: Int) {
            let start = counts
            while zip(counts, start).contains(where: { $0 - $1 < more }) { sched_yield() }
        }
    }

    private static func append(_ name: String, to lane: AccessLane) {
        lane.append(
            head: RequestHead(), client: ClientAddress(text: Array(name.utf8)), site: [],
            facts: AccessFacts(),
            now: WallTime(seconds: 1_795_252_350))
    }

    /// Loop and number of each line of a file, of either format; anything else is an issue.
    private static func lines(_ path: String) throws -> [(loop: Int, number: Int)] {
        let text = try String(contentsOfFile: path, encoding: .utf8)
        #expect(text.isEmpty || text.hasSuffix("\n"))
        return text.split(separator: "\n").compactMap { line in
            var name = line.prefix { $0 != " " }
            if line.hasPrefix("{") {
                let record = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
                name = (record?["client"] as? String ?? "")[...]
            }
            let parts = name.split(separator: "-").compactMap { Int($0) }
            guard parts.count == 2, line.hasPrefix("{") ? line.hasSuffix("}") : line.hasSuffix(" error")
            else {
                Issue.record("no line: \(line)")
                return nil
            }
            return (parts[0], parts[1])
        }
    }

    /// That the files have the lines of all loops, each once and in order, and those before `marks[i]` (a count for
    /// each loop) not after file i, those from `marks[i]` on not before file i + 1.
    private static func check(_ paths: [String], total: [Int], before: [[Int]], after: [[Int]]) throws {
        let files = try paths.map { try lines($0) }
        for loop in total.indices {
            let found = files.flatMap { $0.filter { $0.loop == loop }.map(\.number) }
            let isComplete = found.elementsEqual(0..<total[loop])
            #expect(isComplete, "\(found.count) of \(total[loop]) lines")
            for (place, file) in files.enumerated() {
                let numbers = file.filter { $0.loop == loop }.map(\.number)
                if place > 0, let first = numbers.first { #expect(first >= before[place - 1][loop]) }
                if place < after.count, let last = numbers.last { #expect(last < after[place][loop]) }
            }
        }
    }

    private static func reopen(_ log: AccessLog) async -> AccessLogError? {
        await withCheckedContinuation { continuation in log.reopen { continuation.resume(returning: $0) } }
    }

    @Test func `after a rename each line is in the old file or the new one, by its time`() async throws {
        try await Self.withFolder { folder in
            let path = folder + "access.log"
            let log = try AccessLog(.file(path), format: .json)
            let writers = Writers((0..<4).map { _ in log.lane() })
            var paths: [String] = []
            var before: [[Int]] = []
            var after: [[Int]] = []
            for round in 0..<12 {
                writers.waitForLines(40)
                let old = "\(path).\(round)"
                #expect(rename(path, old) == 0)
                before.append(writers.counts)
                #expect(await Self.reopen(log) == nil)
                // By now the new file is there, so the old one is complete.
                #expect(FileManager.default.fileExists(atPath: path))
                after.append(writers.counts.map { $0 + 1 })
                paths.append(old)
            }
            writers.waitForLines(40)
            let total = writers.stop()
            log.close()
            #expect(log.droppedLines == 0)
            try Self.check(paths + [path], total: total, before: before, after: after)
        }
    }

    @Test func `a new path takes the lines from then on, with the new format, and off takes none`()
        async throws
    {
        try await Self.withFolder { folder in
            let log = try AccessLog(.file(folder + "0"), format: .json)
            let writers = Writers((0..<3).map { _ in log.lane() })
            var before: [[Int]] = []
            var after: [[Int]] = []
            for round in 1...8 {
                writers.waitForLines(40)
                before.append(writers.counts)
                try log.change(to: .file(folder + "\(round)"), format: round % 2 == 0 ? .json : .combined)
                after.append(writers.counts.map { $0 + 1 })
            }
            writers.waitForLines(40)
            let total = writers.stop()
            try log.change(to: .off, format: .json)
            let lane = log.lane()
            Self.append("9-0", to: lane)
            try log.change(to: .file(folder + "9"), format: .json)
            Self.append("9-1", to: lane)
            log.close()
            #expect(log.droppedLines == 0)
            try Self.check((0...8).map { folder + "\($0)" }, total: total, before: before, after: after)
            #expect(try Self.lines(folder + "9").map(\.number) == [1])
            for round in 0...8 {
                let text = try String(contentsOfFile: folder + "\(round)", encoding: .utf8)
                #expect(text.hasPrefix("{") == (round % 2 == 0))
            }
        }
    }

    @Test func `a file that cannot be opened changes nothing`() async throws {
        try await Self.withFolder { folder in
            let log = try AccessLog(.file(folder + "a"), format: .json)
            let lane = log.lane()
            #expect(throws: AccessLogError.self) {
                try log.change(to: .file(folder + "missing/b"), format: .combined)
            }
            #expect(log.path == folder + "a")
            Self.append("0-0", to: lane)
            log.close()
            let text = try String(contentsOfFile: folder + "a", encoding: .utf8)
            #expect(text.hasPrefix("{") && text.hasSuffix("}\n"))
        }
    }

    @Test func `a last line that a kill cut stays alone`() async throws {
        try await Self.withFolder { folder in
            let path = folder + "a"
            try Data("{\"time\":\"20".utf8).write(to: URL(fileURLWithPath: path))
            let log = try AccessLog(.file(path), format: .json)
            let lane = log.lane()
            Self.append("0-0", to: lane)
            #expect(await Self.reopen(log) == nil)
            Self.append("0-1", to: lane)
            log.close()
            let lines = try String(contentsOfFile: path, encoding: .utf8).split(
                separator: "\n", omittingEmptySubsequences: false)
            #expect(lines.count == 4)
            #expect(lines[0] == "{\"time\":\"20")
            #expect(lines[1].hasSuffix("}") && lines[2].hasSuffix("}") && lines[3].isEmpty)
        }
    }
}
