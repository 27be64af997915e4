import EdgeHTTP
import Testing

struct ResponseParserTests {
    /// What comes of a section that arrives line by line.
    private func parse(_ lines: [String]) -> ResponseHeadParser.Event {
        var parser = ResponseHeadParser()
        var last = ResponseHeadParser.Event.needMore
        for line in lines {
            last = Array(line.utf8).withUnsafeBufferPointer { parser.read(line: $0) }
            if case .refused = last { return last }
        }
        return last
    }

    @Test func `reads a head with an unknown status and an empty phrase`() throws {
        let event = parse(["HTTP/1.1 999\r\n", "Content-Length: 3\r\n", "X:\t a b \r\n", "\r\n"])
        guard case .head(let head) = event else {
            Issue.record("not a head: \(event)")
            return
        }
        #expect(head.status == 999)
        #expect(head.fields.count == 2)
        #expect(Array(head.fields.value(head.fields.lines[1])) == Array("a b".utf8))
    }

    @Test func `an interim head is followed by the final one`() {
        var parser = ResponseHeadParser()
        var statuses: [Int] = []
        for line in ["HTTP/1.1 103 Early Hints\r\n", "Link: </a>\r\n", "\r\n", "HTTP/1.1 200 OK\r\n", "\r\n"]
        {
            let event = Array(line.utf8).withUnsafeBufferPointer { parser.read(line: $0) }
            if case .head(let head) = event { statuses.append(head.status) }
        }
        #expect(statuses == [103, 200])
    }

    @Test(arguments: [
        (["HTTP/1.1 200 OK\n"], ResponseRefusal.bareLineFeed),
        (["HTTP/1.1 200 OK\r\n", "A: b\n"], .bareLineFeed),
        (["HTTP/1.1 200 OK\r\n", "A: b\rc\r\n"], .bareCarriageReturn),
        (["HTTP/2 200\r\n"], .versionNotSupported),
        (["HTTP/1.2 200 OK\r\n"], .versionNotSupported),
        (["HTTP/1.1 20 OK\r\n"], .malformedStatusLine),
        (["HTTP/1.1 2000 OK\r\n"], .malformedStatusLine),
        (["ICY 200 OK\r\n"], .malformedStatusLine),
        (["HTTP/1.1 101 Switching\r\n"], .switchingProtocols),
        (["HTTP/1.1 200 OK\r\n", " folded\r\n"], .foldedLine),
        (["HTTP/1.1 200 OK\r\n", "A : b\r\n"], .malformedFieldName),
        (["HTTP/1.1 200 OK\r\n", "nonsense\r\n"], .malformedFieldName),
        (["HTTP/1.1 200 OK\r\n", "A: b\u{1}\r\n"], .malformedFieldValue),
        (["HTTP/1.1 200 OK\r\n", "Content-Length: 5, 5\r\n"], .malformedLength),
        (["HTTP/1.1 200 OK\r\n", "Content-Length: +5\r\n"], .malformedLength),
        (["HTTP/1.1 200 OK\r\n", "Content-Length: 5\r\n", "Content-Length: 6\r\n"], .differingLengths),
        (
            ["HTTP/1.1 200 OK\r\n", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "\r\n"],
            .lengthAndCoding
        ),
        (["HTTP/1.0 200 OK\r\n", "Transfer-Encoding: chunked\r\n", "\r\n"], .codingInHTTP10),
        (["HTTP/1.1 200 OK\r\n", "Transfer-Encoding: gzip\r\n"], .malformedCoding),
        (
            ["HTTP/1.1 200 OK\r\n", "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\n"],
            .malformedCoding
        ),
    ])
    func `refuses what libcurl would accept`(lines: [String], refusal: ResponseRefusal) {
        guard case .refused(let reason) = parse(lines) else {
            Issue.record("accepted: \(lines)")
            return
        }
        #expect(reason == refusal)
    }

    @Test func `bounds the section and the number of fields`() {
        let many = ["HTTP/1.1 200 OK\r\n"] + (0...ResponseHeadParser.maxFields).map { "A\($0): b\r\n" }
        guard case .refused(.tooManyFields) = parse(many) else {
            Issue.record("too many fields were accepted")
            return
        }
        let long = String(repeating: "x", count: ResponseHeadParser.maxSectionBytes)
        guard case .refused(.headTooLarge) = parse(["HTTP/1.1 200 OK\r\n", "A: \(long)\r\n"]) else {
            Issue.record("a section over the limit was accepted")
            return
        }
    }

    /// How many interim heads with these field lines are read before one is refused, and why.
    private func interims(_ lines: [String], atMost limit: Int) -> (count: Int, refusal: ResponseRefusal?) {
        var parser = ResponseHeadParser()
        for count in 0..<limit {
            for line in ["HTTP/1.1 103 Early Hints\r\n"] + lines + ["\r\n"] {
                let event = Array(line.utf8).withUnsafeBufferPointer { parser.read(line: $0) }
                if case .refused(let refusal) = event { return (count, refusal) }
            }
        }
        return (limit, nil)
    }

    @Test func `interim heads are bounded in count and in bytes together`() {
        let few = interims([], atMost: ResponseHeadParser.maxInterims)
        #expect(few.refusal == nil)
        let many = interims([], atMost: 1_000)
        #expect(many.count == ResponseHeadParser.maxInterims)
        #expect(many.refusal == .tooManyInterims)
        let large = interims(["Link: \(String(repeating: "x", count: 16_000))\r\n"], atMost: 1_000)
        #expect(large.count == 4)
        #expect(large.refusal == .tooManyInterims)
    }

    @Test func `interim heads take nothing from what the final one may have`() {
        var parser = ResponseHeadParser()
        let long = "A: " + String(repeating: "x", count: 60_000) + "\r\n"
        for line in ["HTTP/1.1 103 Early Hints\r\n", long, "\r\n", "HTTP/1.1 200 OK\r\n", long] {
            let event = Array(line.utf8).withUnsafeBufferPointer { parser.read(line: $0) }
            if case .refused(let refusal) = event { Issue.record("refused: \(refusal)") }
        }
    }
}
