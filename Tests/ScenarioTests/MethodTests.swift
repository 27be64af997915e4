import EdgeNode
import EdgeTesting
import Testing

/// Methods that a site takes, and what others than GET do to what is stored.
@Suite(.wholeNodes) struct MethodTests {
    private static let counting: ScriptedServer.Script = {
        [.response(200, ["Cache-Control: max-age=3600"], body: "answer \($0.number)")]
    }

    @Test(arguments: [
        ("M-SEARCH", true), ("POST", true), ("get", true), ("PROPPATCH", true), ("PROPFIND", false),
        ("REPORT", false), ("SEARCH", false), ("QUERY", false), ("OPTIONS", false),
    ])
    func `a method invalidates unless it is known as safe`(method: String, invalidates: Bool) async throws {
        try await withNode(script: Self.counting) { node, origin in
            #expect(try await node.fetch("GET", "/a").text == "answer 0")
            #expect(try await node.fetch(method, "/a").text == "answer 1")
            let after = try await node.fetch("GET", "/a").text
            #expect(after == (invalidates ? "answer 2" : "answer 0"))
            #expect(origin.requests[1].method == method)
        }
    }

    @Test(arguments: [("M-SEARCH", 404), ("M-SEARCH", 500)])
    func `an answer that is no success invalidates nothing`(method: String, status: Int) async throws {
        try await withNode(script: { request in
            request.method == "GET"
                ? [.response(200, ["Cache-Control: max-age=3600"], body: "\(request.number)")]
                : [.response(status)]
        }) { node, _ in
            let before = try await node.fetch("GET", "/a")
            let answer = try await node.fetch(method, "/a")
            let after = try await node.fetch("GET", "/a")
            #expect(before.text == "0")
            #expect(answer.status == status)
            #expect(after.text == "0")
        }
    }

    @Test func `a site takes the methods that it lists, and says which`() async throws {
        try await withNode(
            script: Self.counting, configure: { $0.sites[0].methods = ["GET", "POST", "OPTIONS", "REPORT"] }
        ) { node, origin in
            #expect(try await node.fetch("GET", "/a").text == "answer 0")
            for method in ["HEAD", "PUT", "M-SEARCH", "TRACE", "PURGE", "post"] {
                let refused = try await node.fetch(method, "/a")
                #expect(refused.status == 405, "\(method)")
                #expect(refused.fields["Allow"] == "GET, POST, OPTIONS, REPORT")
                let shown = refused.fields["Proxy-Status"]
                #expect(
                    shown?.contains("; details=\"method-not-allowed\"") == true, "\(method) \(shown ?? "-")")
            }
            #expect(origin.requestCount == 1)
            #expect(try await node.fetch("GET", "/a").text == "answer 0")
            #expect(try await node.fetch("POST", "/a").text == "answer 1")
            #expect(try await node.fetch("REPORT", "/b").text == "answer 2")
            let options = try await node.fetch("OPTIONS", "/a", ["Max-Forwards: 0"])
            #expect(options.status == 204)
            #expect(options.fields["Allow"] == "GET, POST, OPTIONS, REPORT")
            let explained = try await node.node.explain(
                ExplainQuestion(url: "http://case.test/a", method: "HEAD", headers: [], originDown: false))
            #expect(explained.outcome.status == 405)
            #expect(explained.outcome.reason == "method-not-allowed")
        }
    }

    @Test func `a site without GET answers none, not even what is stored`() async throws {
        try await withNode(script: Self.counting) { node, origin in
            let before = try await node.fetch("GET", "/a")
            #expect(before.text == "answer 0")
            var configuration = node.node.configuration
            configuration.sites[0].methods = ["POST"]
            node.node.reload(configuration)
            #expect(try await node.fetch("GET", "/a").status == 405)
            #expect(origin.requestCount == 1)
        }
    }
}
