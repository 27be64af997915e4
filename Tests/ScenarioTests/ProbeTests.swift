import EdgeOrigin
import EdgePolicy
import EdgePrimitives
import EdgeTesting
import Testing

@testable import EdgeNode

/// Who finds out whether a failed origin is back, and what a reload makes of what is known.
@Suite(.wholeNodes) struct ProbeTests {
    private static let stale = ["Cache-Control: max-age=60", "Age: 90", "ETag: \"a\""]

    private static func key(_ node: Node, _ path: String) -> Digest128 {
        var text: [UInt8] = []
        CacheKey.append(
            scheme: "http", authority: Array("case.test".utf8)[...], path: Array(path.utf8)[...], query: nil,
            rule: .all, into: &text)
        return node.seed.digest(text)
    }

    private static func expect(
        _ text: String, from node: TestNode, _ path: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let response = try await node.fetch("GET", path)
        #expect(response.text == text, sourceLocation: sourceLocation)
    }

    private static func ago(_ milliseconds: Int64) -> MonotonicTime {
        SystemClock.monotonic() + -milliseconds
    }

    private static func withStale(_ body: (TestNode, ScriptedServer) async throws -> Void) async throws {
        try await withNode(script: { _ in [.response(200, Self.stale, body: "old")] }) { node, origin in
            for path in ["/a", "/b"] { try await Self.expect("old", from: node, path) }
            origin.answer { _ in [.response(200, ["Cache-Control: max-age=3600"], body: "new")] }
            try await body(node, origin)
        }
    }

    @Test func `a request that starts no probe leaves the origin's turn to another`() async throws {
        try await Self.withStale { node, origin in
            // The origin is due for a probe; /a has just failed once more, so that it starts none.
            node.node.outages.pullFailed(
                "main", key: Self.key(node.node, "/a"), connecting: true, now: Self.ago(2_000))
            for _ in 0..<5 {
                node.node.marks.pullFailed(
                    Self.key(node.node, "/a"), .unreachable, origin: "main", now: Self.ago(0))
            }
            try await Self.expect("old", from: node, "/a")
            #expect(origin.requestCount == 2)
            try await Self.expect("old", from: node, "/b")
            let probe = try await origin.waitForRequests(count: 3)[2]
            #expect(probe.target == "/b")
        }
    }

    /// Of two reasons to serve stale one is over: its turn is not spent by a request that goes by the other.
    @Test func `a turn is taken only by a request that probes`() async throws {
        try await Self.withStale { node, origin in
            let key = Self.key(node.node, "/a")
            // A 5xx, for which nothing stored may be served here, due for a probe; and an outage that is not.
            node.node.marks.pullFailed(key, .serverError(status: 503), origin: "main", now: Self.ago(2_000))
            node.node.outages.pullFailed("main", key: key, connecting: true, now: Self.ago(0))
            try await Self.expect("old", from: node, "/a")
            let now = SystemClock.monotonic()
            let standing = node.node.marks.standing(key, origin: "main", now: now, isTrial: true)
            #expect(standing == .probe(.serverError(status: 503)))
            #expect(origin.requestCount == 2)
        }
    }

    private static func failBoth(_ node: Node) {
        for _ in 0..<6 {
            node.marks.pullFailed(key(node, "/a"), .unreachable, origin: "main", now: ago(0))
            node.outages.pullFailed("main", key: key(node, "/a"), connecting: true, now: ago(0))
        }
    }

    @Test func `an outage does not outlive the reload that changes its origin`() async throws {
        try await Self.withStale { node, origin in
            Self.failBoth(node.node)
            try await Self.expect("old", from: node, "/a")
            // Nothing of the origin changes.
            node.node.reload(node.node.configuration)
            try await Self.expect("old", from: node, "/a")
            try await Self.expect("old", from: node, "/b")
            var configuration = node.node.configuration
            configuration.origins["main"]?.connectTimeoutMilliseconds += 1
            node.node.reload(configuration)
            try await Self.expect("new", from: node, "/a")
            try await Self.expect("new", from: node, "/b")
        }
    }

    @Test func `a failure at one origin is none at another that the site has now`() async throws {
        try await Self.withStale { node, origin in
            Self.failBoth(node.node)
            var configuration = node.node.configuration
            configuration.origins["other"] = OriginConfiguration(urls: [origin.url])
            configuration.sites[0].origin = "other"
            node.node.reload(configuration)
            try await Self.expect("new", from: node, "/a")
        }
    }

    @Test func `a pull of before a reload that fails after it begins no outage`() async throws {
        let gate = Gate("the failure")
        try await Self.withStale { node, origin in
            origin.answer { _ in [.wait(gate), .reset] }
            let waiting = try node.connect()
            try await waiting.send(RawClient.request("GET", "/a"))
            try await origin.waitForRequests(count: 3)
            var configuration = node.node.configuration
            configuration.origins["main"]?.connectTimeoutMilliseconds += 1
            node.node.reload(configuration)
            gate.open()
            #expect(try await waiting.response().text == "old")
            origin.answer { _ in [.response(200, ["Cache-Control: max-age=3600"], body: "new")] }
            try await Self.expect("new", from: node, "/a")
        }
    }

    /// One by a signal, one by the admin API.
    @Test func `reloads that come at once leave one configuration, whole`() async throws {
        let servers = try (0..<2).map { number in
            try ScriptedServer { _ in [.response(200, ["Cache-Control: no-store"], body: "\(number)")] }
        }
        defer { for server in servers { server.stop() } }
        let node = try await TestNode.start(origin: servers[0].url)
        let configurations = servers.enumerated().map { number, server in
            var configuration = node.node.configuration
            configuration.origins = ["main": OriginConfiguration(urls: [server.url])]
            configuration.cache.memoryBytes = Int64(64 + number) << 20
            return configuration
        }
        for _ in 0..<50 {
            await withTaskGroup(of: Void.self) { group in
                for configuration in configurations {
                    group.addTask { _ = try? await onThread { node.node.reload(configuration) } }
                }
            }
            let holds = configurations.firstIndex(of: node.node.configuration)
            let response = try await node.fetch("GET", "/")
            #expect(response.text == holds.map { "\($0)" })
        }
        try await node.stop()
    }
}
