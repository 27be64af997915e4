import EdgeNode
import EdgePrimitives
import EdgeTesting
import Foundation
import Testing

/// The method PURGE on a data listener: off, for others, and for those who may.
@Suite(.wholeNodes) struct PurgeMethodTests {
    private static let cacheable = ["Cache-Control: max-age=3600", "Vary: Accept-Language"]

    /// Answers PURGE too, as an origin with a cache of its own would.
    private static let counting: ScriptedServer.Script = {
        [.response(200, cacheable, body: "answer \($0.number)")]
    }

    private func withPurgers(
        _ networks: [String], _ body: (TestNode, ScriptedServer) async throws -> Void
    ) async throws {
        let ranges = try networks.map { try NetworkRange($0) }
        try await withNode(script: Self.counting, configure: { $0.sites[0].purgeFrom = ranges }, body)
    }

    private func get(_ node: TestNode, _ target: String = "/a?q=1", language: String = "de") async throws
        -> String
    {
        try await node.fetch("GET", target, ["Accept-Language: \(language)"]).text
    }

    private func ask(_ node: TestNode, _ method: String, _ target: [UInt8]) async throws -> ClientResponse {
        let client = try node.connect()
        defer { client.close() }
        try await client.send(
            Array("\(method) ".utf8) + target + Array(" HTTP/1.1\r\nHost: a.test\r\n\r\n".utf8))
        return try await client.response()
    }

    @Test(arguments: [([], 405), (["10.0.0.0/8", "::1/128"], 403)])
    func `whoever may not purge changes nothing, here or at the origin`(
        networks: [String], status: Int
    ) async throws {
        try await withPurgers(networks) { node, origin in
            #expect(try await get(node) == "answer 0")
            let refused = try await node.fetch("PURGE", "/a?q=1")
            #expect(refused.status == status)
            #expect(refused.fields["Proxy-Status"]?.hasPrefix("rockpool; error=http_request_") == true)
            #expect((refused.fields["Allow"] != nil) == (status == 405))
            #expect(try await get(node) == "answer 0")
            #expect(origin.requestCount == 1)
            #expect(node.node.purgeOverview(limit: 1).total == 0)
        }
    }

    @Test func `whoever may purges all variants of that URL before the answer`() async throws {
        try await withPurgers(["192.0.2.0/24", "127.0.0.0/8"]) { node, origin in
            #expect(try await get(node) == "answer 0")
            #expect(try await get(node, language: "fr") == "answer 1")
            #expect(try await get(node, "/a") == "answer 2")
            let client = try node.connect()
            try await client.send(RawClient.request("PURGE", "/a?q=1"))
            let answer = try await client.response()
            #expect(answer.status == 200)
            #expect(answer.fields["Content-Type"] == "application/json")
            let record = try #require(node.node.purgeOverview(limit: 1).recent.first)
            let receipt = try #require(
                try JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: any Sendable])
            #expect(receipt["id"] as? String == record.id)
            #expect(receipt["purgedAt"] as? String == record.purgedAt)
            #expect(receipt["scope"] as? String == "url")
            #expect(receipt["value"] as? String == record.value)
            #expect(receipt["soft"] as? Bool == false)
            #expect(record.client == "127.0.0.1")
            // The connection goes on.
            try await client.send(RawClient.request("GET", "/a?q=1", ["Accept-Language: de"]))
            #expect(try await client.response().text == "answer 3")
            #expect(try await get(node, language: "fr") == "answer 4")
            #expect(try await get(node, "/a") == "answer 2")
            #expect(origin.requests.allSatisfy { $0.method == "GET" })
        }
    }

    @Test(arguments: [(100, 200), (2_700, 200), (2_800, 414), (6_200, 414)])
    func `octets beyond ASCII are named as they would be written`(count: Int, status: Int) async throws {
        try await withPurgers(["127.0.0.1"]) { node, _ in
            let target = Array("/".utf8) + [UInt8](repeating: 0xFF, count: count)
            let before = try await ask(node, "GET", target)
            let purged = try await ask(node, "PURGE", target)
            let after = try await ask(node, "GET", target)
            #expect(before.text == "answer 0")
            #expect(purged.status == status)
            #expect(after.text == (status == 200 ? "answer 1" : "answer 0"))
            let value = "http://a.test/" + String(repeating: "%FF", count: count)
            #expect(node.node.purgeOverview(limit: 1).recent.first?.value == (status == 200 ? value : nil))
        }
    }

    @Test func `a purge with content is carried out, and its connection ends`() async throws {
        try await withPurgers(["127.0.0.1"]) { node, _ in
            #expect(try await get(node) == "answer 0")
            let answer = try await node.fetch("PURGE", "/a?q=1", body: "why not")
            #expect(answer.status == 200)
            #expect(answer.fields["Connection"] == "close")
            #expect(try await get(node) == "answer 1")
        }
    }
}
