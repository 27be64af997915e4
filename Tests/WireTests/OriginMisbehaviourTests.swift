import EdgeNode
import EdgeOrigin
import EdgeTesting
import Testing

/// Answers of an origin that are refused: 502 or 504 with the reason, and nothing else disturbed.
@Suite(.wholeNodes) struct OriginMisbehaviourTests {
    struct Answer: Sendable, CustomTestStringConvertible {
        let name: String
        let steps: [ScriptStep]
        var status = 502

        init(_ name: String, _ text: String, then steps: [ScriptStep] = [.halfClose], status: Int = 502) {
            self.name = name
            self.steps = [.text(text)] + steps
            self.status = status
        }

        var testDescription: String { name }
    }

    private static let ok = "HTTP/1.1 200 OK\r\n"

    static let table: [Answer] = [
        Answer(
            "Content-Length with Transfer-Encoding",
            ok + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        Answer("differing lengths", ok + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
        Answer("differing lengths in a list", ok + "Content-Length: 3, 4\r\n\r\nabcd"),
        Answer("a length with a sign", ok + "Content-Length: +3\r\n\r\nabc"),
        Answer("a negative length", ok + "Content-Length: -1\r\n\r\nabc"),
        Answer("a length that is no number", ok + "Content-Length: three\r\n\r\nabc"),
        Answer("a bare LF after the status line", "HTTP/1.1 200 OK\nContent-Length: 3\r\n\r\nabc"),
        Answer("a bare LF after a field", ok + "X: y\nContent-Length: 3\r\n\r\nabc"),
        Answer("a bare CR in a value", ok + "X: a\rb\r\nContent-Length: 3\r\n\r\nabc"),
        Answer("a folded line", ok + "X: a\r\n b\r\nContent-Length: 3\r\n\r\nabc"),
        Answer("a folded first line", ok + "\tX: y\r\nContent-Length: 3\r\n\r\nabc"),
        Answer("a folded first line without a colon", ok + " folded\r\nContent-Length: 3\r\n\r\nabc"),
        Answer(
            "interim responses without end",
            String(repeating: "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", count: 1_000)),
        Answer("a space before a colon", ok + "X : a\r\nContent-Length: 3\r\n\r\nabc"),
        Answer("a space before the colon of the length", ok + "Content-Length : 3\r\n\r\nabc"),
        Answer("a line without a colon", ok + "nonsense\r\nContent-Length: 3\r\n\r\nabc"),
        Answer("NUL in a value", ok + "X: a\u{0}b\r\nContent-Length: 3\r\n\r\nabc"),
        Answer("an empty name", ok + ": a\r\nContent-Length: 3\r\n\r\nabc"),
        Answer("the status 101", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        Answer("the version HTTP/2", "HTTP/2 200\r\nContent-Length: 3\r\n\r\nabc"),
        Answer("the version HTTP/1.2", "HTTP/1.2 200 OK\r\nContent-Length: 3\r\n\r\nabc"),
        Answer("the version HTTP/0.9", "just text"),
        Answer("a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 3\r\n\r\nabc"),
        Answer("a status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 3\r\n\r\nabc"),
        Answer("another protocol", "ICY 200 OK\r\n\r\nabc"),
        Answer("an end inside the status line", "HTTP/1.1 20"),
        Answer("an end inside the header section", ok + "Content-Length: 3\r\nX: y\r\n"),
        Answer("an end inside a field line", ok + "Content-Length: 3\r\nX: y"),
        Answer("an unknown transfer coding", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        Answer("chunked not last", ok + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
        Answer("no byte at all", "", then: [.close]),
        Answer("a reset", "", then: [.reset]),
        Answer(
            "a header section without end",
            ok + String(repeating: "X-Pad: \(String(repeating: "a", count: 90))\r\n", count: 4_000)),
        Answer("silence", "", then: [.hang], status: 504),
        Answer("silence inside the header section", ok + "X: y\r\n", then: [.hang], status: 504),
    ]

    @Test(arguments: table)
    func `the answer is refused and nothing is stored`(answer: Answer) async throws {
        let gate = Gate("another pull's end")
        try await withNode(
            script: { request in
                switch request.target {
                case "/bad": answer.steps
                case "/other": [.head(200, ["Content-Length: 8"]), .text("half"), .wait(gate), .text("half")]
                default: [.response(200, ["Cache-Control: max-age=60"], body: "fine")]
                }
            },
            configure: {
                if answer.status == 504 { $0.origins["main"]?.firstByteTimeoutMilliseconds = 300 }
            }
        ) { node, origin in
            let other = try node.connect()
            try await other.send(RawClient.request("GET", "/other"))
            #expect(try await other.head().status == 200)
            for _ in 0..<2 {
                let response = try await node.fetch("GET", "/bad")
                #expect(response.status == answer.status)
                #expect(response.proxyStatus?.hasPrefix("rockpool; error=") == true)
                #expect(response.fields["Cache-Status"] == nil)
                #expect(response.fields["Cache-Control"] == "no-store")
            }
            #expect(try await node.fetch("GET", "/fine").text == "fine")
            gate.open()
            #expect(try await other.body(count: 8) == "halfhalf")
        }
    }

    struct Truncation: Sendable, CustomTestStringConvertible {
        let name: String
        let head: [String]
        let body: String
        let end: ScriptStep

        var testDescription: String { name }
    }

    static let truncations = [
        Truncation(name: "short of its length", head: ["Content-Length: 10"], body: "12345", end: .close),
        Truncation(
            name: "a reset inside its length", head: ["Content-Length: 10"], body: "12345", end: .reset),
        Truncation(
            name: "no last chunk", head: ["Transfer-Encoding: chunked"], body: "5\r\n12345\r\n", end: .close),
        Truncation(
            name: "an end inside a chunk", head: ["Transfer-Encoding: chunked"], body: "a\r\n12345",
            end: .close),
        Truncation(
            name: "a malformed chunk size", head: ["Transfer-Encoding: chunked"],
            body: "5\r\n12345\r\nzz\r\n", end: .halfClose),
        Truncation(
            name: "a folded trailer", head: ["Transfer-Encoding: chunked"],
            body: "5\r\n12345\r\n0\r\nT: a\r\n b\r\n\r\n", end: .halfClose),
        Truncation(
            name: "too many trailers", head: ["Transfer-Encoding: chunked"],
            body: "5\r\n12345\r\n0\r\n" + String(repeating: "T: a\r\n", count: 300) + "\r\n",
            end: .halfClose),
        Truncation(
            name: "a reset of a body that ends with the connection", head: ["Connection: close"],
            body: "12345", end: .reset),
    ]

    @Test(arguments: truncations, [true, false])
    func `a truncated body has no clean end and is not stored`(truncation: Truncation, isCacheable: Bool)
        async throws
    {
        let head = truncation.head + [isCacheable ? "Cache-Control: max-age=3600" : "Cache-Control: no-store"]
        let gate = Gate("the client has the head")
        try await withNode(script: { request in
            request.number == 0
                ? [.head(200, head), .text(truncation.body), .wait(gate), truncation.end]
                : [.response(200, body: "whole")]
        }) { node, _ in
            let client = try node.connect()
            try await client.send(RawClient.request("GET", "/r"))
            let response = try await client.head()
            #expect(response.status == 200)
            gate.open()
            let rest = String(decoding: try await client.rest(), as: UTF8.self)
            if response.fields["Transfer-Encoding"] != nil {
                #expect(!rest.hasSuffix("0\r\n\r\n"))
            } else {
                #expect(response.fields["Content-Length"] == "10")
                #expect(rest.utf8.count < 10)
            }
            let again = try await node.fetch("GET", "/r")
            #expect(again.text == "whole")
            #expect(again.cacheStatus?.hasPrefix("rockpool; fwd=") == true)
        }
    }

    @Test func `a second response a moment later costs no other request a byte`() async throws {
        let first = Gate("first answer read")
        try await withNode(script: { request in
            request.number == 0
                ? [
                    .response(200, ["Cache-Control: no-store"], body: "first"), .wait(first),
                    .response(200, ["Cache-Control: no-store"], body: "POISON"),
                ]
                : [.response(200, ["Cache-Control: no-store"], body: "own")]
        }) { node, origin in
            #expect(try await node.fetch("GET", "/one").text == "first")
            first.open()
            try await origin.waitForAnswers(count: 1)
            for _ in 0..<5 { #expect(try await node.fetch("GET", "/two").text == "own") }
        }
    }

    @Test func `bytes behind a response in the same segment go nowhere`() async throws {
        let both =
            Self.ok + "Cache-Control: max-age=60\r\nContent-Length: 3\r\n\r\none"
            + Self.ok + "Content-Length: 6\r\n\r\nPOISON"
        try await withNode(script: { request in
            request.number == 0 ? [.text(both)] : [.response(200, body: "own")]
        }) { node, _ in
            for (target, text) in [("/one", "one"), ("/two", "own"), ("/three", "own")] {
                let response = try await node.fetch("GET", target)
                #expect(response.text == text)
            }
        }
    }

    @Test func `a GET that a kept connection swallowed is sent once more`() async throws {
        try await withNode(script: {
            $0.connection == 0 && $0.position > 0 ? [.close] : [.response(200, body: "fine")]
        }) {
            node, origin in
            for target in ["/a", "/b"] {
                let response = try await node.fetch("GET", target)
                #expect(response.text == "fine")
            }
            #expect(origin.connectionCount == 2)
        }
    }

    /// A kept connection that ends without a byte: RFC 9110 9.2.2 allows another attempt for idempotent
    /// methods alone.
    @Test(arguments: ["POST", "PATCH", "FROB"])
    func `a request that is not idempotent is never sent twice`(method: String) async throws {
        try await withNode(script: { $0.number == 0 ? [.response(200, body: "first")] : [.close] }) {
            node, origin in
            #expect(try await node.fetch("GET", "/").text == "first")
            let response = try await node.fetch(method, "/act", [], body: "x")
            #expect(response.status == 502)
            #expect(origin.requests.filter { $0.method == method }.count == 1)
        }
    }
}
