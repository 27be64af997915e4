import EdgeNode
import EdgePolicy
import EdgeStore
import EdgeTesting
import Foundation
import Testing

/// Purges as clients see them: what begins after the answer gets nothing older.
@Suite(.wholeNodes) struct PurgeTests {
    private static let cacheable = [
        "Cache-Control: max-age=3600", "ETag: \"same\"", "Surrogate-Key: red blue", "Cache-Tag: green, red",
    ]

    /// An origin whose body tells how often it was asked.
    private static let counting: ScriptedServer.Script = {
        [.response(200, cacheable, body: "answer \($0.number)")]
    }

    private static func order(_ scope: PurgeOrder.Scope, soft: Bool = false) -> PurgeOrder {
        PurgeOrder(scope: scope, isSoft: soft, client: "192.0.2.7")
    }

    private static let everyWay: [PurgeOrder.Scope] = [
        .url("http://www.example/a/x?q=1", anyQuery: false),
        .url("https://WWW.example/a/x?q=1", anyQuery: false),
        .url("http://www.example/a/x", anyQuery: true), .prefix("http://www.example/a/"),
        .host("www.example"), .host("WWW.Example:80"), .tag("blue"), .tag("green"), .all,
    ]

    private static func fetch(_ node: TestNode, _ target: String = "/a/x?q=1") async throws -> ClientResponse
    {
        try await RawClient.exchange(port: node.port, "GET", target, host: "www.example")
    }

    @Test(arguments: everyWay) func `what was purged is pulled again, and nothing else`(
        scope: PurgeOrder.Scope
    ) async throws {
        try await withNode(script: Self.counting) { node, origin in
            let first = try await Self.fetch(node)
            #expect(first.text == "answer 0")
            #expect(first.fields.all("Surrogate-Key").isEmpty)
            #expect(try await Self.fetch(node).text == "answer 0")
            let record = try await node.node.purge(Self.order(scope))
            let second = try await Self.fetch(node)
            #expect(second.text == "answer 1")
            #expect(
                second.cacheStatus?.contains("fwd=uri-miss; fwd-status=200; stored; ttl=3600; detail=purged")
                    == true)
            // Not even as a validation of what was purged.
            #expect(origin.requests.last?.fields.all("If-None-Match").isEmpty == true)
            #expect(try await Self.fetch(node).text == "answer 1")
            let overview = node.node.purgeOverview(limit: 5)
            #expect(overview.head == record.id)
            #expect(overview.recent == [record])
            #expect(record.client == "192.0.2.7")
        }
    }

    @Test(arguments: [
        PurgeOrder.Scope.url("http://www.example/a/x", anyQuery: false),
        .url("http://www.example/a/x?q=2", anyQuery: false), .prefix("http://www.example/a/x?q=12"),
        .host("example"), .host("www.example:8080"), .tag("re"), .tag("Red"),
    ]) func `what was not meant stays`(scope: PurgeOrder.Scope) async throws {
        try await withNode(script: Self.counting) { node, _ in
            #expect(try await Self.fetch(node).text == "answer 0")
            _ = try await node.node.purge(Self.order(scope))
            #expect(try await Self.fetch(node).text == "answer 0")
        }
    }

    @Test(arguments: [
        PurgeOrder.Scope.url("/a", anyQuery: false), .url("http:///a", anyQuery: false),
        .url("ftp://www.example/a", anyQuery: false), .url("http://www.example/a b", anyQuery: false),
        .url("", anyQuery: true),
        .prefix("www.example"), .prefix("http://"), .host(""), .host("a b"), .host("a:b"), .host("a/"),
        .tag(""), .tag("a b"),
        .tag("a,b"), .tag("a\nb"), .tag(String(repeating: "x", count: 1_025)),
    ]) func `what makes no sense is refused and purges nothing`(scope: PurgeOrder.Scope) async throws {
        try await withNode(script: Self.counting) { node, _ in
            _ = try await Self.fetch(node)
            await #expect(throws: PurgeError.self) { _ = try await node.node.purge(Self.order(scope)) }
            #expect(node.node.purgeOverview(limit: 1).total == 0)
            #expect(try await Self.fetch(node).text == "answer 0")
        }
    }

    @Test func `a soft purge asks the origin first, and serves stale while that is out`() async throws {
        try await withNode(script: { request in
            switch request.number {
            case 0: [.response(200, Self.cacheable, body: "old")]
            case 1: [.response(304, Self.cacheable)]
            default: [.reset]
            }
        }) { node, origin in
            _ = try await Self.fetch(node)
            _ = try await node.node.purge(Self.order(.tag("red"), soft: true))
            let validated = try await Self.fetch(node)
            #expect(validated.text == "old")
            #expect(validated.cacheStatus?.contains("fwd=stale; fwd-status=304") == true)
            #expect(origin.requests.last?.fields.all("If-None-Match") == ["\"same\""])
            // The validation ended it.
            #expect(try await Self.fetch(node).cacheStatus?.contains("rockpool; hit") == true)
            _ = try await node.node.purge(Self.order(.all, soft: true))
            let stale = try await Self.fetch(node)
            #expect(stale.text == "old")
            #expect(stale.cacheStatus?.contains("detail=stale-if-unreachable") == true)
        }
    }

    @Test(arguments: [false, true]) func `a fill under way serves its own waiters and is not kept`(
        isSoft: Bool
    ) async throws {
        let gate = Gate("the rest of the answer")
        let reached = Watched(false)
        try await withNode(script: { request in
            guard request.number == 0 else { return [.response(200, Self.cacheable, body: "new")] }
            return [
                .head(200, Self.cacheable + ["Content-Length: 8"]), .text("old "), .reach(reached),
                .wait(gate),
                .text("body"),
            ]
        }) { node, origin in
            async let waiting = Self.fetch(node)
            try await reached.wait(for: "the pull") { $0 }
            _ = try await node.node.purge(Self.order(.tag("blue"), soft: isSoft))
            let after = try await Self.fetch(node)
            #expect(after.text == "new")
            gate.open()
            let before = try await waiting
            #expect(before.text == "old body")
            let last = try await Self.fetch(node)
            #expect(last.text == "new")
            #expect(origin.requests.count == 2 || isSoft)
        }
    }

    @Test func `a purge before the head is known keeps newcomers out too`() async throws {
        let gate = Gate("the rest of the answer")
        let reached = Watched(false)
        try await withNode(script: { request in
            guard request.number == 0 else { return [.response(200, Self.cacheable, body: "new")] }
            return [.reach(reached), .wait(gate), .response(200, Self.cacheable, body: "old")]
        }) { node, _ in
            async let waiting = Self.fetch(node)
            try await reached.wait(for: "the pull") { $0 }
            _ = try await node.node.purge(Self.order(.tag("blue")))
            #expect(try await Self.fetch(node).text == "new")
            gate.open()
            #expect(try await waiting.text == "old")
            #expect(try await Self.fetch(node).text == "new")
        }
    }

    @Test func `a 304 brings the tags that count from then on`() async throws {
        try await withNode(script: { request in
            let fields = ["Cache-Control: max-age=60", "ETag: \"same\""]
            return switch request.number {
            case 0: [.response(200, fields + ["Age: 90", "Surrogate-Key: old"], body: "answer 0")]
            case 1: [.response(304, fields + ["Surrogate-Key: new"])]
            default: [.response(200, fields, body: "answer 2")]
            }
        }) { node, _ in
            #expect(try await Self.fetch(node).text == "answer 0")
            #expect(try await Self.fetch(node).text == "answer 0")
            _ = try await node.node.purge(Self.order(.tag("old")))
            #expect(try await Self.fetch(node).text == "answer 0")
            _ = try await node.node.purge(Self.order(.tag("new")))
            #expect(try await Self.fetch(node).text == "answer 2")
        }
    }

    @Test func `stamps leave when nothing is stored that they could hide`() async throws {
        try await withNode(script: Self.counting) { node, _ in
            _ = try await Self.fetch(node, "/old")
            for number in 0..<1_100 { _ = try await node.node.purge(Self.order(.tag("t\(number)"))) }
            let first = node.node.forgetStamps(after: nil)
            #expect(node.node.forgetStamps(after: first) == first)
            #expect(node.node.purgeOverview(limit: 0).stamps == 1_100)
            // What was stored before goes; what is stored now came after all of them but the last.
            _ = try await node.node.purge(Self.order(.url("http://www.example/old", anyQuery: false)))
            _ = try await Self.fetch(node, "/old")
            let second = node.node.forgetStamps(after: first)
            _ = node.node.forgetStamps(after: second)
            #expect(node.node.purgeOverview(limit: 0).stamps == 0)
            #expect(try await Self.fetch(node, "/old").text == "answer 1")
        }
    }

    @Test(arguments: [100, 100_000, 2_000_000]) func `a purge holds over a restart, on disk too`(
        count: Int
    ) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "purge-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let store = folder.appendingPathComponent("store").path
        let purges = folder.appendingPathComponent("purges").path
        let old = String(repeating: "o", count: count)
        let new = String(repeating: "n", count: count)
        try await withNode(
            script: { _ in [.response(200, Self.cacheable, body: old)] },
            volume: try POSIXVolume(directory: store), purgeVolume: try POSIXVolume(directory: purges)
        ) { node, _ in
            for target in ["/a", "/b", "/c"] { #expect(try await Self.fetch(node, target).text == old) }
            try await onThread { node.node.store.disk?.flush() }
            _ = try await node.node.purge(Self.order(.url("http://www.example/a", anyQuery: false)))
            _ = try await node.node.purge(
                Self.order(.url("http://www.example/c", anyQuery: false), soft: true))
        }
        // The same validator, so that nothing of the old body may be taken for a part of the new one.
        try await withNode(
            script: { _ in [.response(200, Self.cacheable, body: new)] },
            volume: try POSIXVolume(directory: store), purgeVolume: try POSIXVolume(directory: purges)
        ) { node, _ in
            #expect(try await Self.fetch(node, "/b").text == old)
            #expect(try await Self.fetch(node, "/a").text == new)
            #expect(try await Self.fetch(node, "/a").text == new)
            let soft = try await Self.fetch(node, "/c")
            #expect(soft.cacheStatus?.contains("hit") == false)
            #expect(soft.text == new)
        }
    }

    @Test func `a damaged ledger hides what was stored before`() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "purge-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let store = folder.appendingPathComponent("store").path
        let purges = folder.appendingPathComponent("purges").path
        for (round, expected) in ["answer 0", "answer 0", "answer 1", "answer 1"].enumerated() {
            if round == 2 {
                let journal = purges + "/journal"
                var bytes = try Data(contentsOf: URL(fileURLWithPath: journal))
                bytes[bytes.count - 3] ^= 1
                try bytes.write(to: URL(fileURLWithPath: journal))
            }
            try await withNode(
                script: { _ in [.response(200, Self.cacheable, body: round < 2 ? "answer 0" : "answer 1")] },
                volume: try POSIXVolume(directory: store), purgeVolume: try POSIXVolume(directory: purges)
            ) { node, origin in
                #expect(try await Self.fetch(node).text == expected)
                #expect(origin.requests.count == (round == 0 || round == 2 ? 1 : 0))
                if round == 0 { _ = try await node.node.purge(Self.order(.tag("another"))) }
                try await onThread { node.node.store.disk?.flush() }
            }
        }
    }

    /// Every request is validated, and the origin keeps its validator when its bytes change.
    @Test func `a validation that meets a purge revives nothing`() async throws {
        let version = Watched(0)
        let fields = [
            "Cache-Control: no-cache", "ETag: \"same\"", "Surrogate-Key: red blue", "Cache-Tag: green",
        ]
        try await withNode(
            script: { request in
                request.fields.all("If-None-Match").isEmpty
                    ? [.response(200, fields, body: "v\(version.current) ")] : [.response(304, fields)]
            }, loops: 2
        ) { node, _ in
            let end = Watched(false)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask { while !end.current { _ = try await Self.fetch(node) } }
                }
                group.addTask {
                    defer { end.change { $0 = true } }
                    for round in 1...200 {
                        version.change { $0 = round }
                        _ = try await node.node.purge(Self.order(Self.everyWay[round % Self.everyWay.count]))
                        for _ in 0..<3 {
                            let text = try await Self.fetch(node).text
                            if text != "v\(round) " {
                                throw TestFailure("\(text) after the purge of round \(round)")
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func `a follower that is released does not validate what was purged meanwhile`() async throws {
        let gate = Gate("the first validation")
        let reached = Watched(false)
        let old = ["Cache-Control: max-age=60", "Age: 90", "ETag: \"same\""]
        try await withNode(script: { request in
            if request.number == 0 { return [.response(200, old, body: "old")] }
            if request.fields.all("If-None-Match").isEmpty {
                return [.response(200, ["Cache-Control: no-cache", "ETag: \"same\""], body: "new")]
            }
            let answer = ScriptStep.response(304, ["Cache-Control: no-cache", "ETag: \"same\""])
            return request.number == 1 ? [.reach(reached), .wait(gate), answer] : [answer]
        }) { node, origin in
            _ = try await Self.fetch(node)
            async let leader = Self.fetch(node)
            try await reached.wait(for: "the validation") { $0 }
            async let follower = Self.fetch(node)
            try await node.waitForConnections { $0 >= 2 }
            _ = try await node.node.purge(Self.order(.all))
            gate.open()
            _ = try await (leader, follower)
            for _ in 0..<3 { #expect(try await Self.fetch(node).text == "new") }
        }
    }

    @Test(arguments: [1, 2]) func `no read that begins after a purge sees an older version`(loops: Int)
        async throws
    {
        let version = Watched(0)
        let scopes = Self.everyWay
        try await withNode(
            script: { _ in
                let now = version.current
                return [.response(200, Self.cacheable, body: String(repeating: "v\(now) ", count: 50))]
            }, loops: loops
        ) { node, _ in
            let end = Watched(false)
            let reads = Watched(0)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        while !end.current {
                            // Before this version came, the purge of the one before it was answered.
                            let least = version.current - 1
                            let text = try await Self.fetch(node).text
                            let seen = Int(text.dropFirst().prefix { $0.isNumber }) ?? -1
                            if seen < least { throw TestFailure("v\(seen) after v\(least) was purged in") }
                            reads.change { $0 += 1 }
                        }
                    }
                }
                group.addTask {
                    defer { end.change { $0 = true } }
                    for round in 1...300 {
                        version.change { $0 = round }
                        _ = try await node.node.purge(Self.order(scopes[round % scopes.count]))
                        let before = reads.current
                        try await reads.wait(for: "reads") { $0 > before + 2 }
                    }
                }
                try await group.waitForAll()
            }
        }
    }
}
