import EdgeNode
import EdgeTesting
import Testing

/// What a crowd gets, and what it costs the origin, when the answer is an error that says nothing of how long it holds.
@Suite(.wholeNodes) struct ErrorSharingTests {
    private static func crowd(_ count: Int, _ node: TestNode, _ fields: [String] = []) async throws
        -> [RawClient]
    {
        let clients = try (0..<count).map { _ in try node.connect() }
        for client in clients { try await client.send(RawClient.request("GET", "/page", fields)) }
        return clients
    }

    @Test(arguments: [404, 410]) func `who waited for an answer that nothing is there shares it`(status: Int)
        async throws
    {
        let gate = Gate("answer")
        try await withNode(script: { _ in [.wait(gate), .response(status, [], body: "nothing here")] }) {
            node, origin in
            let clients = try await Self.crowd(40, node)
            try await node.waitForFollowers(39)
            gate.open()
            for client in clients {
                let response = try await client.response()
                #expect(response.status == status)
                #expect(response.text == "nothing here")
            }
            #expect(origin.requestCount == 1)
        }
    }

    @Test func `a chunked 404 is shared whole`() async throws {
        let gates = (Gate("answer"), Gate("rest"))
        try await withNode(
            script: { _ in
                [
                    .wait(gates.0), .head(404, ["Transfer-Encoding: chunked"]), .chunk("first"),
                    .wait(gates.1),
                    .chunk("second"), .text("0\r\n\r\n"),
                ]
            }, loops: 2
        ) { node, origin in
            let clients = try await Self.crowd(10, node)
            try await node.waitForFollowers(9)
            gates.0.open()
            gates.1.open()
            for client in clients { #expect(try await client.response().text == "firstsecond") }
            #expect(origin.requestCount == 1)
        }
    }

    @Test(arguments: [503, 429, 404, 403])
    func `right after an error requests still wait for one pull`(status: Int) async throws {
        let gate = Gate("second answer")
        try await withNode(
            script: { request in
                request.number == 0
                    ? [.response(status, [], body: "no")]
                    : [.wait(gate), .response(200, ["Cache-Control: max-age=60"])]
            }
        ) { node, origin in
            #expect(try await node.fetch("GET", "/page").status == status)
            let clients = try await Self.crowd(60, node)
            try await node.waitForFollowers(59)
            gate.open()
            for client in clients { #expect(try await client.response().status == 200) }
            #expect(origin.requestCount == 2)
        }
    }

    @Test func `who waited for another error goes on a few at a time`() async throws {
        let gates = (Gate("first answer"), Gate("later answers"))
        try await withNode(
            script: { request in
                [.wait(request.number == 0 ? gates.0 : gates.1), .response(503, [], body: "no")]
            }
        ) { node, origin in
            let clients = try await Self.crowd(60, node)
            try await node.waitForFollowers(59)
            gates.0.open()
            // Of the 59 that go on, eight pull and 51 wait for one of those.
            try await node.waitForFollowers(59 + 51)
            try await origin.waitForRequests(count: 9)
            #expect(origin.requestCount == 9)
            gates.1.open()
            for client in clients { #expect(try await client.response().status == 503) }
            #expect(origin.requestCount == 60)
        }
    }

    @Test func `a 404 with fields for one client alone is not shared`() async throws {
        let gate = Gate("answer")
        let fields = ["Cache-Control: private=\"X-User\"", "X-User: first"]
        try await withNode(script: { _ in [.wait(gate), .response(404, fields, body: "nothing here")] }) {
            node, origin in
            let clients = try await Self.crowd(3, node)
            try await node.waitForFollowers(2)
            gate.open()
            for client in clients { #expect(try await client.response().status == 404) }
            #expect(origin.requestCount == 3)
        }
    }

    @Test func `a 404 that was made for a visitor's credentials is nobody else's`() async throws {
        let gate = Gate("answer")
        try await withNode(script: { _ in [.wait(gate), .response(404, [], body: "nothing here")] }) {
            node, origin in
            let clients = try await Self.crowd(6, node, ["Cookie: visitor=1"])
            try await node.waitForFollowers(5)
            gate.open()
            for client in clients { #expect(try await client.response().status == 404) }
            #expect(origin.requestCount == 6)
        }
    }
}
