import EdgeNode
import EdgeOrigin
import EdgeTesting
import Testing

/// Several servers of one origin: who is asked while one of them is in trouble.
@Suite(.wholeNodes) struct OriginHealthTests {
    private static let passed = ["Cache-Control: no-store"]

    /// Answers every request with `name`; checks as `isWell` says.
    private static func server(_ name: String, isWell: Watched<Bool> = Watched(true)) throws -> ScriptedServer
    {
        try ScriptedServer { request in
            if request.target == "/healthz" { return [.response(isWell.current ? 200 : 500)] }
            return [.response(200, passed, body: name)]
        }
    }

    /// Runs `body` with a node in front of `servers`, which it ends too.
    private static func withServers(
        _ servers: [ScriptedServer], configure: (inout OriginConfiguration) -> Void = { _ in },
        _ body: (TestNode) async throws -> Void
    ) async throws {
        defer { for server in servers { server.stop() } }
        var origin = OriginConfiguration(urls: servers.map(\.url))
        configure(&origin)
        let node = try await TestNode.start(origin: servers[0].url) { $0.origins["main"] = origin }
        do {
            try await body(node)
        } catch {
            try await node.stop()
            throw error
        }
        try await node.stop()
    }

    /// Checks every 20 ms that bring a server back after two.
    private static func checked(unhealthyAfter: Int) -> (inout OriginConfiguration) -> Void {
        {
            $0.health = OriginConfiguration.Health(path: "/healthz")
            $0.health?.intervalMilliseconds = 20
            $0.health?.unhealthyAfter = unhealthyAfter
            $0.health?.healthyAfter = 2
        }
    }

    /// Polls until the first server of the origin is in that state.
    private static func wait(_ node: TestNode, until health: OriginSnapshot.Health) async throws {
        let deadline = Deadline.standard
        while node.node.pulls.snapshot()[0].health != health {
            guard !deadline.isOver else { throw TestFailure("the first server never was \(health)") }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    private static func pulls(_ server: ScriptedServer) -> [String] {
        server.requests.map(\.target).filter { $0 != "/healthz" }
    }

    // MARK: Active checks

    @Test func `checks take a failing server out and bring it back`() async throws {
        let isWell = Watched(true)
        let first = try Self.server("first", isWell: isWell)
        let second = try Self.server("second")
        try await Self.withServers(
            [first, second],
            configure: Self.checked(unhealthyAfter: 3)
        ) { node in
            #expect(try await node.fetch("GET", "/").text == "first")
            isWell.change { $0 = false }
            try await Self.wait(node, until: .unhealthy)
            for _ in 0..<5 { #expect(try await node.fetch("GET", "/").text == "second") }
            #expect(try await node.fetch("POST", "/", body: "x").text == "second")
            #expect(Self.pulls(first).count == 1)
            isWell.change { $0 = true }
            try await Self.wait(node, until: .healthy)
            for _ in 0..<5 { #expect(try await node.fetch("GET", "/").text == "first") }
        }
    }

    /// What the checks find counts in rows: neither a failure nor a success alone changes anything.
    @Test func `a server goes out and comes back after the configured number of checks`() async throws {
        let checks = Watched(0)
        // The first check fails, the second does not, three fail, one does not, one fails, then all is well.
        let failing: Set = [0, 2, 3, 4, 6]
        let wasSeenOut = Gate("seen out")
        let first = try ScriptedServer { _ in
            let number = checks.change { count in
                defer { count += 1 }
                return count
            }
            // Before the first of the two that bring it back, the test has to have seen that it was out.
            return (number >= 7 ? [.wait(wasSeenOut)] : []) + [
                .response(failing.contains(number) ? 503 : 204)
            ]
        }
        try await Self.withServers(
            [first],
            configure: Self.checked(unhealthyAfter: 3)
        ) { node in
            try await Self.wait(node, until: .unhealthy)
            wasSeenOut.open()
            #expect(checks.current >= 5)
            try await Self.wait(node, until: .healthy)
            #expect(checks.current >= 9)
            #expect(Set(first.requests.map(\.target)) == ["/healthz"])
        }
    }

    @Test func `with every server out a request fails at once, and a stale response serves`() async throws {
        let isWell = Watched(true)
        let server = try ScriptedServer { request in
            if request.target == "/healthz" { return [.response(isWell.current ? 200 : 500)] }
            return [.response(200, ["Cache-Control: max-age=60", "Age: 90", "ETag: \"a\""], body: "old")]
        }
        try await Self.withServers(
            [server],
            configure: Self.checked(unhealthyAfter: 1)
        ) { node in
            _ = try await node.fetch("GET", "/stored")
            isWell.change { $0 = false }
            try await Self.wait(node, until: .unhealthy)
            let response = try await node.fetch("GET", "/other")
            #expect(response.status == 502)
            #expect(response.proxyStatus?.contains("destination_unavailable") == true)
            #expect(try await node.fetch("GET", "/stored").text == "old")
            #expect(Self.pulls(server) == ["/stored"])
        }
    }

    @Test func `a check is sent with the origin's Host and its own fields`() async throws {
        let server = try Self.server("first")
        try await Self.withServers(
            [server],
            configure: {
                $0.health = OriginConfiguration.Health(path: "/healthz")
                $0.host = .name("origin.test")
                $0.headers = ["X-Edge-Secret": "s"]
            }
        ) { _ in
            let check = try await server.waitForRequests(count: 1)[0]
            #expect(check.method == "GET")
            #expect(check.target == "/healthz")
            #expect(check.fields["Host"] == "origin.test")
            #expect(check.fields["X-Edge-Secret"] == "s")
        }
    }

    // MARK: Passive failures

    @Test func `a first server that refuses costs a request the retry and nothing else`() async throws {
        let first = try Self.server("first")
        let second = try Self.server("second")
        first.refuseConnections()
        try await Self.withServers([first, second]) { node in
            for number in 0..<10 {
                let answers = [
                    try await node.fetch("GET", "/\(number)"),
                    try await node.fetch("POST", "/\(number)", body: "x"),
                ]
                #expect(answers.map(\.text) == ["second", "second"])
            }
            #expect(second.requestCount == 20)
            #expect(second.requests.filter { $0.method == "POST" }.allSatisfy { $0.text == "x" })
            // After three failures nobody asks the first one any more, but for a probe after each back-off.
            let failures = node.node.pulls.snapshot()[0].failures
            #expect(failures >= 3)
            #expect(failures < 10)
        }
    }

    @Test(arguments: [[ScriptStep.close], [.reset]])
    func `a GET that the first server swallowed goes to the second, a POST does not`(steps: [ScriptStep])
        async throws
    {
        let first = try ScriptedServer { _ in steps }
        let second = try Self.server("second")
        try await Self.withServers([first, second]) { node in
            #expect(try await node.fetch("GET", "/g").text == "second")
            let posted = try await node.fetch("POST", "/p", body: "x")
            #expect(posted.status == 502)
            #expect(posted.proxyStatus?.contains("connection_terminated") == true)
            #expect(first.requests.map(\.method) == ["GET", "POST"])
            #expect(second.requests.map(\.method) == ["GET"])
        }
    }

    @Test func `an answer of the first server, good or bad, is the answer`() async throws {
        let first = try ScriptedServer { _ in [.response(503, Self.passed, body: "bad")] }
        let second = try Self.server("second")
        try await Self.withServers([first, second]) { node in
            for _ in 0..<5 {
                let response = try await node.fetch("GET", "/")
                #expect(response.status == 503)
            }
            #expect(second.requestCount == 0)
        }
    }

    /// A server that is out is asked by one pull after its back-off; the others do not wait for what it says.
    @Test func `the breaker half-opens with one probe`() async throws {
        let arrived = Watched<[String]>([])
        let gate = Gate("the probe's answer")
        let first = try ScriptedServer { request in
            arrived.change { $0.append("first") }
            return request.number == 0
                ? [.wait(gate), .response(200, Self.passed, body: "first")]
                : [.response(200, Self.passed, body: "first")]
        }
        let second = try ScriptedServer { _ in
            arrived.change { $0.append("second") }
            return [.response(200, Self.passed, body: "second")]
        }
        first.refuseConnections()
        try await Self.withServers([first, second]) { node in
            for _ in 0..<3 { #expect(try await node.fetch("GET", "/").text == "second") }
            #expect(node.node.pulls.snapshot()[0].health == .unhealthy)
            try first.acceptConnections()
            let probing = try await Self.sendUntilProbe(node, arrived)
            #expect(node.node.pulls.snapshot()[0].health == .halfOpen)
            for _ in 0..<10 { #expect(try await node.fetch("GET", "/").text == "second") }
            #expect(first.requestCount == 1)
            gate.open()
            #expect(try await probing.response().text == "first")
            for _ in 0..<3 { #expect(try await node.fetch("GET", "/").text == "first") }
        }
    }

    @Test func `a probe that fails keeps the server out, and the client gets the other's answer`()
        async throws
    {
        let arrived = Watched<[String]>([])
        let first = try ScriptedServer { _ in
            arrived.change { $0.append("first") }
            return [.reset]
        }
        let second = try ScriptedServer { _ in
            arrived.change { $0.append("second") }
            return [.response(200, Self.passed, body: "second")]
        }
        first.refuseConnections()
        try await Self.withServers([first, second]) { node in
            for _ in 0..<3 { #expect(try await node.fetch("GET", "/").text == "second") }
            try first.acceptConnections()
            let probing = try await Self.sendUntilProbe(node, arrived)
            #expect(try await probing.response().text == "second")
            for _ in 0..<10 { #expect(try await node.fetch("GET", "/").text == "second") }
            // On a slow machine a second back-off may have passed.
            #expect(first.requestCount < 4)
            #expect(node.node.pulls.snapshot()[0].health != .healthy)
        }
    }

    /// Sends requests, one after another, until one reaches the first server; answers the client that sent it.
    private static func sendUntilProbe(_ node: TestNode, _ arrived: Watched<[String]>) async throws
        -> RawClient
    {
        let deadline = Deadline.standard
        while !deadline.isOver {
            let before = arrived.current.count
            let client = try node.connect()
            try await client.send(RawClient.request("GET", "/"))
            try await arrived.wait(for: "a request at a server") { $0.count > before }
            if arrived.current.contains("first") { return client }
            _ = try await client.response()
            client.close()
            try await Task.sleep(for: .milliseconds(10))
        }
        throw TestFailure("no request ever reached the server that was out")
    }
}
