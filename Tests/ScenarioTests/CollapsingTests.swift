import EdgeNode
import EdgeTesting
import Testing

/// Requests that share one origin pull (RFC 9111 4).
@Suite(.wholeNodes) struct CollapsingTests {
    private static let cacheable = ["Cache-Control: max-age=3600"]

    /// A chunked answer in two parts, the second behind `gate`.
    private static func inTwoParts(_ gate: Gate, _ fields: [String] = cacheable) -> [ScriptStep] {
        [
            .head(200, fields + ["Transfer-Encoding: chunked"]), .chunk("first"), .wait(gate),
            .chunk("second"),
            .text("0\r\n\r\n"),
        ]
    }

    private static func startRequest(_ node: TestNode, _ fields: [String] = []) async throws -> RawClient {
        let client = try node.connect()
        try await client.send(RawClient.request("GET", target, fields))
        return client
    }

    private static let target = "/big"

    private static func request(_ fields: [String] = []) -> String {
        RawClient.request("GET", target, fields)
    }

    @Test(arguments: [1, 2]) func `100 clients of one cold target are one origin request`(loops: Int)
        async throws
    {
        let gate = Gate("answer")
        try await withNode(
            script: { _ in [.wait(gate), .response(200, Self.cacheable, body: "shared")] }, loops: loops
        ) {
            node, origin in
            let clients = try (0..<100).map { _ in try node.connect() }
            for client in clients { try await client.send(Self.request()) }
            try await node.waitForFollowers(99)
            gate.open()
            var collapsed = 0
            for client in clients {
                let response = try await client.response()
                #expect(response.text == "shared")
                if response.cacheStatus?.contains("collapsed") == true { collapsed += 1 }
            }
            #expect(origin.requestCount == 1)
            #expect(collapsed == 99)
        }
    }

    @Test func `an interim response's cookie is for the client whose request brought it`() async throws {
        let gates = (Gate("interim"), Gate("answer"))
        let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nSet-Cookie: visitor=1\r\n\r\n"
        try await withNode(
            script: { _ in
                [
                    .wait(gates.0), .text(hints), .wait(gates.1),
                    .response(200, Self.cacheable, body: "shared"),
                ]
            }
        ) { node, _ in
            let leader = try await Self.startRequest(node)
            let follower = try await Self.startRequest(node)
            try await node.waitForFollowers(1)
            gates.0.open()
            gates.1.open()
            let answers = (try await leader.response(), try await follower.response())
            #expect(answers.0.interims.first?.fields["Set-Cookie"] == "visitor=1")
            #expect(answers.1.interims.first?.fields["Link"] == "</a.css>")
            #expect(answers.1.interims.first?.fields["Set-Cookie"] == nil)
        }
    }

    @Test func `followers get bytes before the origin is done`() async throws {
        let gate = Gate("second part")
        try await withNode(script: { _ in Self.inTwoParts(gate) }) { node, origin in
            let leader = try await Self.startRequest(node)
            #expect(try await leader.head().status == 200)
            #expect(try await leader.chunkedBody(count: 5) == "first")
            let follower = try await Self.startRequest(node)
            let head = try await follower.head()
            #expect(head.cacheStatus?.contains("collapsed") == true)
            #expect(try await follower.chunkedBody(count: 5) == "first")
            gate.open()
            #expect(try await follower.chunkedBody(count: 6) == "second")
            #expect(try await leader.chunkedBody(count: 6) == "second")
            #expect(origin.requestCount == 1)
        }
    }

    @Test func `a follower may be served by a fill with a known length`() async throws {
        let gate = Gate("second part")
        try await withNode(script: { _ in
            [
                .head(200, Self.cacheable + ["Content-Length: 11"]), .text("first"), .wait(gate),
                .text("second"),
            ]
        }) { node, origin in
            let leader = try await Self.startRequest(node)
            #expect(try await leader.head().fields["Content-Length"] == "11")
            #expect(try await leader.body(count: 5) == "first")
            let follower = try await Self.startRequest(node, ["Range: bytes=3-6"])
            #expect(try await follower.head().status == 206)
            #expect(try await follower.body(count: 2) == "st")
            gate.open()
            #expect(try await follower.body(count: 2) == "se")
            #expect(try await leader.body(count: 6) == "second")
            #expect(origin.requestCount == 1)
        }
    }

    @Test(arguments: [false, true])
    func `the fill goes on when its leader goes away`(afterFirstBytes: Bool) async throws {
        let gate = Gate("go on")
        let script: [ScriptStep] =
            afterFirstBytes
            ? Self.inTwoParts(gate) : [.wait(gate), .response(200, Self.cacheable, body: "firstsecond")]
        try await withNode(script: { _ in script }) { node, origin in
            let leader = try await Self.startRequest(node)
            try await origin.waitForRequests(count: 1)
            if afterFirstBytes { _ = try await leader.head() }
            let follower = try await Self.startRequest(node)
            if afterFirstBytes { _ = try await follower.head() }
            leader.reset()
            gate.open()
            let body: String =
                afterFirstBytes
                ? try await follower.chunkedBody(count: 11) : try await follower.response().text
            #expect(body == "firstsecond")
            let later = try await node.fetch(target: Self.target)
            #expect(later.text == "firstsecond")
            #expect(later.cacheStatus?.hasPrefix("rockpool; hit") == true)
            #expect(origin.requestCount == 1)
        }
    }

    @Test func `the fill goes on when every client has gone`() async throws {
        let gate = Gate("go on")
        try await withNode(script: { _ in Self.inTwoParts(gate) }) { node, origin in
            let only = try await Self.startRequest(node)
            _ = try await only.head()
            only.reset()
            gate.open()
            try await origin.waitForAnswers(count: 1)
            let later = try await node.fetch(target: Self.target)
            #expect(later.text == "firstsecond")
            #expect(origin.requestCount == 1)
        }
    }

    @Test func `followers share a failure before the first byte`() async throws {
        let gate = Gate("fail")
        try await withNode(script: { _ in [.wait(gate), .reset] }) { node, origin in
            let clients = try (0..<20).map { _ in try node.connect() }
            for client in clients { try await client.send(Self.request()) }
            try await Self.waitForReaders(node, clients.count)
            gate.open()
            for client in clients {
                let response = try await client.response()
                #expect(response.status == 502)
                #expect(response.proxyStatus?.contains("connection_terminated") == true)
            }
            #expect(origin.requestCount == 1)
        }
    }

    @Test func `followers share a stale response when the pull fails`() async throws {
        let gate = Gate("fail")
        try await withNode(script: { request in
            request.number == 0
                ? [
                    .response(
                        200, ["Cache-Control: max-age=1", "ETag: \"a\"", "Connection: close"], body: "old")
                ]
                : [.wait(gate), .reset]
        }) { node, origin in
            _ = try await node.fetch(target: Self.target)
            // The lifetime has to pass: what is stale on arrival is not collapsed.
            try await Task.sleep(for: .milliseconds(1_050))
            let clients = try (0..<20).map { _ in try node.connect() }
            for client in clients { try await client.send(Self.request()) }
            try await Self.waitForReaders(node, clients.count)
            gate.open()
            for client in clients {
                let response = try await client.response()
                #expect(response.text == "old")
                #expect(response.cacheStatus?.contains("stale-if-unreachable") == true)
            }
            #expect(origin.requestCount == 2)
        }
    }

    @Test func `a failure after the first byte ends every reader without a clean end`() async throws {
        let gate = Gate("fail")
        try await withNode(script: { _ in
            [.head(200, Self.cacheable + ["Content-Length: 100"]), .text("first"), .wait(gate), .close]
        }) { node, origin in
            let leader = try await Self.startRequest(node)
            _ = try await leader.head()
            let follower = try await Self.startRequest(node)
            _ = try await follower.head()
            gate.open()
            #expect(try await leader.rest() == Array("first".utf8))
            #expect(try await follower.rest() == Array("first".utf8))
            origin.answer { _ in [.response(200, Self.cacheable, body: "whole")] }
            #expect(try await node.fetch(target: Self.target).text == "whole")
        }
    }

    @Test(arguments: [
        ["Cache-Control: no-store"], ["Cache-Control: private, max-age=60"],
        ["Vary: *", "Cache-Control: max-age=60"],
    ])
    func `a head that is not storable releases followers at once`(fields: [String]) async throws {
        let gate = Gate("rest of the first")
        try await withNode(script: { request in
            request.number == 0
                ? [.wait(gate), .head(200, fields + ["Content-Length: 5"]), .hang]
                : [.response(200, fields, body: "own \(request.number)")]
        }) { node, origin in
            let clients = try (0..<10).map { _ in try node.connect() }
            try await clients[0].send(Self.request())
            try await origin.waitForRequests(count: 1)
            for client in clients.dropFirst() { try await client.send(Self.request()) }
            try await Self.waitForReaders(node, clients.count)
            #expect(origin.requestCount == 1)
            gate.open()
            // The first pull never ends; the others do not wait for it.
            try await origin.waitForRequests(count: 10)
            for client in clients.dropFirst() { #expect(try await client.response().text.hasPrefix("own")) }
            clients[0].close()
        }
    }

    @Test func `what could not be shared is remembered, and pulled at once by each`() async throws {
        let gate = Gate("second")
        try await withNode(script: { request in
            request.number == 0
                ? [.response(200, ["Cache-Control: no-store"], body: "mine")]
                : [.wait(gate), .response(200, ["Cache-Control: no-store"], body: "mine")]
        }) { node, origin in
            #expect(try await node.fetch(target: Self.target).text == "mine")
            let clients = try (0..<5).map { _ in try node.connect() }
            for client in clients { try await client.send(Self.request()) }
            // All five are at the origin while none of them has an answer.
            try await origin.waitForRequests(count: 6)
            gate.open()
            for client in clients {
                let response = try await client.response()
                #expect(response.text == "mine")
            }
        }
    }

    @Test func `hit-for-miss ends with a reusable response`() async throws {
        try await withNode(script: { request in
            request.number == 0
                ? [.response(200, ["Cache-Control: no-store"], body: "mine")]
                : [.response(200, Self.cacheable, body: "ours")]
        }) { node, origin in
            _ = try await node.fetch(target: Self.target)
            let second = try await node.fetch(target: Self.target)
            #expect(second.cacheStatus?.contains("detail=hit-for-miss") == true)
            #expect(second.cacheStatus?.contains("stored") == true)
            #expect(try await node.fetch(target: Self.target).cacheStatus?.hasPrefix("rockpool; hit") == true)
            #expect(origin.requestCount == 2)
        }
    }

    @Test func `a follower that Vary does not select is released`() async throws {
        let gate = Gate("head")
        let rest = Gate("rest")
        try await withNode(script: { request in
            let choice = request.fields["X-Choice"] ?? "none"
            let fields = Self.cacheable + ["Vary: X-Choice"]
            return request.number == 0
                ? [.wait(gate), .head(200, fields + ["Content-Length: 1"]), .wait(rest), .text(choice)]
                : [.response(200, fields, body: choice)]
        }) { node, origin in
            let leader = try await Self.startRequest(node, ["X-Choice: a"])
            try await origin.waitForRequests(count: 1)
            let same = try await Self.startRequest(node, ["X-Choice: a"])
            let other = try await Self.startRequest(node, ["X-Choice: b"])
            try await Self.waitForReaders(node, 3)
            gate.open()
            #expect(try await other.response().text == "b")
            rest.open()
            #expect(try await leader.response().text == "a")
            #expect(try await same.response().text == "a")
            #expect(origin.requestCount == 2)
        }
    }

    @Test func `a slow follower slows nobody`() async throws {
        // More than the buffers of a connection hold.
        let body = String(repeating: "0123456789abcdef", count: 1 << 20)
        try await withNode(
            script: { _ in [.response(200, Self.cacheable, body: body)] },
            configure: { $0.cache.memoryBytes = 256 << 20 }
        ) { node, origin in
            let slow = try node.connect()
            try await slow.send(Self.request())
            try await origin.waitForRequests(count: 1)
            let quick = try await node.fetch(target: Self.target)
            #expect(quick.body.count == body.utf8.count)
            try await origin.waitForAnswers(count: 1)
            #expect(try await slow.head().status == 200)
            #expect(try await slow.body(count: 65_536) == String(body.prefix(65_536)))
            #expect(origin.requestCount == 1)
        }
    }

    @Test func `an unsafe request meanwhile keeps the fill out of the store`() async throws {
        let gate = Gate("rest")
        try await withNode(script: { request in
            switch (request.method, request.number) {
            case ("POST", _): [.response(200, body: "done")]
            case (_, 0): Self.inTwoParts(gate)
            default: [.response(200, Self.cacheable, body: "new")]
            }
        }) { node, _ in
            let leader = try await Self.startRequest(node)
            _ = try await leader.head()
            #expect(try await node.fetch("POST", target: Self.target, body: "x").status == 200)
            #expect(try await node.fetch(target: Self.target).text == "new")
            gate.open()
            #expect(try await leader.chunkedBody(count: 11) == "firstsecond")
            #expect(try await node.fetch(target: Self.target).text == "new")
        }
    }

    /// Waits for an answer of the node itself, which on the one loop comes after everything that had arrived
    /// before; by then so many connections are there.
    private static func waitForReaders(_ node: TestNode, _ count: Int) async throws {
        let client = try node.connect()
        try await client.send(RawClient.request("OPTIONS", "*", ["Max-Forwards: 0"]))
        _ = try await client.response(to: "OPTIONS")
        client.close()
        #expect(node.connectionCount >= count)
    }
}

extension TestNode {
    fileprivate func fetch(_ method: String = "GET", target: String, body: String? = nil) async throws
        -> ClientResponse
    {
        try await fetch(method, target, [], body: body)
    }
}
