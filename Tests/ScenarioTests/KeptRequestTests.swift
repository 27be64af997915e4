import EdgeNode
import EdgeOrigin
import EdgePolicy
import EdgeTesting
import Testing

/// What the key leaves out does not reach the origin where the answer may be kept, and reaches it where it is passed.
@Suite(.wholeNodes) struct KeptRequestTests {
    private static let script: ScriptedServer.Script = {
        [.response(200, ["Cache-Control: public, max-age=3600", "ETag: \"1\""], body: "answer \($0.number)")]
    }

    private func withRule(
        _ change: @escaping (inout RuleConfiguration) -> Void,
        _ body: (TestNode, ScriptedServer) async throws -> Void
    ) async throws {
        try await withNode(
            script: Self.script,
            configure: { configuration in
                var rule = RuleConfiguration()
                change(&rule)
                configuration.sites[0].rules = [rule]
            }, body)
    }

    @Test(arguments: [
        (QueryRule.ignore, "/a?x=1", "/a"), (.keep(["id"]), "/a?x=1&id=2&i%64=3", "/a?id=2&i%64=3"),
        (.keep(["id"]), "/a?x=1", "/a"), (.drop(["utm_*"], sort: false), "/a?b=1&utm_x=2&&a=3", "/a?b=1&a=3"),
        (.drop([], sort: true), "/a?b=1&a=3", "/a?a=3&b=1"), (.all, "/a?b=1&&a=3", "/a?b=1&&a=3"),
        (.all, "/a?", "/a?"),
    ])
    func `the origin is asked with the query of the key`(rule: QueryRule, target: String, asked: String)
        async throws
    {
        try await withRule({ $0.query = rule }) { (node, origin) async throws in
            _ = try await node.fetch("HEAD", target)
            _ = try await node.fetch("GET", target)
            _ = try await node.fetch("POST", target)
            _ = try await node.fetch("GET", target, ["If-Match: \"x\""])
            _ = try await node.fetch("GET", target, body: "content")
            #expect(origin.requests.map(\.target) == [asked, asked, target, target, target])
        }
    }

    @Test func `a pull that is passed by a rule keeps its query and its fields`() async throws {
        try await withRule({
            $0.query = .ignore
            $0.passes = true
        }) { (node, origin) async throws in
            for method in ["GET", "HEAD"] {
                _ = try await node.fetch(
                    method, "/a?x=1", ["X-Host: h", "X-Amz-Acl: p", "X-Real-IP: 1.2.3.4"])
            }
            for request in origin.requests {
                #expect(request.target == "/a?x=1")
                #expect(request.fields["X-Host"] == "h")
                #expect(request.fields["X-Amz-Acl"] == "p")
                #expect(request.fields["X-Real-IP"] == nil)
            }
        }
    }

    @Test func `a HEAD is asked as its GET would be`() async throws {
        try await withNode(script: Self.script) { (node, origin) async throws in
            let fields = [
                "X-Host: evil.test", "X-Theme: dark", "X-Amz-Acl: p", "Proxy: p", "Range: bytes=0-1",
                "X_Real_IP: 1",
            ]
            _ = try await node.fetch("HEAD", "/a?b", fields)
            _ = try await node.fetch("GET", "/a?b", fields.filter { !$0.hasPrefix("Range") })
            let names = origin.requests.map { $0.fields.lines.map { "\($0.name): \($0.value)" } }
            #expect(names.count == 2)
            #expect(names.first == names.last)
            #expect(origin.requests.first?.fields["X-Theme"] == "dark")
            #expect(origin.requests.first?.fields["X-Host"] == nil)
        }
    }

    @Test(arguments: ["Content-Length: 3", "Transfer-Encoding: chunked"])
    func `a GET with content neither fills nor reads the store`(framing: String) async throws {
        let content = framing.hasPrefix("T") ? "3\r\nabc\r\n0\r\n\r\n" : "abc"
        try await withNode(script: Self.script) { (node, origin) async throws in
            for method in ["GET", "HEAD"] {
                _ = try await node.fetch(method, "/a", [framing], body: content)
            }
            #expect(try await node.fetch("GET", "/a", ["Content-Length: 0"]).text == "answer 2")
            let passed = try await node.fetch("GET", "/a", [framing], body: content)
            #expect(passed.text == "answer 3")
            #expect(passed.cacheStatus?.contains("fwd=bypass") == true)
            #expect(try await node.fetch("GET", "/a").text == "answer 2")
            #expect(origin.requests[3].text == "abc")
        }
    }

    @Test(arguments: [
        "Authorization: AWS4-HMAC-SHA256 Credential=a", "Authorization: SharedKey a:b",
        "Authorization: GOOG4-RSA-SHA256 c", "Signature-Input: sig=(\"x-host\")",
    ])
    func `a request that signs its fields is passed whole, and not answered from the store`(field: String)
        async throws
    {
        try await withRule({ $0.query = .ignore }) { (node, origin) async throws in
            let fields = [field, "X-Amz-Date: d", "X-Host: h"]
            for method in ["GET", "HEAD", "GET"] {
                let got = try await node.fetch(method, "/a?q", fields)
                #expect(got.cacheStatus?.contains("fwd=bypass; fwd-status=200; detail=signed-fields") == true)
            }
            #expect(try await node.fetch("GET", "/a").text == "answer 3")
            #expect(try await node.fetch("GET", "/a", fields).text == "answer 4")
            #expect(try await node.fetch("GET", "/a", ["Authorization: Bearer t"]).text == "answer 3")
            for request in origin.requests[..<3] {
                #expect(request.target == "/a?q")
                #expect(request.fields["X-Amz-Date"] == "d")
                #expect(request.fields["X-Host"] == "h")
            }
            let told = try await node.node.explain(
                ExplainQuestion(
                    url: "http://case.test/a", method: "GET",
                    headers: [("Signature-Input", "a=()")], originDown: false))
            #expect(told.outcome.reason == "signed-fields")
        }
    }

    @Test func `a request with many fields may be answered, and fills nothing`() async throws {
        try await withRule({ $0.query = .ignore }) { (node, origin) async throws in
            let many = (0..<9).map { "X-Much-\($0): " + String(repeating: "a", count: 960) } + ["X-Host: h"]
            let few = Array(many.dropFirst(2))
            for method in ["GET", "HEAD"] {
                let passed = try await node.fetch(method, "/a?q", many)
                #expect(passed.cacheStatus?.contains("detail=too-many-fields") == true)
            }
            #expect(origin.requests.map(\.target) == ["/a?q", "/a?q"])
            #expect(origin.requests.map { $0.fields["X-Host"] } == ["h", "h"])
            #expect(try await node.fetch("GET", "/a", few).text == "answer 2")
            #expect(try await node.fetch("GET", "/a", many).text == "answer 2")
            _ = try await node.node.purge(
                PurgeOrder(scope: .url("http://case.test/a", anyQuery: false), isSoft: true, client: ""))
            let stale = try await node.fetch("GET", "/a", many)
            #expect(stale.text == "answer 3")
            #expect(stale.cacheStatus?.contains("detail=too-many-fields") == true)
            #expect(try await node.fetch("HEAD", "/a", many).cacheStatus?.contains("too-many-fields") == true)
            #expect(try await node.fetch("GET", "/a").text == "answer 5")
        }
    }

    @Test func `twins of what is configured never pass, and the client's address goes where the site says`()
        async throws
    {
        try await withNode(
            script: Self.script,
            configure: { configuration in
                configuration.sites[0].clientAddressField = "X-Real-IP"
                configuration.origins["main"]?.headers = ["X-Edge-Secret": "s3cret"]
            }
        ) { (node, origin) async throws in
            let fields = [
                "X_Edge_Secret: guess", "X-Edge-Secret: guess", "X-Real-IP: 1.2.3.4", "X_Real_IP: 1.2.3.4",
                "X_Forwarded_For: 1.2.3.4", "Proxy: http://evil.test",
            ]
            for method in ["GET", "POST"] { _ = try await node.fetch(method, "/a", fields) }
            for request in origin.requests {
                let sent = request.fields.lines.map { "\($0.name): \($0.value)" }
                #expect(
                    !sent.contains { $0.contains("guess") || $0.contains("1.2.3.4") || $0.contains("evil") })
                #expect(request.fields.all("X-Real-IP") == ["127.0.0.1"])
                #expect(request.fields.all("X-Edge-Secret") == ["s3cret"])
            }
        }
    }

    @Test func `an answer to POST is kept only where its request had nothing that no key holds`() async throws
    {
        try await withNode(script: { request in
            [
                .response(
                    200, ["Cache-Control: max-age=3600", "Content-Location: \(request.target)"],
                    body: "answer \(request.number)")
            ]
        }) { (node, _) async throws in
            let fields = ["X-Host: h", "Cookie: a=b", "Authorization: Basic a", "X-Forwarded-Host: h"]
            for (number, field) in fields.enumerated() {
                let first = try await node.fetch("POST", "/\(number)", [field])
                #expect(first.status == 200)
                #expect(try await node.fetch("GET", "/\(number)").text != first.text, "\(field)")
            }
            let first = try await node.fetch("POST", "/a", ["Origin: https://a.test"])
            #expect(try await node.fetch("GET", "/a").text == first.text)
        }
    }
}
