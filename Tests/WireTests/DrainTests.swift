import EdgeNode
import EdgeOrigin
import EdgeServer
import EdgeTesting
import Testing

/// A node that drains: what is under way is finished, what is idle is closed, nothing new is taken.
@Suite(.serialized, .wholeNodes) struct DrainTests {
    private static let cacheable = ["Cache-Control: max-age=3600"]

    /// A connection that has had an answer and now waits.
    private static func idleClient(_ node: TestNode) async throws -> RawClient {
        let client = try node.connect()
        try await client.send(RawClient.request("GET", "/idle"))
        #expect(try await client.response().status == 200)
        return client
    }

    private static func answer(_ request: RecordedRequest, _ gate: Gate) -> [ScriptStep] {
        switch request.target {
        case "/length":
            [.head(200, cacheable + ["Content-Length: 11"]), .text("first"), .wait(gate), .text("second")]
        case "/chunked":
            [
                .head(200, ["Transfer-Encoding: chunked"]), .chunk("first"), .wait(gate), .chunk("second"),
                .text("0\r\n\r\n"),
            ]
        case "/waiting": [.wait(gate), .response(200, body: "firstsecond")]
        default: [.response(200, cacheable, body: "idle")]
        }
    }

    @Test(arguments: ["/length", "/chunked", "/waiting"], [1, 2])
    func `a response under way is completed, idle connections close, nobody new is taken`(
        target: String, loops: Int
    ) async throws {
        let gate = Gate("the rest")
        try await withNode(script: { Self.answer($0, gate) }, loops: loops) { node, origin in
            let idle = try await Self.idleClient(node)
            let client = try node.connect()
            try await client.send(RawClient.request("GET", target))
            try await origin.waitForRequests(count: 2)
            var head = target == "/waiting" ? nil : try await client.head()
            let drained = node.drain(within: 10)
            #expect(try await idle.isClosedByPeer())
            // Idle connections close after the listening sockets. (The port may be another server's by now.)
            _ = try? node.connect()
            try await node.waitForConnections { $0 <= 1 }
            #expect(node.connectionCount <= 1)
            gate.open()
            if head == nil { head = try await client.head() }
            #expect(head?.status == 200)
            if target == "/chunked" {
                #expect(try await client.chunkedBody(count: 11) == "firstsecond")
                #expect(try await client.chunk() == nil)
            } else {
                #expect(try await client.body(count: 11) == "firstsecond")
            }
            #expect(try await client.isClosedByPeer())
            client.close()
            #expect(await drained.value)
            #expect(node.connectionCount == 0)
        }
    }

    /// RFC 9112 9.6: or the client sends its next request into a connection that is about to end.
    @Test func `an answer that begins while the node drains says that it is the last`() async throws {
        let gate = Gate("the answer")
        try await withNode(script: { Self.answer($0, gate) }) { node, origin in
            let idle = try await Self.idleClient(node)
            let client = try node.connect()
            try await client.send(RawClient.request("GET", "/waiting"))
            try await origin.waitForRequests(count: 2)
            let drained = node.drain(within: 10)
            #expect(try await idle.isClosedByPeer())
            gate.open()
            let response = try await client.response()
            #expect(response.fields["Connection"] == "close")
            #expect(try await client.isClosedByPeer())
            client.close()
            #expect(await drained.value)
        }
    }

    @Test func `a large response to a slow reader is completed`() async throws {
        let body = String(repeating: "0123456789abcdef", count: 1 << 19)
        try await withNode(script: { _ in [.response(200, Self.cacheable, body: body)] }) {
            node, _ in
            let client = try node.connect(receiveBufferBytes: 16_384)
            try await client.send(RawClient.request("GET", "/r"))
            _ = try await client.head()
            let idle = try await Self.idleClientOfLarge(node, body)
            let drained = node.drain(within: 10)
            #expect(try await idle.isClosedByPeer())
            #expect(try await client.body(count: body.utf8.count) == body)
            #expect(try await client.isClosedByPeer())
            client.close()
            #expect(await drained.value)
        }
    }

    private static func idleClientOfLarge(_ node: TestNode, _ body: String) async throws -> RawClient {
        let client = try node.connect()
        try await client.send(RawClient.request("GET", "/r"))
        #expect(try await client.response().text == body)
        return client
    }

    @Test func `a request that had begun to arrive is answered, and told that it is the last`() async throws {
        try await withNode(script: { Self.answer($0, Gate("none")) }) { node, _ in
            let idle = try await Self.idleClient(node)
            let begun = try node.connect()
            try await begun.send("GET /idle HTTP/1.1\r\nHost: ca")
            // An answer on the same loop: what was sent before it has arrived.
            let other = try await Self.idleClient(node)
            let drained = node.drain(within: 10)
            #expect(try await idle.isClosedByPeer())
            #expect(try await other.isClosedByPeer())
            try await begun.send("se.test\r\n\r\n")
            let response = try await begun.response()
            #expect(response.text == "idle")
            #expect(response.fields["Connection"] == "close")
            #expect(try await begun.isClosedByPeer())
            begun.close()
            #expect(await drained.value)
        }
    }

    @Test func `an upload under way is completed`() async throws {
        let hasHead = Watched(false)
        try await withNode(
            script: { request in
                request.method == "POST"
                    ? [.reach(hasHead), .readBody, .response(200, body: "got it")]
                    : [.response(200, Self.cacheable, body: "idle")]
            }, readsBodies: false
        ) { node, origin in
            let idle = try await Self.idleClient(node)
            let client = try node.connect()
            try await client.send("POST / HTTP/1.1\r\nHost: case.test\r\nContent-Length: 10\r\n\r\n12345")
            try await hasHead.wait(for: "the upload's head") { $0 }
            let drained = node.drain(within: 10)
            #expect(try await idle.isClosedByPeer())
            try await client.send("67890")
            #expect(try await client.response().text == "got it")
            #expect(origin.requests[1].text == "1234567890")
            #expect(try await client.isClosedByPeer())
            client.close()
            #expect(await drained.value)
        }
    }

    @Test func `a node without connections drains at once`() async throws {
        try await withNode(script: { _ in [.response(200)] }) { node, _ in
            #expect(await node.drain(within: 10).value)
            // The port may be another server's by now: what counts is that nobody came in here.
            _ = try? node.connect()
            #expect(node.connectionCount == 0)
        }
    }

    @Test func `a response that never ends holds the drain up no longer than it may`() async throws {
        try await withNode(script: { _ in
            [.head(200, ["Content-Length: 11"]), .text("first"), .hang]
        }) { node, _ in
            let client = try node.connect()
            try await client.send(RawClient.request("GET", "/"))
            _ = try await client.head()
            #expect(await !node.drain(within: 1).value)
            #expect(node.connectionCount == 1)
        }
    }

    /// Connections that come while the listening sockets close: each is refused, closed or answered as the last,
    /// and none of them stays.
    @Test(arguments: [1, 2]) func `no connection slips in and stays`(loops: Int) async throws {
        var stayed = 0
        for _ in 0..<5 where stayed == 0 {
            try await withNode(script: { _ in [.response(200)] }, loops: loops) { node, _ in
                let connected = Watched<[RawClient]>([])
                let storm = Task {
                    try await onThread {
                        for _ in 0..<300 {
                            guard let client = try? node.connect() else { return }
                            connected.change { $0.append(client) }
                        }
                    }
                }
                try await connected.wait(for: "connections") { $0.count >= 10 }
                if await !node.drain(within: 2).value { stayed = node.connectionCount }
                try await storm.value
                for client in connected.current { client.close() }
            }
        }
        #expect(stayed == 0)
    }
}
