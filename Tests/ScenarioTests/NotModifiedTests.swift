import EdgeNode
import EdgeTesting
import Testing

/// 304s that say more, or less, than a 304 may.
@Suite(.wholeNodes) struct NotModifiedTests {
    private static let stale = ["Cache-Control: max-age=60", "Age: 90", "ETag: \"a\""]

    @Test func `a 304 to a request without conditions is refused`() async throws {
        try await withNode(script: { _ in [.response(304, ["ETag: \"a\""])] }) { node, origin in
            let response = try await node.fetch("GET", "/page")
            #expect(response.status == 502)
            #expect(response.proxyStatus?.contains("http_protocol_error") == true)
            #expect(try await node.fetch("HEAD", "/page").status == 502)
            #expect(try await node.fetch("POST", "/page", body: "x").status == 502)
        }
    }

    @Test func `a 304 to the client's own condition is passed on`() async throws {
        try await withNode(
            script: { _ in [.response(304, ["ETag: \"a\""])] },
            configure: { $0.sites[0].rules = [Self.pass] }
        ) { node, _ in
            let answer = try await node.fetch("GET", "/page", ["If-None-Match: \"a\""])
            #expect(answer.status == 304)
        }
    }

    @Test func `a second 304 to a request that asked for the whole ends the pull`() async throws {
        try await withNode(
            script: { request in
                [
                    request.number == 0
                        ? .response(200, Self.stale, body: "one") : .response(304, ["ETag: \"b\""])
                ]
            }
        ) { node, origin in
            _ = try await node.fetch("GET", "/page")
            #expect(try await node.fetch("GET", "/page").status == 502)
            #expect(origin.requestCount == 3)
        }
    }

    @Test func `fields that each 304 adds stay within what one answer may bring`() async throws {
        let long = String(repeating: "v", count: 30_000)
        try await withNode(
            script: { request in
                if request.fields["If-None-Match"] == nil { return [.response(200, Self.stale, body: "one")] }
                return [.response(304, Self.stale + ["X-\(request.number): \(long)"])]
            }
        ) { node, origin in
            for _ in 0..<6 {
                let response = try await node.fetch("GET", "/page")
                #expect(response.status == 200)
                #expect(response.text == "one")
                #expect("\(response.fields)".utf8.count < 70_000)
            }
            // The third addition is one too many: then the whole is pulled anew.
            #expect(origin.requests.contains { $0.number > 0 && $0.fields["If-None-Match"] == nil })
        }
    }

    @Test func `a 304 that brings a Vary is for followers that it selects`() async throws {
        let gate = Gate("304")
        let first = ["Accept-Language: de"]
        try await withNode(
            script: { request in
                switch request.number {
                case 0: [.response(200, Self.stale, body: "one")]
                case 1:
                    [
                        .wait(gate),
                        .response(
                            304, ["ETag: \"a\"", "Cache-Control: max-age=60", "Vary: Accept-Language"]),
                    ]
                default: [.response(200, ["Cache-Control: max-age=60", "Vary: Accept-Language"], body: "un")]
                }
            }
        ) { node, origin in
            _ = try await node.fetch("GET", "/page", first)
            let clients = [try node.connect(), try node.connect()]
            try await clients[0].send(RawClient.request("GET", "/page", first))
            try await origin.waitForRequests(count: 2)
            try await clients[1].send(RawClient.request("GET", "/page", ["Accept-Language: fr"]))
            try await node.waitForFollowers(1)
            gate.open()
            #expect(try await clients[0].response().text == "one")
            #expect(try await clients[1].response().text == "un")
            #expect(origin.requestCount == 3)
        }
    }

    @Test func `a 304 that may not be stored is for the client that brought it alone`() async throws {
        let gate = Gate("304")
        let asks = ["Cache-Control: no-cache"]
        try await withNode(
            script: { request in
                switch request.number {
                case 0: [.response(200, ["Cache-Control: max-age=3600", "ETag: \"a\""], body: "one")]
                case 1:
                    [
                        .wait(gate),
                        .response(
                            304,
                            ["ETag: \"a\"", "Cache-Control: private, max-age=60", "Set-Cookie: sid=first"]),
                    ]
                default: [.response(200, ["Cache-Control: max-age=60"], body: "two")]
                }
            }, configure: { $0.sites[0].honoursClient = true }
        ) { node, origin in
            _ = try await node.fetch("GET", "/page")
            let clients = [try node.connect(), try node.connect()]
            for client in clients { try await client.send(RawClient.request("GET", "/page", asks)) }
            try await node.waitForFollowers(1)
            gate.open()
            var cookies: [String] = []
            for client in clients {
                let answer = try await client.response()
                if let cookie = answer.fields["Set-Cookie"] { cookies.append(cookie) }
            }
            #expect(cookies == ["sid=first"])
            #expect(origin.requestCount == 3)
        }
    }

    private static var pass: RuleConfiguration {
        var rule = RuleConfiguration()
        rule.passes = true
        return rule
    }
}
