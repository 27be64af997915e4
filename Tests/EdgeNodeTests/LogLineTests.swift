import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import Foundation
import Testing

@testable import EdgeNode

/// The text of the access log: nothing that a client sends breaks a line or a field.
@Suite struct LogLineTests {
    private func write(capacity: Int = 4_096, _ body: (inout LogLine) -> Void) -> [UInt8] {
        let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity + 16)
        defer { memory.deallocate() }
        memory.update(repeating: 0xaa, count: capacity + 16)
        var line = LogLine(memory, capacity: capacity)
        body(&line)
        #expect(line.count <= capacity)
        #expect((capacity..<capacity + 16).allSatisfy { memory[$0] == 0xaa }, "written past the end")
        return Array(UnsafeBufferPointer(start: memory, count: line.count))
    }

    private func parse(_ json: [UInt8]) throws -> String? {
        try JSONSerialization.jsonObject(with: Data(json), options: .fragmentsAllowed) as? String
    }

    @Test func `every byte at every place of a group survives as JSON`() throws {
        for byte in UInt8.min..<128 {
            for position in 0..<17 {
                var bytes = [UInt8](repeating: UInt8(ascii: "x"), count: 17)
                bytes[position] = byte
                let json = write { $0.json(bytes) }
                #expect(try parse(json) == String(decoding: bytes, as: UTF8.self))
                #expect(json.allSatisfy { $0 >= 32 && $0 < 127 })
            }
        }
    }

    @Test func `random bytes become what a lenient decoder makes of them`() throws {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<5_000 {
            let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ -> UInt8 in
                // Mostly what is near the borders of UTF-8's tables.
                let borders: [UInt8] = [
                    0x22, 0x5c, 0x7f, 0x80, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xe2, 0xed, 0xef, 0xf0,
                    0xf4,
                    0xf5, 0x41,
                ]
                return Bool.random(using: &random)
                    ? borders.randomElement(using: &random) ?? 0 : UInt8.random(in: 0...255, using: &random)
            }
            let json = write { $0.json(bytes) }
            let text = try #require(try parse(json))
            #expect(json.allSatisfy { $0 >= 32 && $0 != 127 })
            // Decoders differ in how many U+FFFD a broken sequence gives, and in nothing else.
            func withoutMarks(_ text: String) -> [Unicode.Scalar] {
                text.unicodeScalars.filter { $0 != "\u{fffd}" }
            }
            #expect(withoutMarks(text) == withoutMarks(String(decoding: bytes, as: UTF8.self)))
        }
    }

    @Test func `C1 controls and line separators are escaped`() throws {
        let text = "a\u{85}\u{9b}31m\u{2028}\u{2029}é\u{a0}"
        let json = write { $0.json(Array(text.utf8)) }
        #expect(String(decoding: json, as: UTF8.self) == "\"a\\u0085\\u009b31m\\u2028\\u2029é\u{a0}\"")
    }

    @Test(arguments: [
        "\u{202e}", "\u{2066}", "\u{200b}", "\u{200d}", "\u{feff}", "\u{ad}", "\u{61c}", "\u{e0041}",
        "\u{fe0f}",
        "\u{3164}", "\u{e000}",
    ])
    func `characters that turn, join or hide text are escaped, and come back`(_ character: String) throws {
        let text = "a\(character)b"
        let json = write { $0.json(Array(text.utf8)) }
        #expect(json.allSatisfy { $0 >= 0x20 && $0 < 0x7f }, "\(String(decoding: json, as: UTF8.self))")
        #expect(try parse(json) == text)
    }

    @Test(arguments: [0, 1, 2, 3, 4, 5, 6, 7, 8, 30])
    func `what is longer than its limit is cut between characters, and says by how much`(_ limit: Int) throws
    {
        let text = Array("aé中🐚\"\u{202e}xyz".utf8)
        let json = try #require(try parse(write { $0.json(text, limit: limit) }))
        let escaped = String(decoding: write { $0.escaped(text, limit: limit) }, as: UTF8.self)
        guard limit < text.count else {
            #expect(json == String(decoding: text, as: UTF8.self))
            #expect(!escaped.contains("...(+"))
            return
        }
        #expect(!json.unicodeScalars.contains("\u{fffd}"))
        let kept = json.prefix { $0 != "." }
        #expect(kept.utf8.count <= limit && kept.utf8.count > limit - 4)
        #expect(json.hasSuffix("...(+\(text.count - kept.utf8.count))"))
        #expect(escaped.hasSuffix("...(+\(text.count - kept.utf8.count))"))
        // Bytes that are no UTF-8 at all have no place to be cut at but the limit.
        let continuations = [UInt8](repeating: 0x80, count: 40)
        #expect(
            try parse(write { $0.json(continuations, limit: limit) })?.hasSuffix("(+\(40 - limit))") == true)
    }

    @Test func `the combined format escapes all but printable ASCII`() {
        let bytes = Array("GET /plain-and-long \"q\" \\ ".utf8) + [0, 9, 10, 13, 27, 127, 128, 255]
        let text = String(decoding: write { $0.escaped(bytes) }, as: UTF8.self)
        #expect(text == #"GET /plain-and-long \x22q\x22 \x5c \x00\x09\x0a\x0d\x1b\x7f\x80\xff"#)
        #expect(write { $0.escapedOrHyphen(nil) } == [45])
    }

    @Test(arguments: [0, 9, 10, 99, 100, 12_345, 999_999_999_999_999_999, .max, -1, .min] as [Int64])
    func `decimals`(_ value: Int64) {
        #expect(write { $0.decimal(value) } == Array(String(value).utf8))
    }

    @Test func `what does not fit is not written`() {
        for capacity in 0..<40 {
            _ = write(capacity: capacity) { line in
                line.literal("0123456789")
                line.json(Array("abc\"def".utf8))
                line.escaped(Array("\u{7}bc".utf8))
                line.decimal(.min)
                #expect(line.isFull)
            }
        }
    }

    // MARK: Lanes

    private func lines(_ format: AccessLog.Format, _ append: (AccessLane) -> Void) throws -> [String] {
        let lane = AccessLane(format: format, wake: try AccessLogWake())
        append(lane)
        guard let batch = lane.take({ LineBuffer() }) else { return [] }
        let bytes = UnsafeBufferPointer(start: batch.buffer.memory, count: batch.count)
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(text.hasSuffix("\n"))
        #expect(text.split(separator: "\n").count == Int(batch.lines))
        return text.split(separator: "\n").map(String.init)
    }

    @Test func `the time is that of the line, not of the one before`() throws {
        let client = ClientAddress(text: Array("2001:db8::1".utf8))
        let facts = AccessFacts()
        let times: [Int64] = [1_795_252_350_007, 1_795_252_350_999, 1_795_252_351_000, 951_782_400_000]
        let found = try lines(.json) { lane in
            for time in times {
                lane.append(
                    head: RequestHead(), client: client, site: [], facts: facts,
                    now: WallTime(milliseconds: time))
            }
        }
        #expect(
            found.map { String($0.dropFirst(9).prefix(24)) } == [
                "2026-11-21T09:12:30.007Z", "2026-11-21T09:12:30.999Z", "2026-11-21T09:12:31.000Z",
                "2000-02-29T00:00:00.000Z",
            ])
        let combined = try lines(.combined) { lane in
            lane.append(
                head: RequestHead(), client: client, site: [], facts: facts,
                now: WallTime(milliseconds: times[0]))
        }
        #expect(
            combined == ["2001:db8::1 - - [21/Nov/2026:09:12:30 +0000] \"  HTTP/1.1\" 0 0 \"-\" \"-\" error"])
    }

    @Test(arguments: AccessLog.Format.allCases, [UInt8(ascii: "x"), 0x22, 0x80, 0xe2])
    func `whatever a client sends, a line is whole and of bounded length`(
        _ format: AccessLog.Format, _ byte: UInt8
    ) throws {
        let long = [UInt8](repeating: byte, count: 60_000)
        let name = String(repeating: "a", count: 6_000)
        var limits = RequestLimits()
        limits.maxTargetBytes = 1 << 20
        limits.maxHeadBytes = 1 << 20
        var head = RequestHead()
        var parser = RequestParser(limits: limits)
        let text =
            Array("\(name) /\(name) HTTP/1.1\r\nHost: \(name)\r\nReferer: ".utf8) + long
            + Array("\r\nUser-Agent: ".utf8) + long + Array("\r\n\r\n".utf8)
        guard case .complete = text.withUnsafeBytes({ parser.parse($0, into: &head) }) else {
            Issue.record("not parsed")
            return
        }
        let client = ClientAddress(text: Array("192.0.2.1".utf8))
        let found = try lines(format) { lane in
            for _ in 0..<3 {
                lane.append(
                    head: head, client: client, site: [], facts: AccessFacts(), now: WallTime(seconds: 0))
            }
        }
        try #require(found.count == 3)
        for line in found {
            #expect(line.utf8.count < 32_768)
            guard format == .json else { continue }
            let record = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            for name in ["method", "target", "host", "referer", "userAgent"] {
                #expect((record?[name] as? String)?.contains("...(+") == true, "\(name)")
            }
        }
    }

    @Test func `a lane that nobody empties drops lines and counts them`() throws {
        let lane = AccessLane(format: .json, wake: try AccessLogWake())
        let client = ClientAddress(text: Array("192.0.2.1".utf8))
        var appended: UInt64 = 0
        while lane.droppedLines < 10 {
            lane.append(
                head: RequestHead(), client: client, site: [], facts: AccessFacts(), now: WallTime(seconds: 0)
            )
            appended += 1
            #expect(appended < 100_000)
        }
        let batch = try #require(lane.take { LineBuffer() })
        #expect(batch.lines + 10 == appended)
        #expect(batch.count <= LineBuffer.capacity)
        #expect(batch.buffer.memory[batch.count - 1] == 10)
        #expect(lane.isEmpty)
    }
}
