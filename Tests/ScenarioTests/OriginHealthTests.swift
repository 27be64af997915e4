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

    // MARK: Who decides

    /// A server that is out is asked by the node alone, and the others do not wait for what it says.
    @Test func `a server that is out comes back by the node's own check and by no client's request`()
        async throws
    {
        let gate = Gate("the check's answer")
        let isChecked = Watched(false)
        let first = try ScriptedServer { request in
            request.method == "HEAD"
                ? [.reach(isChecked), .wait(gate), .response(200, Self.passed)]
                : [.response(200, Self.passed, body: "first")]
        }
        let second = try Self.server("second")
        first.refuseConnections()
        try await Self.withServers([first, second]) { node in
            for _ in 0..<3 { #expect(try await node.fetch("GET", "/").text == "second") }
            #expect(node.node.pulls.snapshot()[0].health == .unhealthy)
            try first.acceptConnections()
            try await isChecked.wait(for: "the check") { $0 }
            #expect(node.node.pulls.snapshot()[0].health == .halfOpen)
            for _ in 0..<10 { #expect(try await node.fetch("GET", "/").text == "second") }
            gate.open()
            try await Self.wait(node, until: .healthy)
            for _ in 0..<3 { #expect(try await node.fetch("GET", "/").text == "first") }
            #expect(first.requests.map(\.method) == ["HEAD", "GET", "GET", "GET"])
            #expect(first.requests[0].target == "/")
        }
    }

    @Test(
        arguments: [
            (["*.test", "a.test", "b.test"], "a.test"), (["*.test"], nil), (["*"], nil),
        ] as [([String], String?)])
    func `the check goes to the first exact host of the origin's first site`(
        _ hosts: [String], _ host: String?
    )
        async throws
    {
        let server = try Self.server("first")
        server.refuseConnections()
        defer { server.stop() }
        let node = try await TestNode.start(origin: server.url) {
            $0.sites[0].hosts = hosts
            $0.sites.append(SiteConfiguration(hosts: ["other.example"], origin: "main"))
        }
        #expect(try await node.fetch("GET", "/").status == 502)
        try server.acceptConnections()
        let check = try await server.waitForRequests(count: 1)[0]
        #expect(check.method == "HEAD")
        #expect(check.fields["Host"] == host ?? "127.0.0.1:\(server.port)")
        try await node.stop()
    }

    /// An attacker knows a target that the origin closes without an answer.
    @Test(arguments: [1, 2])
    func `requests that the origin does not answer take it out for nobody`(servers count: Int) async throws {
        let servers = try (0..<count).map { _ in
            try ScriptedServer { request in
                request.target.hasPrefix("/kill") ? [.close] : [.response(200, Self.passed, body: "well")]
            }
        }
        try await Self.withServers(servers) { node in
            for number in 0..<40 {
                #expect(try await node.fetch("GET", "/kill?\(number)").status == 502)
                // Not one answer while the first thirty came.
                guard number >= 30 else { continue }
                let response = try await node.fetch("GET", "/\(number)")
                #expect(response.status == 200)
            }
            // They made the node look for itself.
            #expect(servers[0].requests.contains { $0.method == "HEAD" })
            #expect(node.node.pulls.snapshot().allSatisfy { $0.health == .healthy })
        }
    }

    @Test func `ten that time out make the node look, and it refuses what it finds out of order`()
        async throws
    {
        let isWell = Watched(false)
        let server = try ScriptedServer { _ in
            isWell.current ? [.response(200, Self.passed, body: "well")] : [.hang]
        }
        try await Self.withServers([server], configure: { $0.firstByteTimeoutMilliseconds = 100 }) { node in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<12 {
                    group.addTask {
                        let response = try await node.fetch("GET", "/\(number)")
                        #expect(response.status == 504)
                    }
                }
                try await group.waitForAll()
            }
            try await Self.wait(node, until: .unhealthy)
            #expect(Self.pulls(server).count == 13)
            let refused = try await node.fetch("GET", "/more")
            #expect(refused.proxyStatus?.contains("destination_unavailable") == true)
            isWell.change { $0 = true }
            try await Self.wait(node, until: .healthy)
            #expect(try await node.fetch("GET", "/more").text == "well")
        }
    }

    @Test func `a server that fails what another one answers gets nothing new for a while`() async throws {
        let first = try ScriptedServer { $0.method == "HEAD" ? [.response(200)] : [.close] }
        let second = try Self.server("second")
        try await Self.withServers([first, second]) { node in
            let backOff = Deadline(milliseconds: 900)
            for number in 0..<12 {
                let response = try await node.fetch("GET", "/\(number)")
                #expect(response.text == "second")
            }
            let asked = first.requests.map(\.method).count { $0 == "GET" }
            #expect(asked >= 3)
            if !backOff.isOver { #expect(asked == 3) }
            #expect(node.node.pulls.snapshot()[0].health == .healthy)
        }
    }

    /// It answers what the node asks, and nothing that clients ask.
    @Test func `a server that says nothing leaves the pulls to another, whatever it tells checks`()
        async throws
    {
        let first = try ScriptedServer { $0.method == "HEAD" ? [.response(200)] : [.hang] }
        let second = try Self.server("second")
        try await Self.withServers([first, second], configure: { $0.firstByteTimeoutMilliseconds = 100 }) {
            node in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<12 {
                    group.addTask { _ = try await node.fetch("GET", "/\(number)") }
                }
                try await group.waitForAll()
            }
            let backOff = Deadline(milliseconds: 900)
            let response = try await node.fetch("GET", "/r")
            if !backOff.isOver { #expect(response.text == "second") }
        }
    }

    /// The handshake belongs to connecting: what does not speak TLS cannot be connected to by it.
    @Test func `a handshake that fails takes a server out`() async throws {
        let first = try Self.server("first")
        defer { first.stop() }
        let second = try Self.server("second")
        let url = "https" + first.url.dropFirst("http".count)
        let configure: (inout OriginConfiguration) -> Void = {
            $0.urls.insert(url, at: 0)
            $0.connectTimeoutMilliseconds = 100
        }
        try await Self.withServers([second], configure: configure) { node in
            for number in 0..<3 {
                let response = try await node.fetch("GET", "/\(number)")
                #expect(response.text == "second")
            }
            #expect(node.node.pulls.snapshot()[0].health != .healthy)
            #expect(node.node.pulls.snapshot()[0].failures == 3)
        }
    }

    // MARK: Waiting for the check

    @Test func `after an outage requests wait for the check that is under way`() async throws {
        let gate = Gate("the check's answer")
        let isChecked = Watched(false)
        let server = try ScriptedServer { request in
            request.method == "HEAD"
                ? [.reach(isChecked), .wait(gate), .response(200, Self.passed)]
                : [.response(200, Self.passed, body: "well")]
        }
        server.refuseConnections()
        let configure: (inout OriginConfiguration) -> Void = { $0.connectTimeoutMilliseconds = 60_000 }
        try await Self.withServers([server], configure: configure) { node in
            for number in 0..<3 { #expect(try await node.fetch("GET", "/\(number)").status == 502) }
            #expect(try await node.fetch("GET", "/refused").status == 502)
            try server.acceptConnections()
            try await isChecked.wait(for: "the check") { $0 }
            let clients = try (0..<20).map { _ in try node.connect() }
            for (number, client) in clients.enumerated() {
                try await client.send(RawClient.request(number % 2 == 0 ? "GET" : "DELETE", "/\(number)"))
            }
            gate.open()
            for client in clients { #expect(try await client.response().text == "well") }
        }
    }

    @Test func `they wait for no longer than connecting may take`() async throws {
        let isChecked = Watched(false)
        let server = try ScriptedServer { _ in [.reach(isChecked), .hang] }
        server.refuseConnections()
        try await Self.withServers([server], configure: { $0.connectTimeoutMilliseconds = 150 }) { node in
            for number in 0..<3 { #expect(try await node.fetch("GET", "/\(number)").status == 502) }
            try server.acceptConnections()
            try await isChecked.wait(for: "the check") { $0 }
            let response = try await node.fetch("GET", "/r")
            #expect(response.status == 502)
            #expect(response.proxyStatus?.contains("destination_unavailable") == true)
        }
    }

    @Test func `a reload has what is out checked at once`() async throws {
        let server = try Self.server("well")
        server.refuseConnections()
        try await Self.withServers([server]) { node in
            // Two checks failed, so the next is seconds away.
            for number in 0..<3 { #expect(try await node.fetch("GET", "/\(number)").status == 502) }
            try server.acceptConnections()
            node.node.reload(node.node.configuration)
            let response = try await node.fetch("GET", "/r")
            #expect(response.text == "well")
        }
    }
}
