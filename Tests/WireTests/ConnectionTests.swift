import EdgeNode
import EdgeServer
import EdgeTesting
import Testing

/// Connections of clients: order, persistence, bodies, ends.
@Suite(.wholeNodes) struct ConnectionTests {
    private static let cacheable = ["Cache-Control: max-age=3600"]

    @Test func `pipelined requests are answered in order`() async throws {
        let slow = Gate("the slow answer")
        try await withNode(script: { request in
            let answer = ScriptStep.response(200, Self.cacheable, body: "for \(request.target)")
            return request.target == "/slow" ? [.wait(slow), answer] : [answer]
        }) { node, origin in
            _ = try await node.fetch("GET", "/hit")
            let client = try node.connect()
            let targets = ["/slow", "/hit", "/miss", "/hit", "/slow"]
            try await client.send(targets.map { RawClient.request("GET", $0) }.joined())
            try await origin.waitForRequests(count: 2)
            slow.open()
            for target in targets { #expect(try await client.response().text == "for \(target)") }
            #expect(origin.requestCount == 3)
        }
    }

    @Test func `pipelined behind a body, the next request is read as one`() async throws {
        try await withNode(script: { [.response(200, body: "\($0.method) \($0.target) \($0.text)")] }) {
            node, _ in
            let client = try node.connect()
            try await client.send(
                RawClient.request("POST", "/a", body: "content") + RawClient.request("GET", "/b")
                    + RawClient.request(
                        "POST", "/c", ["Transfer-Encoding: chunked"], body: "2\r\nxy\r\n0\r\n\r\n")
                    + RawClient.request("GET", "/d"))
            for text in ["POST /a content", "GET /b ", "POST /c xy", "GET /d "] {
                #expect(try await client.response().text == text)
            }
        }
    }

    @Test func `1000 pipelined hits come back`() async throws {
        try await withNode(script: { _ in [.response(200, Self.cacheable, body: "hit me")] }) {
            node, origin in
            _ = try await node.fetch("GET", "/")
            let client = try node.connect()
            let all = String(repeating: RawClient.request("GET", "/"), count: 1_000)
            async let sending: Void = client.send(all)
            for _ in 0..<1_000 { #expect(try await client.response().text == "hit me") }
            try await sending
            #expect(origin.requestCount == 1)
        }
    }

    @Test(arguments: [
        ("1.1", "", true), ("1.1", "Connection: close", false), ("1.0", "", false),
        ("1.0", "Connection: keep-alive", true),
        ("1.1", "Connection: X-A, Close", false),
    ])
    func `the connection persists as the client asked`(version: String, field: String, persists: Bool)
        async throws
    {
        try await withNode(script: { _ in [.response(200, Self.cacheable, body: "x")] }) { node, _ in
            for target in ["/miss", "/miss"] {
                let client = try node.connect()
                let request = RawClient.request("GET", target, version: version, field.isEmpty ? [] : [field])
                try await client.send(request)
                #expect(try await client.response().text == "x")
                if persists {
                    try await client.send(request)
                    #expect(try await client.response().text == "x")
                } else {
                    #expect(try await client.isClosedByPeer())
                }
                client.close()
            }
        }
    }

    @Test func `HEAD leaves the connection at the next response`() async throws {
        try await withNode(script: { request in
            [
                request.method == "HEAD"
                    ? .head(200, ["Content-Length: 500"]) : .response(200, Self.cacheable, body: "content")
            ]
        }) { node, _ in
            let client = try node.connect()
            try await client.send(
                RawClient.request("HEAD", "/a") + RawClient.request("GET", "/b")
                    + RawClient.request("HEAD", "/b") + RawClient.request("GET", "/b"))
            #expect(try await client.response(to: "HEAD").fields["Content-Length"] == "500")
            #expect(try await client.response().text == "content")
            #expect(try await client.response(to: "HEAD").fields["Content-Length"] == "7")
            #expect(try await client.response().text == "content")
        }
    }

    @Test(arguments: ["/miss", "/hit"])
    func `a client that has ended its side still gets its answer`(target: String) async throws {
        let gate = Gate("answer")
        try await withNode(script: { request in
            request.target == "/hit"
                ? [.response(200, Self.cacheable, body: "late")]
                : [.wait(gate), .response(200, body: "late")]
        }) { node, origin in
            _ = try await node.fetch("GET", "/hit")
            let client = try node.connect()
            try await client.send(RawClient.request("GET", target))
            client.endSending()
            if target == "/miss" { try await origin.waitForRequests(count: 2) }
            gate.open()
            #expect(try await client.response().text == "late")
            #expect(try await client.isClosedByPeer())
        }
    }

    @Test func `Expect is answered here, and the content goes on`() async throws {
        try await withNode(script: { [.response(200, body: $0.text)] }) { node, origin in
            let client = try node.connect()
            try await client.send(
                "POST / HTTP/1.1\r\nHost: case.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
            #expect(try await client.body(count: 25) == "HTTP/1.1 100 Continue\r\n\r\n")
            try await client.send("body")
            #expect(try await client.response().text == "body")
            #expect(origin.requests[0].fields["Expect"] == nil)
        }
    }

    @Test func `Expect on a request that is refused gets the refusal alone`() async throws {
        try await withNode(
            script: { _ in [.response(200)] }, configure: { $0.sites[0].hosts = ["case.test"] }
        ) { node, origin in
            let client = try node.connect()
            try await client.send(
                "POST / HTTP/1.1\r\nHost: no.test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
            let response = try await client.response()
            #expect(response.status == 421)
            #expect(response.interims.isEmpty)
            #expect(try await client.isClosedByPeer())
            #expect(origin.requestCount == 0)
        }
    }

    /// What follows the content of a request is the next request; what is in it is none.
    @Test func `the content of a request is never taken for the next one`() async throws {
        try await withNode(script: { request in
            [.response(200, Self.cacheable, body: "\(request.method) \(request.target)")]
        }) { node, origin in
            let inner = RawClient.request("GET", "/smuggled")
            for method in ["GET", "HEAD", "OPTIONS", "TRACE", "POST"] {
                let client = try node.connect()
                try await client.send(
                    RawClient.request(
                        method, "/r", method == "OPTIONS" ? ["Max-Forwards: 0"] : [], body: inner))
                _ = try await client.response(to: method)
                client.endSending()
                _ = try await client.rest()
            }
            #expect(!origin.requests.contains { $0.target == "/smuggled" })
        }
    }

    @Test func `an upload is held back when the origin does not read`() async throws {
        let gate = Gate("read on")
        let size = 96 << 20
        try await withNode(
            script: { _ in [.wait(gate), .readBody, .response(200, body: "got it")] }, readsBodies: false
        ) { node, origin in
            let client = try node.connect()
            try await client.send("POST / HTTP/1.1\r\nHost: case.test\r\nContent-Length: \(size)\r\n\r\n")
            try await origin.waitForRequests(count: 1)
            let body = [UInt8](repeating: 97, count: size)
            // What is taken is in the buffers of two sockets and of the node: far less than the whole.
            let taken = try await client.sendUntilBlocked(body, stallMilliseconds: 400)
            #expect(taken < 32 << 20)
            gate.open()
            try await client.send([UInt8](repeating: 97, count: size - taken))
            #expect(try await client.response().text == "got it")
            #expect(origin.requests[0].body.count == size)
        }
    }

    @Test func `an upload whose client goes away is not completed`() async throws {
        try await withNode(script: { _ in [.readBody, .response(200)] }, readsBodies: false) { node, origin in
            let client = try node.connect()
            try await client.send("POST / HTTP/1.1\r\nHost: case.test\r\nContent-Length: 100\r\n\r\nabc")
            try await origin.waitForRequests(count: 1)
            client.reset()
            try await origin.waitForNoConnection()
            #expect(origin.requests[0].body.isEmpty)
        }
    }

    @Test func `an early answer to an upload reaches the client`() async throws {
        try await withNode(
            script: { _ in [.response(413, ["Connection: close"], body: "too much"), .halfClose] },
            readsBodies: false
        ) {
            node, _ in
            let client = try node.connect()
            try await client.send("POST / HTTP/1.1\r\nHost: case.test\r\nContent-Length: 1000000\r\n\r\nabc")
            let response = try await client.response()
            #expect(response.status == 413)
            #expect(response.text == "too much")
        }
    }

    @Test func `a HEAD with a body reaches the origin as a HEAD`() async throws {
        try await withNode(script: { _ in [.response(200, Self.cacheable)] }) { node, origin in
            let client = try node.connect()
            try await client.send(RawClient.request("HEAD", "/h", body: "abc"))
            #expect(try await client.response(to: "HEAD").status == 200)
            #expect(origin.requests.map(\.method) == ["HEAD"])
        }
    }

    @Test func `a range of a response that is too large for its window arrives`() async throws {
        let body = String(repeating: "0123456789", count: 300_000)
        try await withNode(script: { _ in [.response(200, ["Cache-Control: no-store"], body: body)] }) {
            node, _ in
            let client = try node.connect()
            try await client.send(RawClient.request("GET", "/r", ["Range: bytes=2000000-2000009"]))
            let response = try await client.response()
            #expect(response.status == 206)
            #expect(response.text == "0123456789")
        }
    }

    @Test func `a request behind an upload of any size is answered`() async throws {
        try await withNode(script: { _ in [.response(200, body: "ok")] }) { node, _ in
            for size in [262_145, 270_000, 300_000] {
                let client = try node.connect()
                try await client.send(
                    RawClient.request("POST", "/up", body: String(repeating: "u", count: size)))
                #expect(try await client.response().text == "ok")
                try await client.send(RawClient.request("GET", "/next"))
                #expect(try await client.response().text == "ok")
            }
        }
    }

    @Test func `a client that asks and takes no answers is not read any further`() async throws {
        let body = String(repeating: "x", count: 3_000)
        try await withNode(script: { _ in [.response(200, ["Cache-Control: max-age=60"], body: body)] }) {
            node, _ in
            _ = try await node.fetch("GET", "/hit")
            let client = try node.connect()
            let requests = Array(String(repeating: RawClient.request("GET", "/hit"), count: 800_000).utf8)
            // More than the socket's buffers hold; all answers together would be 2.4 GB in the node's memory.
            let sent = try await client.sendUntilBlocked(requests, stallMilliseconds: 500)
            #expect(sent < requests.count)
            #expect(try await client.response().text == body)
        }
    }

    /// Small answers go to the socket past the channel's queue, and the rest of the first that the socket does not take
    /// goes through it, as do large ones and misses. No answer overtakes another, and no byte is sent twice.
    @Test func `answers of all sizes come in order to a client with little room`() async throws {
        let large = String(repeating: "0123456789abcdef", count: 4_096)
        @Sendable func body(_ target: String) -> String {
            target == "/large" ? large : "of \(target) " + large.prefix(900)
        }
        try await withNode(script: { [.response(200, Self.cacheable, body: body($0.target))] }) { node, _ in
            for target in ["/small", "/large"] { _ = try await node.fetch("GET", target) }
            let client = try node.connect(receiveBufferBytes: 4_096)
            let runs = (0..<40).map { run in
                Array(repeating: "/small", count: 50 + run) + [
                    "/large", "/small", "/miss/\(run)", "/small", "/large",
                ]
            }
            let sending = Task {
                for run in runs {
                    try await client.send(run.map { RawClient.request("GET", $0) }.joined())
                }
            }
            for target in runs.joined() {
                let response = try await client.response()
                #expect(response.text == body(target))
            }
            try await sending.value
        }
    }

    /// The socket takes many writes at once and tells of room while more is being written: no such word is lost.
    @Test(arguments: ["misses", "hits"])
    func `large answers reach their clients whole`(kind: String) async throws {
        let body = String(repeating: "0123456789abcdef", count: 1 << 19)
        try await withNode(script: { _ in [.response(200, Self.cacheable, body: body)] }) { node, _ in
            for number in 0..<24 {
                let response = try await node.fetch("GET", kind == "hits" ? "/large" : "/large/\(number)")
                #expect(response.body.count == body.utf8.count)
            }
        }
    }

    @Test func `an idle connection ends`() async throws {
        var limits = ConnectionLimits()
        limits.idleMilliseconds = 200
        try await withNode(script: { _ in [.response(200, body: "x")] }, limits: limits) { node, _ in
            let client = try node.connect()
            try await client.send(RawClient.request("GET", "/"))
            #expect(try await client.response().text == "x")
            #expect(try await client.isClosedByPeer())
        }
    }

    @Test func `empty lines before a request are skipped`() async throws {
        try await withNode(script: { _ in [.response(200, body: "x")] }) { node, _ in
            let client = try node.connect()
            try await client.send("\r\n" + RawClient.request("GET", "/"))
            #expect(try await client.response().text == "x")
        }
    }
}
