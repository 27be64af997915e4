import EdgeNode
import EdgePolicy
import EdgeStore
import EdgeTesting
import Foundation
import Testing

/// Variants are selected by what the origin got, not by what the client sent.
@Suite(.wholeNodes) struct SelectingFieldsTests {
    /// An origin that varies by `names`.
    private static func varying(_ names: String, _ fields: [String] = []) -> ScriptedServer.Script {
        {
            [
                .response(
                    200, ["Cache-Control: max-age=3600", "Vary: \(names)"] + fields,
                    body: "answer \($0.number)")
            ]
        }
    }

    @Test(arguments: [
        "X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Host", "Host", "X-Forwarded-Port", "TE",
    ])
    func `a field that no client can bring to the origin makes no variants`(name: String) async throws {
        try await withNode(script: Self.varying(name)) { (node, origin) async throws in
            for value in ["1.2.3.4", "5.6.7.8", "a.test"] {
                let field = name == "Host" ? "X-Nothing: 1" : "\(name): \(value)"
                #expect(try await node.fetch("GET", "/a", [field]).text == "answer 0", "\(value)")
            }
            #expect(try await node.fetch("GET", "/a").text == "answer 0")
            #expect(try await node.fetch("GET", "/a", ["Connection: \(name)"]).text == "answer 0")
            #expect(origin.requestCount == 1)
        }
    }

    @Test func `cookies that are stripped cost one pull for all`() async throws {
        try await withNode(
            script: Self.varying("Cookie, Accept-Encoding"),
            configure: { configuration in
                var rule = RuleConfiguration()
                rule.cookies = .strip
                configuration.sites[0].rules = [rule]
            }
        ) { (node, origin) async throws in
            for visitor in 0..<6 {
                let got = try await node.fetch("GET", "/a", ["Cookie: visitor=\(visitor)"])
                #expect(got.text == "answer 0")
            }
            #expect(try await node.fetch("GET", "/a", ["Accept-Encoding: gzip"]).text == "answer 1")
            #expect(origin.requestCount == 2)
        }
    }

    @Test func `a field that a rule sets or removes is what the rule makes of it`() async throws {
        try await withNode(
            script: Self.varying("X-Theme, X-Debug"),
            configure: { configuration in
                var rule = RuleConfiguration()
                var edits = RuleConfiguration.FieldEdits()
                edits.set = ["X-Theme": "light"]
                edits.remove = ["X-Debug"]
                rule.request = edits
                configuration.sites[0].rules = [rule]
            }
        ) { (node, origin) async throws in
            #expect(try await node.fetch("GET", "/a", ["X-Theme: dark"]).text == "answer 0")
            #expect(try await node.fetch("GET", "/a", ["X-Debug: 1"]).text == "answer 0")
            #expect(try await node.fetch("GET", "/a", ["x_theme: red"]).text == "answer 0")
            #expect(origin.requests.map { $0.fields.all("X-Theme") } == [["light"]])
        }
    }

    @Test func `what Connection lists did not reach the origin`() async throws {
        try await withNode(script: Self.varying("X-Theme")) { (node, _) async throws in
            #expect(try await node.fetch("GET", "/a").text == "answer 0")
            let listed = ["X-Theme: dark", "Connection: keep-alive, X-Theme"]
            #expect(try await node.fetch("GET", "/a", listed).text == "answer 0")
            #expect(
                try await node.fetch("GET", "/a", ["X-Theme: dark", "Connection: keep-alive"]).text
                    == "answer 1")
            #expect(try await node.fetch("GET", "/a", listed).text == "answer 0")
        }
    }

    @Test func `a strict site varies by what it sends`() async throws {
        try await withNode(
            script: Self.varying("X-Theme, Accept-Language"),
            configure: { $0.sites[0].forwarding = .strict(and: []) }
        ) { (node, _) async throws in
            #expect(try await node.fetch("GET", "/a", ["X-Theme: dark"]).text == "answer 0")
            #expect(try await node.fetch("GET", "/a").text == "answer 0")
            #expect(try await node.fetch("GET", "/a", ["Accept-Language: de"]).text == "answer 1")
        }
    }

    @Test func `the same is found after a restart`() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "vary-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        func configure(_ configuration: inout NodeConfiguration) {
            var rule = RuleConfiguration()
            rule.cookies = .strip
            configuration.sites[0].rules = [rule]
            configuration.cache.diskBytes = 64 << 20
        }
        let fields = ["X-Forwarded-For: 1.2.3.4", "Cookie: a=b", "X-Theme: dark"]
        try await withNode(
            script: { request in
                let vary = request.target == "/o" ? [] : ["Vary: X-Forwarded-For, Cookie, X-Theme, X-Real-IP"]
                return [
                    .response(200, ["Cache-Control: max-age=3600"] + vary, body: "answer \(request.number)")
                ]
            }, volume: try POSIXVolume(directory: folder.path), configure: configure
        ) { (node, _) async throws in
            #expect(try await node.fetch("GET", "/v", fields).text == "answer 0")
            #expect(try await node.fetch("GET", "/o").text == "answer 1")
            #expect(try await node.fetch("GET", "/o", ["Origin: https://a.test"]).text == "answer 2")
            let disk = try #require(node.node.store.disk)
            await Task.detached { disk.flush() }.value
        }
        try await withNode(
            script: { _ in [.reset] }, volume: try POSIXVolume(directory: folder.path), configure: configure
        ) { (node, origin) async throws in
            #expect(try await node.fetch("GET", "/v", ["Cookie: c=d", "X-Theme: dark"]).text == "answer 0")
            #expect(try await node.fetch("GET", "/o", ["Origin: https://b.test"]).text == "answer 2")
            #expect(try await node.fetch("GET", "/o").text == "answer 1")
            #expect(origin.requestCount == 0)
        }
    }

    // MARK: Origin

    /// A store such as S3: what it says of other origins, it says to them alone.
    private static func store(_ toOthers: [String]) -> ScriptedServer.Script {
        { request in
            let extra = request.fields["Origin"] == nil ? [] : toOthers
            if request.fields["If-None-Match"] != nil {
                return [.head(304, ["ETag: \"1\"", "Cache-Control: max-age=3600"] + extra)]
            }
            return [
                .response(
                    200, ["Cache-Control: max-age=3600", "ETag: \"1\""] + extra,
                    body: "answer \(request.number)")
            ]
        }
    }

    @Test(arguments: [[], ["Access-Control-Allow-Origin: *"]])
    func `what was made without Origin, and says nothing of it, is pulled once more with it`(
        toOthers: [String]
    ) async throws {
        try await withNode(script: Self.store(toOthers)) { (node, origin) async throws in
            #expect(try await node.fetch("GET", "/a").text == "answer 0")
            for name in ["a", "b", "c"] {
                let got = try await node.fetch("GET", "/a", ["Origin: https://\(name).test"])
                #expect(got.text == "answer 1")
                #expect(got.fields["Access-Control-Allow-Origin"] == (toOthers.isEmpty ? nil : "*"))
            }
            #expect(try await node.fetch("GET", "/a").text == "answer 0")
            let head = try await node.fetch("HEAD", "/a", ["Origin: https://d.test"])
            #expect(head.cacheStatus?.contains("hit") == true)
            let known = try await node.fetch("GET", "/a", ["Origin: https://d.test", "If-None-Match: \"1\""])
            #expect(known.status == 304)
            #expect(origin.requestCount == 2)
            let told = try await node.node.explain(
                ExplainQuestion(
                    url: "http://case.test/a", method: "GET", headers: [("Origin", "https://e.test")],
                    originDown: false))
            #expect(told.outcome.result == "hit")
            #expect(told.variants.count == 2)
            _ = try await node.node.purge(
                PurgeOrder(scope: .url("http://case.test/a", anyQuery: false), isSoft: false, client: ""))
            #expect(try await node.fetch("GET", "/a", ["Origin: https://a.test"]).text == "answer 2")
            // Who sends no Origin has no use for what was said of one.
            #expect(try await node.fetch("GET", "/a").text == "answer 2")
            #expect(origin.requestCount == 3)
        }
    }

    @Test func `both copies are validated and freshened apart`() async throws {
        let script = Self.store(["Access-Control-Allow-Origin: *"])
        try await withNode(script: script) { (node, origin) async throws in
            let url = PurgeOrder(scope: .url("http://case.test/a", anyQuery: false), isSoft: true, client: "")
            _ = try await node.fetch("GET", "/a")
            _ = try await node.fetch("GET", "/a", ["Origin: https://a.test"])
            _ = try await node.node.purge(url)
            for _ in 0..<2 {
                #expect(try await node.fetch("GET", "/a").text == "answer 0")
                let got = try await node.fetch("GET", "/a", ["Origin: https://b.test"])
                #expect(got.text == "answer 1")
                #expect(got.fields["Access-Control-Allow-Origin"] == "*")
            }
            #expect(origin.requestCount == 4)
        }
    }

    @Test func `a response that names everybody, or the Origin, is chosen as it says`() async throws {
        try await withNode(script: Self.varying("Accept", ["Access-Control-Allow-Origin: *"])) {
            (node, origin) async throws in
            #expect(try await node.fetch("GET", "/a").text == "answer 0")
            #expect(try await node.fetch("GET", "/a", ["Origin: https://a.test"]).text == "answer 0")
            #expect(origin.requestCount == 1)
        }
        try await withNode(script: Self.varying("Origin")) { (node, origin) async throws in
            #expect(try await node.fetch("GET", "/a").text == "answer 0")
            #expect(try await node.fetch("GET", "/a", ["Origin: https://a.test"]).text == "answer 1")
            #expect(try await node.fetch("GET", "/a", ["Origin: https://b.test"]).text == "answer 2")
            #expect(try await node.fetch("GET", "/a", ["Origin: https://a.test"]).text == "answer 1")
            #expect(origin.requestCount == 3)
        }
    }
}
