import EdgeHTTP
import Testing

/// Reads `text` as the start of a connection.
private func parse(_ text: String, limits: RequestLimits = RequestLimits()) -> (
    RequestParser.Outcome, RequestHead
) {
    var parser = RequestParser(limits: limits)
    var head = RequestHead()
    let bytes = Array(text.utf8)
    let outcome = bytes.withUnsafeBytes { parser.parse($0, into: &head) }
    return (outcome, head)
}

private func text(_ bytes: some Sequence<UInt8>) -> String { String(decoding: Array(bytes), as: UTF8.self) }

struct RequestParserTests {
    @Test func `reads a request and leaves what follows it`() throws {
        let first = "GET /a/b?c=d HTTP/1.1\r\nHost: Example.org:8080\r\nX-One:  two \t\r\n\r\n"
        let (outcome, head) = parse(first + "GET / HTTP/1.1\r\n")
        #expect(outcome == .complete(consumed: first.utf8.count))
        #expect(head.method == .get)
        #expect(text(head.path) == "/a/b")
        #expect(head.query.map { text($0) } == "c=d")
        #expect(text(head.pathAndQuery) == "/a/b?c=d")
        #expect(head.authority.map { text($0) } == "Example.org:8080")
        #expect(head.fields.count == 2)
        #expect(text(head.fields.value(head.fields.lines[1])) == "two")
        #expect(head.keepAlive)
        #expect(head.framing == .none)
    }

    @Test func `a head that comes a byte at a time is read once it is whole`() {
        let bytes = Array("\r\nPOST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n".utf8)
        var parser = RequestParser()
        var head = RequestHead()
        for count in 1..<bytes.count {
            let outcome = bytes[0..<count].withUnsafeBytes { parser.parse($0, into: &head) }
            #expect(outcome == .incomplete, "after \(count) bytes")
        }
        let outcome = bytes.withUnsafeBytes { parser.parse($0, into: &head) }
        #expect(outcome == .complete(consumed: bytes.count))
        #expect(head.framing == .length(5))
    }

    @Test func `one head is reused without a trace of the request before`() {
        var parser = RequestParser()
        var head = RequestHead()
        let first = Array(
            "PUT http://a.example/x?y HTTP/1.0\r\nHost: a.example\r\nContent-Length: 3\r\nRange: x\r\n\r\n"
                .utf8)
        _ = first.withUnsafeBytes { parser.parse($0, into: &head) }
        #expect(head.isAbsoluteForm)
        let second = Array("GET / HTTP/1.1\r\nHost: b\r\n\r\n".utf8)
        _ = second.withUnsafeBytes { parser.parse($0, into: &head) }
        #expect(!head.isAbsoluteForm)
        #expect(head.query == nil)
        #expect(head.framing == .none)
        #expect(head.fields.count == 1)
        #expect(!head.names.contains(.range))
        #expect(head.authority.map { text($0) } == "b")
    }

    @Test(arguments: [
        ("GET / HTTP/1.1\nHost: h\r\n\r\n", RequestRefusal.bareLineFeed),
        ("GET / HTTP/1.1\r\nHost: h\n\r\n", .bareLineFeed),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n", .bareCarriageReturn),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", .foldedLine),
        ("GET / HTTP/1.1\r\n Host: h\r\n\r\n", .spaceBeforeFirstField),
        ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", .malformedFieldName),
        ("GET / HTTP/1.1\r\nHost: h\r\n: v\r\n\r\n", .malformedFieldName),
        ("GET / HTTP/1.1\r\nHost: h\r\nA\r\n\r\n", .malformedFieldName),
        ("GET / HTTP/1.1\r\nHost: h\r\nA(: v\r\n\r\n", .malformedFieldName),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n", .malformedFieldValue),
        ("GET / HTTP/1.1\r\nHost: h\r\nA: b\u{7f}\r\n\r\n", .malformedFieldValue),
        ("GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", .duplicateHost),
        ("GET / HTTP/1.1\r\n\r\n", .missingHost),
        ("GET / HTTP/1.1\r\nHost: h/x\r\n\r\n", .malformedHost),
        ("GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", .malformedHost),
        ("GET / HTTP/1.1\r\nHost: h:99999\r\n\r\n", .malformedHost),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", .malformedHost),
        ("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", .hostMismatch),
        ("GET http:/// HTTP/1.1\r\nHost: b\r\n\r\n", .malformedTarget),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", .malformedTarget),
        ("GET x HTTP/1.1\r\nHost: a\r\n\r\n", .malformedTarget),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", .malformedTarget),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", .malformedTarget),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", .malformedTarget),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", .malformedRequestLine),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", .malformedRequestLine),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", .versionNotSupported),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", .malformedMethod),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", .malformedMethod),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            .lengthAndCoding
        ),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", .differingLengths),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\n", .malformedLength),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\n", .malformedLength),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\n", .malformedLength),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", .malformedLength),
        ("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n", .malformedLength),
        ("POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", .codingInHTTP10),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", .unknownCoding),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", .malformedCoding),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: ,chunked\r\n\r\n", .malformedCoding),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", .malformedCoding),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked;q=1\r\n\r\n", .malformedCoding),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n", .malformedCoding),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            .malformedCoding
        ),
        ("POST / HTTP/1.1\r\nHost: h\r\nExpect: tea\r\nContent-Length: 1\r\n\r\n", .unknownExpectation),
    ])
    func `refuses what two recipients could read in two ways`(request: String, refusal: RequestRefusal) {
        #expect(parse(request).0 == .refused(refusal))
    }

    @Test(arguments: [
        (RequestRefusal.malformedTarget, 400), (.targetTooLong, 414), (.tooManyFields, 431),
        (.headTooLarge, 431),
        (.unknownCoding, 501), (.versionNotSupported, 505), (.unknownExpectation, 417), (.headTimeout, 408),
    ])
    func `a refusal has its status`(refusal: RequestRefusal, status: Int) {
        #expect(refusal.status == status)
    }

    @Test func `limits hold for heads that are not yet whole`() {
        let target = "GET /" + String(repeating: "a", count: 9_000)
        #expect(parse(target).0 == .refused(.targetTooLong))
        #expect(parse(target + " HTTP/1.1\r\nHost: h\r\n\r\n").0 == .refused(.targetTooLong))
        let fields = String(repeating: "A: b\r\n", count: 128)
        #expect(parse("GET / HTTP/1.1\r\nHost: h\r\n\(fields)\r\n").0 == .refused(.tooManyFields))
        let large = "GET / HTTP/1.1\r\nHost: h\r\nA: " + String(repeating: "b", count: 17_000)
        #expect(parse(large).0 == .refused(.headTooLarge))
        #expect(parse(large + "\r\n\r\n").0 == .refused(.headTooLarge))
    }

    @Test(arguments: [
        ("HTTP/1.1", "", true), ("HTTP/1.1", "Connection: close\r\n", false), ("HTTP/1.0", "", false),
        ("HTTP/1.0", "Connection: Keep-Alive\r\n", true), ("HTTP/1.1", "Connection: x, CLOSE\r\n", false),
    ])
    func `persistence follows version and Connection`(version: String, field: String, persists: Bool) {
        let (outcome, head) = parse("GET / \(version)\r\nHost: h\r\n\(field)\r\n")
        guard case .complete = outcome else {
            Issue.record("not read: \(outcome)")
            return
        }
        #expect(head.keepAlive == persists)
    }

    @Test func `HTTP 1.0 needs no Host and OPTIONS may ask for the server`() {
        #expect(parse("GET / HTTP/1.0\r\n\r\n").1.authority == nil)
        let (outcome, head) = parse("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")
        guard case .complete = outcome else {
            Issue.record("not read: \(outcome)")
            return
        }
        #expect(text(head.path) == "*")
    }
}

struct ChunkedDecoderTests {
    /// The content and end of a body that comes in pieces of `step` bytes.
    private func decode(_ body: String, step: Int) -> (
        content: String, consumed: Int?, trailers: FieldSection
    )? {
        var decoder = ChunkedDecoder()
        var content: [UInt8] = []
        let bytes = Array(body.utf8)
        var start = 0
        while start < bytes.count {
            let piece = Array(bytes[start..<min(start + step, bytes.count)])
            var offset = 0
            reading: while true {
                switch piece.withUnsafeBytes({ decoder.next($0, from: &offset) }) {
                case .content(let range): content += piece[range]
                case .end(let consumed):
                    return (String(decoding: content, as: UTF8.self), start + consumed, decoder.trailers)
                case .needMore: break reading
                case .malformed: return nil
                }
            }
            start += step
        }
        return (String(decoding: content, as: UTF8.self), nil, decoder.trailers)
    }

    @Test(arguments: [1, 2, 3, 7, 100])
    func `decodes in pieces of any size`(step: Int) throws {
        let body = "5;ext=\"x\"\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n"
        let decoded = try #require(decode(body + (step == 100 ? "GET" : ""), step: step))
        #expect(decoded.content == "hello0123456789")
        #expect(decoded.consumed == body.utf8.count)
        #expect(decoded.trailers.count == 1)
    }

    @Test(arguments: [
        "5\nhello\r\n", "0x5\r\nhello\r\n", "\r\nhello", "5 \r\nhello\r\n", "-1\r\n", "5\r\nhelloX\r\n",
        "5\r\nhello\n",
        "ffffffffffffffff\r\n", "0\r\nbad name: x\r\n\r\n", "0\r\nX: a\n\r\n", "5;a\nb\r\nhello\r\n",
    ])
    func `refuses what is not a chunk`(body: String) {
        #expect(decode(body, step: 64) == nil)
    }

    @Test func `extensions are bounded by the content they come with`() {
        let signature = ";chunk-signature=" + String(repeating: "a", count: 64)
        let signed = String(
            repeating: "400" + signature + "\r\n" + String(repeating: "x", count: 1024) + "\r\n", count: 200)
        #expect(decode(signed + "0\r\n\r\n", step: 4096)?.content.utf8.count == 200 * 1024)
        let flood = String(repeating: "1;" + String(repeating: "a", count: 900) + "\r\nx\r\n", count: 10)
        #expect(decode(flood + "0\r\n\r\n", step: 4096) == nil)
    }

    @Test(arguments: [
        ("http://site.test", "/", nil), ("http://site.test?q", "/", "q"), ("HTTPS://site.test:1?", "/", ""),
        ("http://site.test/", "/", nil), ("http://site.test/a?b", "/a", "b"),
    ])
    func `a target in absolute-form has a path`(target: String, path: String, query: String?) {
        let authority = target.contains(":1") ? "site.test:1" : "site.test"
        let (outcome, head) = parse("GET \(target) HTTP/1.1\r\nHost: \(authority)\r\n\r\n")
        guard case .complete = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(text(head.path) == path)
        #expect(head.query.map { text($0) } == query)
        #expect(text(head.pathAndQuery) == path + (query.map { "?\($0)" } ?? ""))
        #expect(head.authority.map { text($0) } == authority)
    }

    @Test(arguments: [
        ("http://site.test:80/", "SITE.test", true), ("http://site.test/", "site.test.:080", true),
        ("https://site.test:443/", "site.test", true), ("https://site.test/", "site.test:443", true),
        ("http://site.test:/", "site.test", true), ("http://[::1]/", "[::1]:80", true),
        ("http://site.test:443/", "site.test", false), ("https://site.test/", "site.test:80", false),
        ("http://site.test/", "site.test2", false), ("http://site.test:8080/", "site.test:80800", false),
        ("http://1/", "1:1", false),
    ])
    func `Host may spell the target's authority in another way`(target: String, host: String, expected: Bool)
    {
        let (outcome, head) = parse("GET \(target) HTTP/1.1\r\nHost: \(host)\r\n\r\n")
        guard expected else {
            #expect(
                outcome != .incomplete
                    && (outcome == .refused(.hostMismatch) || outcome == .refused(.malformedHost)))
            return
        }
        guard case .complete = outcome else {
            Issue.record("\(outcome)")
            return
        }
        if target.contains("443") { #expect(head.authority.map { text($0) } == "site.test") }
    }

    @Test(arguments: [
        ("close", false), ("Keep-Alive", false), ("keep-alive, close", false), ("", false), ("X-A", true),
        ("keep-alive, Upgrade", true), ("closed", true),
    ])
    func `Connection lists fields`(value: String, expected: Bool) {
        let (_, head) = parse("GET / HTTP/1.1\r\nHost: h\r\nConnection: \(value)\r\n\r\n")
        #expect(head.nominatesFields == expected)
    }

    @Test func `the fields' size is that of their lines`() {
        let (_, head) = parse("GET /long/target HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n")
        #expect(head.fieldSectionBytes == 9 + 6)
        #expect(RequestHead().fieldSectionBytes == 0)
    }
}
