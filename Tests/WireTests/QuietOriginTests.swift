import EdgeNode
import EdgeOrigin
import EdgeTesting
import Testing

/// How long a body may pause: what the operator wrote, else longer where the pause keeps nobody waiting.
@Suite(.wholeNodes) struct QuietOriginTests {
    private static func withPause(
        _ fields: [String], gate: Gate, target: String = "/",
        configure: @escaping (inout NodeConfiguration) -> Void,
        _ body: (RawClient) async throws -> Void
    ) async throws {
        try await withNode(
            script: { _ in
                [.head(200, fields + ["Content-Length: 10"]), .text("first"), .wait(gate), .text("whole")]
            },
            configure: { configuration in
                configuration.origins["main"]?.stallTimeoutMilliseconds = 60_000
                configure(&configuration)
            }
        ) { node, _ in
            let client = try node.connect()
            try await client.send(RawClient.request("GET", target))
            _ = try await client.head()
            #expect(try await client.body(count: 5) == "first")
            try await body(client)
            gate.open()
        }
    }

    @Test(arguments: [
        ["Cache-Control: max-age=60"], ["Cache-Control: no-store"], ["Content-Type: text/event-stream"],
    ])
    func `what the operator wrote for the origin holds for every body`(fields: [String]) async throws {
        let gate = Gate("the rest")
        try await Self.withPause(
            fields, gate: gate, configure: { $0.origins["main"]?.stallTimeoutMilliseconds = 100 }
        ) { client in
            let isClosed = try await client.isClosedByPeer()
            #expect(isClosed)
        }
    }

    @Test func `a rule's word beats the origin's, for the paths it matches`() async throws {
        var rule = RuleConfiguration()
        rule.match.path = "/quick/*"
        rule.stallTimeoutMilliseconds = 100
        let rules = [rule]
        let gate = Gate("the rest")
        try await Self.withPause(
            ["Cache-Control: no-store"], gate: gate, target: "/quick/x",
            configure: { $0.sites[0].rules = rules }
        ) { client in
            let isClosed = try await client.isClosedByPeer()
            #expect(isClosed)
        }
    }
}
