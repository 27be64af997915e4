import EdgeNode
import EdgeOrigin
import EdgePolicy
import EdgeTesting
import Testing

/// A new configuration while requests are under way: nothing is dropped, and what comes next goes by it.
@Suite(.wholeNodes) struct ReloadTests {
    private static let cacheable = ["Cache-Control: max-age=3600"]

    private static func reload(_ node: TestNode, _ change: (inout NodeConfiguration) -> Void) {
        var configuration = node.node.configuration
        change(&configuration)
        node.node.reload(configuration)
    }

    /// Waits until the loop of `client` has the new rules: what a loop is told it does between two of its rounds, so
    /// the second answer comes after it.
    private static func settle(_ client: RawClient) async throws {
        for _ in 0..<2 {
            try await client.send(RawClient.request("OPTIONS", "*", ["Max-Forwards: 0"]))
            _ = try await client.response(to: "OPTIONS")
        }
    }

    private static func ask(_ client: RawClient, host: String = "case.test") async throws -> ClientResponse {
        try await client.send(RawClient.request("GET", "/r", host: host))
        return try await client.response()
    }

    /// A second origin beside the node's own.
    private static func withSecondOrigin(
        script: @escaping ScriptedServer.Script,
        configure: (inout NodeConfiguration) -> Void = { _ in },
        _ body: (TestNode, ScriptedServer, ScriptedServer) async throws -> Void
    ) async throws {
        let second = try ScriptedServer { _ in [.response(200, cacheable, body: "second")] }
        defer { second.stop() }
        try await withNode(script: script, configure: configure) { node, first in
            try await body(node, first, second)
        }
    }

    @Test(arguments: [false, true])
    func `a pull under way finishes from the old origin, new ones go to the new one`(isRenamed: Bool)
        async throws
    {
        let gate = Gate("the rest")
        try await Self.withSecondOrigin(script: { _ in
            [
                .head(200, Self.cacheable + ["Content-Length: 11"]), .text("first"), .wait(gate),
                .text(" whole"),
            ]
        }) { node, first, second in
            let client = try node.connect()
            try await client.send(RawClient.request("GET", "/under-way"))
            _ = try await client.head()
            #expect(try await client.body(count: 5) == "first")
            Self.reload(node) { configuration in
                if isRenamed {
                    configuration.origins = ["other": OriginConfiguration(urls: [second.url])]
                    configuration.sites[0].origin = "other"
                } else {
                    configuration.origins["main"]?.urls = [second.url]
                }
            }
            #expect(try await node.fetch("GET", "/new").text == "second")
            // Who comes late to the pull under way still gets what it brings.
            let follower = try node.connect()
            try await follower.send(RawClient.request("GET", "/under-way"))
            #expect(try await follower.head().cacheStatus?.contains("collapsed") == true)
            gate.open()
            #expect(try await client.body(count: 6) == " whole")
            #expect(try await follower.body(count: 11) == "first whole")
            let later = try await node.fetch("GET", "/under-way")
            #expect(later.text == "first whole")
            #expect(later.cacheStatus?.hasPrefix("rockpool; hit") == true)
            #expect(first.requestCount == 1)
            #expect(second.requestCount == 1)
        }
    }

    @Test func `an upload under way finishes at the old origin`() async throws {
        let hasHead = Watched(false)
        let second = try ScriptedServer { _ in [.response(200, body: "second")] }
        defer { second.stop() }
        try await withNode(
            script: { _ in [.reach(hasHead), .readBody, .response(200, body: "first")] }, readsBodies: false
        ) { node, first in
            let client = try node.connect()
            try await client.send("POST / HTTP/1.1\r\nHost: case.test\r\nContent-Length: 10\r\n\r\n12345")
            try await hasHead.wait(for: "the upload's head") { $0 }
            Self.reload(node) { $0.origins["main"]?.urls = [second.url] }
            try await client.send("67890")
            #expect(try await client.response().text == "first")
            #expect(first.requests[0].text == "1234567890")
            #expect(second.requestCount == 0)
        }
    }

    @Test func `a pull that waits for a connection goes to the new origin`() async throws {
        let gate = Gate("the first answer")
        try await Self.withSecondOrigin(
            script: { _ in [.wait(gate), .response(200, Self.cacheable, body: "first")] },
            configure: { $0.origins["main"]?.maxConnections = 1 }
        ) { node, first, second in
            let ahead = try node.connect()
            try await ahead.send(RawClient.request("GET", "/ahead"))
            try await first.waitForRequests(count: 1)
            let waiting = try node.connect()
            try await waiting.send(RawClient.request("GET", "/waiting"))
            let deadline = Deadline.standard
            while node.node.pulls.snapshot()[0].queued == 0, !deadline.isOver {
                try await Task.sleep(for: .milliseconds(2))
            }
            Self.reload(node) { configuration in
                configuration.origins["main"]?.urls = [second.url]
                configuration.origins["main"]?.maxConnections = 2
            }
            #expect(try await waiting.response().text == "second")
            gate.open()
            #expect(try await ahead.response().text == "first")
        }
    }

    @Test func `what is stored stays, from whichever origin it came`() async throws {
        try await Self.withSecondOrigin(script: { _ in [.response(200, Self.cacheable, body: "first")] }) {
            node, first, second in
            for number in 0..<20 { _ = try await node.fetch("GET", "/\(number)") }
            Self.reload(node) { configuration in
                configuration.origins = ["other": OriginConfiguration(urls: [second.url])]
                configuration.sites[0].origin = "other"
            }
            for number in 0..<20 {
                let response = try await node.fetch("GET", "/\(number)")
                #expect(response.text == "first")
                #expect(response.cacheStatus?.hasPrefix("rockpool; hit") == true)
            }
            #expect(first.requestCount == 20)
            #expect(second.requestCount == 0)
        }
    }

    // MARK: Rules

    @Test(arguments: [1, 2])
    func `changed rules act on connections that were open`(loops: Int) async throws {
        try await withNode(
            script: { [.response(200, $0.number == 0 ? Self.cacheable : [], body: "\($0.number)")] },
            loops: loops
        ) { node, origin in
            // More connections than loops, so that every loop has some.
            let clients = try (0..<8).map { _ in try node.connect() }
            for client in clients { #expect(try await Self.ask(client).text == "0") }
            var pass = RuleConfiguration()
            pass.passes = true
            Self.reload(node) { $0.sites[0].rules = [pass] }
            for (number, client) in clients.enumerated() {
                try await Self.settle(client)
                let response = try await Self.ask(client)
                #expect(response.text == "\(number + 1)")
                #expect(response.cacheStatus?.contains("fwd=bypass") == true)
            }
            Self.reload(node) { $0.sites[0].rules = [] }
            // The stored response was there all the time.
            for client in clients {
                try await Self.settle(client)
                #expect(try await Self.ask(client).text == "0")
            }
            #expect(node.connectionCount == clients.count)
            #expect(origin.requestCount == 1 + clients.count)
        }
    }

    @Test func `changed rules act on the very next request`() async throws {
        try await withNode(script: { _ in [.response(200, Self.cacheable, body: "x")] }) { node, _ in
            let client = try node.connect()
            _ = try await Self.ask(client)
            var late = 0
            for number in 0..<100 {
                var rule = RuleConfiguration()
                rule.response = RuleConfiguration.FieldEdits()
                rule.response?.set = ["X-Number": "\(number)"]
                Self.reload(node) { $0.sites[0].rules = [rule] }
                if try await Self.ask(client).fields["X-Number"] != "\(number)" { late += 1 }
            }
            // A loop learns of new rules after it has read what had come by then.
            #expect(late == 0)
        }
    }

    @Test func `a changed lifetime acts on what is stored from then on`() async throws {
        try await withNode(script: { [.response(200, body: "\($0.number)")] }) { node, origin in
            let client = try node.connect()
            #expect(try await Self.ask(client).text == "0")
            #expect(try await Self.ask(client).text == "1")
            var rule = RuleConfiguration()
            rule.lifetimes = CachingRules.Lifetimes(defaultMilliseconds: 60_000)
            Self.reload(node) { $0.sites[0].rules = [rule] }
            try await Self.settle(client)
            #expect(try await Self.ask(client).cacheStatus?.contains("stored; ttl=60") == true)
            let hit = try await Self.ask(client)
            #expect(hit.text == "2")
            #expect(hit.cacheStatus?.hasPrefix("rockpool; hit") == true)
            #expect(origin.requestCount == 3)
        }
    }

    @Test func `changed response fields act on stored responses`() async throws {
        try await withNode(script: { _ in [.response(200, Self.cacheable + ["Server: s"], body: "x")] }) {
            node, _ in
            let client = try node.connect()
            #expect(try await Self.ask(client).fields["Server"] == "s")
            var rule = RuleConfiguration()
            rule.response = RuleConfiguration.FieldEdits()
            rule.response?.remove = ["Server"]
            rule.response?.set = ["X-Edge": "new"]
            Self.reload(node) { $0.sites[0].rules = [rule] }
            try await Self.settle(client)
            let edited = try await Self.ask(client)
            #expect(edited.fields["Server"] == nil)
            #expect(edited.fields["X-Edge"] == "new")
            #expect(edited.cacheStatus?.hasPrefix("rockpool; hit") == true)
            Self.reload(node) { $0.sites[0].rules = [] }
            try await Self.settle(client)
            #expect(try await Self.ask(client).fields["Server"] == "s")
        }
    }

    @Test func `a site that goes away answers 421 on connections that were open`() async throws {
        try await withNode(script: { _ in [.response(200, Self.cacheable, body: "x")] }) { node, _ in
            let client = try node.connect()
            #expect(try await Self.ask(client).status == 200)
            Self.reload(node) { $0.sites[0].hosts = ["other.test"] }
            try await Self.settle(client)
            #expect(try await Self.ask(client).status == 421)
            #expect(try await Self.ask(client, host: "other.test").status == 200)
        }
    }

    // MARK: Under load

    /// An origin that changes its name changes in two places, the sites and the pulls, and no request may fall
    /// between them.
    @Test func `no request fails while the origin changes its name again and again`() async throws {
        try await withNode(
            script: { _ in [.response(200, ["Cache-Control: no-store"], body: "x")] }, loops: 2
        ) {
            node, origin in
            let isOver = Watched(false)
            let failures = Watched<[String]>([])
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        let client = try node.connect()
                        while !isOver.current {
                            try await client.send(RawClient.request("GET", "/r"))
                            let response = try await client.response()
                            if response.status != 200 {
                                let text = "\(response.status) \(response.proxyStatus ?? "")"
                                failures.change { $0.append(text) }
                            }
                        }
                    }
                }
                for number in 0..<100 {
                    let before = origin.requestCount
                    Self.reload(node) { configuration in
                        configuration.origins = [
                            "origin-\(number)": OriginConfiguration(urls: [origin.url])
                        ]
                        configuration.sites[0].origin = "origin-\(number)"
                    }
                    try await origin.waitForRequests(count: before + 1)
                }
                isOver.change { $0 = true }
                try await group.waitForAll()
            }
            #expect(failures.current == [])
        }
    }
}
