import EdgeServer
import EdgeTesting
import Testing

/// Requests that are refused for their syntax: the status, the end of the connection, and an origin that
/// hears nothing.
@Suite(.wholeNodes) struct RefusedRequestTests {
    struct Refused: Sendable, CustomTestStringConvertible {
        let name: String
        let request: String
        var status = 400

        var testDescription: String { name }
    }

    private static let host = "Host: case.test\r\n"
    private static let chunked = host + "Transfer-Encoding: chunked\r\n"

    static let table: [Refused] = [
        Refused(
            name: "Content-Length with Transfer-Encoding",
            request:
                "POST / HTTP/1.1\r\n\(host)Content-Length: 6\r\n"
                + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"),
        Refused(
            name: "Transfer-Encoding with Content-Length",
            request:
                "POST / HTTP/1.1\r\n\(chunked)Content-Length: 3\r\n\r\n8\r\nSMUGGLED\r\n0\r\n\r\n"
        ),
        Refused(
            name: "differing lengths",
            request: "POST / HTTP/1.1\r\n\(host)Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
        Refused(
            name: "differing lengths in a list",
            request: "POST / HTTP/1.1\r\n\(host)Content-Length: 3, 4\r\n\r\nabcd"),
        Refused(
            name: "a length with a sign", request: "POST / HTTP/1.1\r\n\(host)Content-Length: +3\r\n\r\nabc"),
        Refused(
            name: "a negative length", request: "POST / HTTP/1.1\r\n\(host)Content-Length: -3\r\n\r\nabc"),
        Refused(
            name: "a hexadecimal length",
            request: "POST / HTTP/1.1\r\n\(host)Content-Length: 0x3\r\n\r\nabc"),
        Refused(name: "an empty length", request: "POST / HTTP/1.1\r\n\(host)Content-Length: \r\n\r\nabc"),
        Refused(
            name: "a length beyond 64 bits",
            request: "POST / HTTP/1.1\r\n\(host)Content-Length: 18446744073709551617\r\n\r\na"),
        Refused(
            name: "chunked twice",
            request: "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        Refused(
            name: "chunked not last",
            request: "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
        Refused(
            name: "an empty member before chunked",
            request: "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"),
        Refused(
            name: "chunked with a vertical tab",
            request: "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: \u{0B}chunked\r\n\r\n0\r\n\r\n"),
        Refused(
            name: "an unknown coding before chunked",
            request: "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            status: 501),
        Refused(
            name: "Transfer-Encoding in HTTP/1.0",
            request: "POST / HTTP/1.0\r\n\(host)Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        Refused(name: "a bare LF after the request line", request: "GET / HTTP/1.1\n\(host)\r\n"),
        Refused(name: "a bare LF after a field", request: "GET / HTTP/1.1\r\nHost: case.test\nX: y\r\n\r\n"),
        Refused(name: "a bare CR in a value", request: "GET / HTTP/1.1\r\n\(host)X: a\rb\r\n\r\n"),
        Refused(name: "a bare CR in the request line", request: "GET /\rx HTTP/1.1\r\n\(host)\r\n"),
        Refused(name: "a folded line", request: "GET / HTTP/1.1\r\n\(host)X: a\r\n b\r\n\r\n"),
        Refused(name: "a line folded with a tab", request: "GET / HTTP/1.1\r\n\(host)X: a\r\n\tb\r\n\r\n"),
        Refused(name: "a space before a colon", request: "GET / HTTP/1.1\r\n\(host)X : a\r\n\r\n"),
        Refused(
            name: "a space before the colon of a length",
            request: "POST / HTTP/1.1\r\n\(host)Content-Length : 3\r\n\r\nabc"),
        Refused(
            name: "white space before the first field", request: "GET / HTTP/1.1\r\n X: a\r\n\(host)\r\n"),
        Refused(name: "NUL in a value", request: "GET / HTTP/1.1\r\n\(host)X: a\u{0}b\r\n\r\n"),
        Refused(name: "a control byte in a value", request: "GET / HTTP/1.1\r\n\(host)X: a\u{1}b\r\n\r\n"),
        Refused(name: "DEL in a value", request: "GET / HTTP/1.1\r\n\(host)X: a\u{7F}b\r\n\r\n"),
        Refused(name: "NUL in a name", request: "GET / HTTP/1.1\r\n\(host)X\u{0}: a\r\n\r\n"),
        Refused(name: "an empty name", request: "GET / HTTP/1.1\r\n\(host): a\r\n\r\n"),
        Refused(name: "a name that is no token", request: "GET / HTTP/1.1\r\n\(host)X(y): a\r\n\r\n"),
        Refused(name: "a line without a colon", request: "GET / HTTP/1.1\r\n\(host)nonsense\r\n\r\n"),
        Refused(name: "no Host", request: "GET / HTTP/1.1\r\nX: y\r\n\r\n"),
        Refused(name: "two Host lines", request: "GET / HTTP/1.1\r\n\(host)Host: other.test\r\n\r\n"),
        Refused(name: "two Host lines that agree", request: "GET / HTTP/1.1\r\n\(host)\(host)\r\n"),
        Refused(name: "a Host with a space", request: "GET / HTTP/1.1\r\nHost: case.test other\r\n\r\n"),
        Refused(name: "a Host with a path", request: "GET / HTTP/1.1\r\nHost: case.test/x\r\n\r\n"),
        Refused(name: "a Host with user information", request: "GET / HTTP/1.1\r\nHost: u@case.test\r\n\r\n"),
        Refused(name: "a Host with a bad port", request: "GET / HTTP/1.1\r\nHost: case.test:8x\r\n\r\n"),
        Refused(name: "a list of hosts", request: "GET / HTTP/1.1\r\nHost: case.test,other.test\r\n\r\n"),
        Refused(
            name: "a Host that differs from the target",
            request: "GET http://other.test/ HTTP/1.1\r\n\(host)\r\n"),
        Refused(name: "a control byte in the target", request: "GET /\u{1} HTTP/1.1\r\n\(host)\r\n"),
        Refused(name: "a space in the target", request: "GET /a b HTTP/1.1\r\n\(host)\r\n"),
        Refused(name: "a target without a slash", request: "GET x HTTP/1.1\r\n\(host)\r\n"),
        Refused(name: "a fragment in the target", request: "GET /a#b HTTP/1.1\r\n\(host)\r\n"),
        Refused(name: "a method that is no token", request: "GE(T / HTTP/1.1\r\n\(host)\r\n"),
        Refused(name: "no version", request: "GET /\r\n\(host)\r\n"),
        Refused(name: "a version in lower case", request: "GET / http/1.1\r\n\(host)\r\n"),
        Refused(name: "the version HTTP/2.0", request: "GET / HTTP/2.0\r\n\(host)\r\n", status: 505),
        Refused(
            name: "a target over 8 KiB",
            request: "GET /\(String(repeating: "a", count: 8_300)) HTTP/1.1\r\n\(host)\r\n",
            status: 414),
        Refused(
            name: "a header section over 16 KiB",
            request: "GET / HTTP/1.1\r\n\(host)X: \(String(repeating: "a", count: 17_000))\r\n\r\n",
            status: 431),
        Refused(
            name: "129 fields",
            request: "GET / HTTP/1.1\r\n\(host)\((0..<129).map { "X\($0): y\r\n" }.joined())\r\n", status: 431
        ),
        Refused(
            name: "an unknown expectation", request: "GET / HTTP/1.1\r\n\(host)Expect: miracles\r\n\r\n",
            status: 417),
        Refused(
            name: "a malformed chunk size",
            request: "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n0\r\n\r\n"),
        Refused(
            name: "a chunk size with a sign",
            request: "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n"),
        Refused(
            name: "a chunk size with 0x",
            request: "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n"),
        Refused(
            name: "a bare LF after a chunk size",
            request: "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n"),
        Refused(
            name: "a chunk longer than its size",
            request: "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n"),
        Refused(
            name: "a chunk size beyond 64 bits",
            request: "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\na"),
    ]

    private static func limits() -> ConnectionLimits {
        var limits = ConnectionLimits()
        limits.lingerMilliseconds = 2_000
        return limits
    }

    @Test(arguments: table)
    func `the request is refused and the connection ends`(refused: Refused) async throws {
        try await withNode(script: { _ in [.response(200, body: "from the origin")] }, limits: Self.limits())
        { node, origin in
            let client = try node.connect()
            let smuggled = "GET /smuggled HTTP/1.1\r\nHost: case.test\r\n\r\n"
            try await client.send(refused.request + smuggled)
            let response = try await client.response()
            #expect(response.status == refused.status)
            #expect(response.proxyStatus?.contains("http_request_error") == true)
            #expect(response.fields["Connection"] == "close")
            #expect(response.fields["Cache-Status"] == nil)
            #expect(try await client.isClosedByPeer())
            // A body that turns out malformed may have begun its way, but no complete request came.
            #expect(origin.requests.map(\.head) == [])
            let after = try await node.fetch("GET", "/after")
            #expect(after.text == "from the origin")
        }
    }

    @Test func `lengths that agree are one length`() async throws {
        try await withNode(script: { _ in [.response(200, body: "ok")] }) { node, origin in
            let response = try await node.fetch(
                "POST", "/", ["Content-Length: 3", "Content-Length: 3"], body: "abc")
            #expect(response.status == 200 || response.status == 400)
            if response.status == 200 { #expect(origin.requests.map(\.text) == ["abc"]) }
        }
    }

    @Test func `a head that drips in whole is answered`() async throws {
        try await withNode(script: { _ in [.response(200, body: "ok")] }) { node, _ in
            let client = try node.connect()
            for byte in RawClient.request("GET", "/drip").utf8 { try await client.send([byte]) }
            #expect(try await client.response().text == "ok")
        }
    }

    @Test func `a head that does not end in time is 408`() async throws {
        var limits = Self.limits()
        limits.headMilliseconds = 200
        try await withNode(script: { _ in [.response(200)] }, limits: limits) { node, origin in
            let client = try node.connect()
            try await client.send("GET / HTTP/1.1\r\nHost: case.te")
            #expect(try await client.response().status == 408)
            #expect(try await client.isClosedByPeer())
            #expect(origin.requestCount == 0)
        }
    }

    @Test(arguments: ["GET / HTTP/1.1\r\nHost: case.te", "GET / HT"])
    func `a head that does not end in time is 408 after a hit as well`(_ half: String) async throws {
        var limits = Self.limits()
        limits.headMilliseconds = 200
        let cacheable = ["Cache-Control: max-age=3600"]
        try await withNode(script: { _ in [.response(200, cacheable)] }, limits: limits) { node, _ in
            let client = try node.connect()
            for _ in 0..<2 {
                try await client.send(RawClient.request("GET", "/"))
                #expect(try await client.response().status == 200)
            }
            try await client.send(half)
            #expect(try await client.response().status == 408)
            #expect(try await client.isClosedByPeer())
        }
    }

    @Test(arguments: ["", "/missed"], ["GET / HTTP/1.1\r\nHost: case.te", "GET /", "\r\n"])
    func `half a head after which nothing can come ends the connection at once`(
        _ first: String, _ half: String
    ) async throws {
        var limits = Self.limits()
        limits.headMilliseconds = 60_000
        let gate = Gate("the answer")
        try await withNode(script: { _ in [.wait(gate), .response(200)] }, limits: limits) { node, origin in
            let client = try node.connect()
            let whole = first.isEmpty ? "" : RawClient.request("GET", first)
            try await client.send(whole + half)
            client.endSending()
            if !first.isEmpty {
                try await origin.waitForRequests(count: 1)
                gate.open()
                #expect(try await client.response().status == 200)
            }
            #expect(try await client.isClosedByPeer())
        }
    }

    @Test func `half a body after which nothing can come ends the connection at once`() async throws {
        let gate = Gate("the answer")
        try await withNode(
            script: { _ in [.wait(gate), .response(200)] }, readsBodies: false, limits: Self.limits()
        ) { node, origin in
            let client = try node.connect()
            let post = "POST / HTTP/1.1\r\nHost: case.test\r\nContent-Length: 11\r\n\r\nhello"
            try await client.send(RawClient.request("GET", "/first") + post)
            client.endSending()
            try await origin.waitForRequests(count: 1)
            gate.open()
            #expect(try await client.response().status == 200)
            #expect(try await client.isClosedByPeer())
        }
    }

    @Test func `input after a refusal is read and dropped, so that the answer arrives`() async throws {
        // Long enough for a slow machine; the client ends it.
        var limits = Self.limits()
        limits.lingerMilliseconds = 20_000
        try await withNode(script: { _ in [.response(200)] }, limits: limits) { node, origin in
            let client = try node.connect()
            try await client.send(
                "POST / HTTP/1.1\r\nHost: case.test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")
            try await client.send([UInt8](repeating: 97, count: 1 << 20))
            #expect(try await client.response().status == 400)
            client.close()
            #expect(origin.requestCount == 0)
        }
    }
}
