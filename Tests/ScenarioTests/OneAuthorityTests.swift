import EdgeNode
import EdgePrimitives
import EdgeTesting
import Testing

/// One authority and one path: however a client spells them, the key, the origin, purges and invalidation see the same.
@Suite(.wholeNodes) struct OneAuthorityTests {
    private static let script: ScriptedServer.Script = {
        [.response(200, ["Cache-Control: max-age=3600"], body: "answer \($0.number)")]
    }

    private func withSites(
        _ hosts: [String], _ body: (TestNode, ScriptedServer) async throws -> Void
    ) async throws {
        let anywhere = [try NetworkRange("127.0.0.1")]
        try await withNode(
            script: Self.script,
            configure: { configuration in
                configuration.sites[0].hosts = hosts
                configuration.sites[0].purgeFrom = anywhere
            }, body)
    }

    private func get(
        _ node: TestNode, _ target: String, host: String? = "site.test", version: String = "1.1",
        method: String = "GET"
    ) async throws -> ClientResponse {
        let client = try node.connect()
        defer { client.close() }
        try await client.send(RawClient.request(method, target, host: host, version: version))
        return try await client.response(to: method)
    }

    @Test(arguments: [
        "SITE.test", "site.test:80", "site.test:", "site.test:0080", "site.test.", "Site.Test.:80",
    ])
    func `a Host in another spelling is the same, also for the origin`(host: String) async throws {
        try await withSites(["*"]) { (node, origin) async throws in
            #expect(try await get(node, "/a", host: host).text == "answer 0")
            let told = try #require(origin.requests.first)
            #expect(told.fields.all("Host") == ["site.test"])
            #expect(told.fields.all("X-Forwarded-Host") == ["site.test"])
            #expect(told.fields.all("Forwarded") == ["for=127.0.0.1;host=site.test;proto=http"])
            #expect(try await get(node, "/a").text == "answer 0")
            _ = try await node.node.purge(
                PurgeOrder(scope: .url("http://site.test/a", anyQuery: false), isSoft: false, client: ""))
            #expect(try await get(node, "/a", host: host).text == "answer 1")
            _ = try await get(node, "/a", host: host, method: "POST")
            #expect(origin.requests.last?.fields.all("Host") == ["site.test"])
            #expect(try await get(node, "/a").text == "answer 3")
        }
    }

    @Test(arguments: [
        ("http://site.test", "/"), ("http://site.test?q", "/?q"), ("http://SITE.test/?q", "/?q"),
    ])
    func `a target without a path has the path of the root`(target: String, path: String) async throws {
        try await withSites(["site.test"]) { (node, origin) async throws in
            #expect(try await get(node, target).text == "answer 0")
            #expect(origin.requests.first?.target == path)
            #expect(try await get(node, path).text == "answer 0")
            for url in ["http://site.test\(path)", "http://site.test\(path.dropFirst())"] {
                let before = try await get(node, target).text
                _ = try await node.node.purge(
                    PurgeOrder(scope: .url(url, anyQuery: false), isSoft: false, client: ""))
                #expect(try await get(node, path).text != before)
            }
            let before = try await get(node, target).text
            _ = try await get(node, target, method: "POST")
            let after = try await get(node, path).text
            #expect(after != before)
            #expect(try await get(node, target, method: "PURGE").status == 200)
            #expect(try await get(node, path).text != after)
        }
    }

    @Test func `a request without a Host is one for the first name of the first site`() async throws {
        try await withSites(["*.example.net", "www.example.com"]) { (node, origin) async throws in
            #expect(try await get(node, "/a", host: nil, version: "1.0").text == "answer 0")
            #expect(origin.requests.first?.fields.all("Host") == ["www.example.com"])
            #expect(origin.requests.first?.fields.all("X-Forwarded-Host") == ["www.example.com"])
            #expect(try await get(node, "/a", host: "www.example.com").text == "answer 0")
            _ = try await get(node, "/a", host: nil, version: "1.0", method: "POST")
            #expect(try await get(node, "/a", host: "www.example.com").text == "answer 2")
        }
    }

    @Test(arguments: [["*"], ["*.example.net"]])
    func `where there is no name it is one for the origin's own host`(hosts: [String]) async throws {
        try await withSites(hosts) { (node, origin) async throws in
            let authority = "127.0.0.1:\(origin.port)"
            #expect(try await get(node, "/a", host: nil, version: "1.0").text == "answer 0")
            #expect(origin.requests.first?.fields.all("Host") == [authority])
            #expect(try await get(node, "/a", host: nil, version: "1.0").text == "answer 0")
            _ = try await node.node.purge(
                PurgeOrder(scope: .url("http://\(authority)/a", anyQuery: false), isSoft: false, client: ""))
            #expect(try await get(node, "/a", host: nil, version: "1.0").text == "answer 1")
            _ = try await node.node.purge(
                PurgeOrder(scope: .host("127.0.0.1"), isSoft: false, client: ""))
            #expect(try await get(node, "/a", host: nil, version: "1.0").text == "answer 2")
            _ = try await get(node, "/a", host: nil, version: "1.0", method: "POST")
            #expect(try await get(node, "/a", host: nil, version: "1.0").text == "answer 4")
            let told = try await node.node.explain(
                ExplainQuestion(url: "http://\(authority)/a", method: "GET", headers: [], originDown: false))
            #expect(told.outcome.result == "hit")
        }
    }

    @Test func `octets that clients send and no URL has are purged by their name`() async throws {
        try await withSites(["site.test"]) { (node, _) async throws in
            let target = "/a|b{c}\\^`\"<d>?x=[|]"
            #expect(try await get(node, target).text == "answer 0")
            _ = try await node.node.purge(
                PurgeOrder(
                    scope: .url("http://site.test\(target)", anyQuery: false), isSoft: false, client: ""))
            #expect(try await get(node, target).text == "answer 1")
        }
    }
}
