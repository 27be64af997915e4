import EdgeHTTP
import EdgePolicy
import Testing

/// How much of a list counts: of a client's, and of an origin's.
@Suite struct `Counted lists` {
    private func list(_ count: Int, _ member: (Int) -> String) -> String {
        (0..<count).map(member).joined(separator: ", ")
    }

    private func trimmed(_ fields: [(String, String)], _ method: Method = .get) -> [String] {
        var section = FieldSection(fields)
        CountedLists.trim(&section, method: method)
        return section.lines.map {
            String(decoding: section.nameBytes($0), as: UTF8.self) + ": "
                + String(decoding: section.value($0), as: UTF8.self)
        }
    }

    @Test(arguments: [
        "Accept", "accept-charset", "Accept-Encoding", "Accept-Language", "TE", "Cache-Control",
    ])
    func `of preferences 32 members count, and the rest goes no further`(name: String) {
        let all = list(32) { "m\($0)" }
        #expect(trimmed([(name, all)], .post) == ["\(name): \(all)"])
        #expect(trimmed([(name, all + " ,, m32, m33")], .post) == ["\(name): \(all)"])
        #expect(trimmed([(name, all + " ,, ")]) == ["\(name): \(all) ,, "])
        let lines = [
            (name, list(20) { "m\($0)" }), ("X", "1"), (name, list(20) { "n\($0)" }), (name, "last"),
        ]
        let last = list(12) { "n\($0)" }
        #expect(trimmed(lines) == ["\(name): \(lines[0].1)", "X: 1", "\(name): \(last)"])
    }

    @Test func `a comma in quotes separates nothing, unless the quotes are open`() {
        let quoted = list(30) { "a/b\($0);c=\"d,e\\\",f\"" }
        #expect(trimmed([("Accept", quoted)]) == ["Accept: \(quoted)"])
        let open = "x=\"y, " + list(40) { "m\($0)" }
        let counted = list(31) { "m\($0)" }
        #expect(trimmed([("Cache-Control", open)]) == ["Cache-Control: x=\"y, \(counted)"])
    }

    @Test func `of entity-tags 128 count, except where a method depends on all of them`() {
        let all = list(128) { "\"a,\($0)\\\"" }
        for name in ["If-Match", "If-None-Match"] {
            #expect(trimmed([(name, all + ", \"b\"")]) == ["\(name): \(all)"])
            #expect(trimmed([(name, all + ", \"b\"")], .put) == ["\(name): \(all), \"b\""])
        }
        let stored = FieldSection([("ETag", "\"x\"")])
        func outcome(_ before: Int) -> Preconditions.Outcome {
            let request = FieldSection([("If-None-Match", list(before) { "\"\($0)\"" } + ", \"x\"")])
            return Preconditions.evaluate(request: request, method: .get, status: 200, stored: stored)
        }
        #expect(outcome(127) == .notModified)
        #expect(outcome(128) == .none)
    }

    @Test func `127 ranges are answered with those parts, and 129 with the whole`() {
        func fields(_ count: Int) -> [(String, String)] {
            [("Range", "bytes=" + list(count) { "\($0 * 10)-\($0 * 10 + 4)" }), ("If-Range", "\"x\"")]
        }
        func plan(_ count: Int) -> RangePlan {
            let value = Array(fields(count)[0].1.utf8)[...]
            return RangePlan(range: value, ifRangeHolds: true, length: 10_000)
        }
        for count in [20, 127, 128] {
            let expected: [Range<Int64>] = (0..<Int64(count)).map { $0 * 10..<$0 * 10 + 5 }
            #expect(plan(count) == .multiple(expected))
            #expect(trimmed(fields(count)).count == 2)
        }
        #expect(plan(129) == .whole)
        #expect(trimmed(fields(129)) == [])
        #expect(trimmed(fields(129), .put).count == 2)
    }

    @Test func `what does not count selects nothing`() throws {
        let rule = try #require(
            VaryRule.parse(FieldSection([("Vary", "Accept, Accept-Charset, Accept-Encoding")])))
        func request(_ count: Int, _ last: String) -> FieldSection {
            FieldSection(
                ["Accept", "Accept-Charset", "Accept-Encoding"].map {
                    ($0, list(count) { "m\($0)" } + ", " + last)
                })
        }
        let key = SecondaryKey(rule: rule, request: request(32, "a"))
        #expect(key.matches(request(32, "b")))
        #expect(!SecondaryKey(rule: rule, request: request(31, "a")).matches(request(31, "b")))
    }

    @Test func `the origin gets what counts`() throws {
        var parser = RequestParser()
        var head = RequestHead()
        let text = "GET / HTTP/1.1\r\nHost: a.test\r\nAccept-Encoding: " + list(40) { "m\($0)" } + "\r\n\r\n"
        let outcome = Array(text.utf8).withUnsafeBytes { parser.parse($0, into: &head) }
        #expect(outcome == .complete(consumed: text.utf8.count))
        let context = ForwardContext(
            nodeID: [97], clientAddress: Array("192.0.2.1".utf8), scheme: "http", host: Array("a.test".utf8),
            isCacheable: true)
        let sent = ForwardedFields.rewriteRequest(head: head, context: context)
        let expected = Array(list(32) { "m\($0)" }.utf8)
        #expect(sent.first(.acceptEncoding).map(Array.init) == expected)
    }

    // MARK: An origin's

    private typealias Fixture = ResponseFixture

    @Test func `a response that varies by more than 64 names fits nothing`() {
        #expect(VaryRule.parse(FieldSection([("Vary", list(64) { "x-\($0)" })]))?.names.count == 64)
        let lines = [("Vary", list(40) { "x-\($0)" }), ("Vary", list(25) { "y-\($0)" })]
        #expect(VaryRule.parse(FieldSection(lines))?.isStar == true)
        let vary = list(65) { "x-\($0)" }
        #expect(Fixture.reason(200, ["Cache-Control: max-age=9", "Vary: \(vary)"]) == .varyStar)
    }

    @Test(arguments: ["Cache-Control", "CDN-Cache-Control"])
    func `more than 64 directives say no-store`(name: String) {
        let others = ["max-age=60", "public", "must-understand"]
        let count = 64 - others.count
        func line(_ more: Int) -> String {
            "\(name): " + (others + (0..<(count + more)).map { "x\($0)" }).joined(separator: ", ")
        }
        #expect(Fixture.isReused(200, [line(0)]))
        #expect(Fixture.reason(200, [line(1)]) == .noStore)
        #expect(Fixture.reason(200, [line(0), "\(name): a"]) == .noStore)
    }

    @Test func `a qualified directive with more than 64 names counts without them`() {
        func line(_ count: Int) -> [String] {
            ["Cache-Control: max-age=60, private=\"" + list(count) { "x\($0)" } + "\""]
        }
        #expect(Fixture.isReused(200, line(64)))
        #expect(Fixture.reason(200, line(65)) == .private)
        let twice = line(40)[0] + ", private=\"" + list(40) { "y\($0)" } + "\""
        #expect(Fixture.reason(200, [twice]) == .private)
    }

    @Test func `16384 tags in 128 KiB count, and with more the response is not kept`() {
        let fresh = "Cache-Control: max-age=60"
        let tags = (0..<16_384).map { "t\($0)" }
        let half = tags.prefix(8_192).joined(separator: " ")
        let other = tags.suffix(8_192).joined(separator: ",")
        let all = [fresh, "Surrogate-Key: \(half)", "Cache-Tag: \(other)"]
        #expect(Fixture.isReused(200, all))
        #expect(SurrogateKey.tags(Fixture.head(200, all).fields).count == 16_384)
        #expect(Fixture.reason(200, all + ["Cache-Tag: one more"]) == .tooManyTags)
        #expect(Fixture.isReused(200, [fresh, "Cache-Tag: " + String(repeating: "a", count: 128 * 1024)]))
        #expect(
            Fixture.reason(200, [fresh, "Cache-Tag: " + String(repeating: "a", count: 128 * 1024 + 1)])
                == .tooManyTags)
    }

    @Test func `a head with 128 KiB of tags is taken from an origin`() {
        var parser = ResponseHeadParser()
        let tags = "Cache-Tag: " + String(repeating: "tag,", count: 16_384) + "\r\n"
        var result: ResponseHeadParser.Event?
        for line in ["HTTP/1.1 200 OK\r\n", tags, tags, "\r\n"] {
            result = Array(line.utf8).withUnsafeBufferPointer { parser.read(line: $0) }
        }
        guard case .head(let head) = result else {
            Issue.record("refused: \(String(describing: result))")
            return
        }
        #expect(head.fields.count == 2)
    }
}
