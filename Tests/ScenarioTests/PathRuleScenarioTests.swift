import EdgeNode
import EdgePolicy
import EdgeTesting
import Testing

/// Rules of a site, and paths that are written so as to be read as other ones.
@Suite(.wholeNodes) struct PathRuleScenarioTests {
    private static func withRules(
        _ script: @escaping ScriptedServer.Script, _ body: (TestNode, ScriptedServer) async throws -> Void
    ) async throws {
        var assets = RuleConfiguration()
        assets.match.path = "/assets/*"
        assets.lifetimes = .init(defaultMilliseconds: 86_400_000)
        assets.line = 7
        var api = RuleConfiguration()
        api.match.path = "/api/*"
        api.passes = true
        try await withNode(script: script, configure: { $0.sites[0].rules = [assets, api] }, body)
    }

    @Test(arguments: [
        "/assets/..%2faccount", "/assets/%2e%2e/account", "/assets/..%5caccount", "/assets/..;x/account",
        "/assets/..%252faccount",
    ])
    func `a page of the account is not kept for its name`(target: String) async throws {
        try await Self.withRules({ [.response(200, body: "of client \($0.number)")] }) { node, origin in
            for number in 0..<2 {
                let response = try await node.fetch("GET", target)
                #expect(response.text == "of client \(number)")
                #expect(response.cacheStatus?.contains("detail=path-ambiguous") == true)
                #expect(response.cacheStatus?.contains("stored") == false)
            }
            #expect(origin.requests.map(\.target) == [target, target])
            let question = ExplainQuestion(
                url: "http://case.test" + target, method: "GET", headers: [], originDown: false)
            let told = try await node.node.explain(question)
            #expect(told.notes.contains { $0.contains("path-ambiguous") && $0.contains("line 7") })
            #expect(told.rules.map(\.path) == ["/assets/*"])
        }
    }

    @Test func `what has a validator is kept, and asked for each time because of its path`() async throws {
        try await Self.withRules({ request in
            request.fields["If-None-Match"] == nil
                ? [.response(200, ["ETag: \"a\""], body: "page")] : [.response(304, ["ETag: \"a\""])]
        }) { node, origin in
            for _ in 0..<2 {
                let answer = try await node.fetch("GET", "/assets/..%2faccount")
                #expect(answer.text == "page")
            }
            let question = ExplainQuestion(
                url: "http://case.test/assets/..%2faccount", method: "GET", headers: [], originDown: false)
            let told = try await node.node.explain(question)
            #expect(told.outcome.reason == "path-ambiguous")
            #expect(origin.requestCount == 2)
        }
    }

    @Test(arguments: ["/assets/a%20b", "/assets/@scope%2fname", "/assets/a;v=1", "/assets//a"])
    func `a path that stays where it is keeps its lifetime`(target: String) async throws {
        try await Self.withRules({ [.response(200, body: "\($0.number)")] }) { node, origin in
            let first = try await node.fetch("GET", target)
            let second = try await node.fetch("GET", target)
            #expect(first.text == "0")
            #expect(second.text == "0")
            #expect(origin.requestCount == 1)
        }
    }

    @Test(arguments: ["/%61pi/x", "//api/x", "/assets/..%2fapi/x", "/x/..%5capi/x", "/api;x/y"])
    func `a rule that passes is not walked past`(target: String) async throws {
        try await Self.withRules({
            [.response(200, ["Cache-Control: max-age=60"], body: "\($0.number)")]
        }) { node, origin in
            for number in 0..<2 {
                let response = try await node.fetch("GET", target)
                #expect(response.text == "\(number)")
                #expect(response.cacheStatus?.contains("detail=rule-pass") == true)
            }
        }
    }
}
