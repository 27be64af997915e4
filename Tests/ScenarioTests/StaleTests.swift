import EdgeNode
import EdgeOrigin
import EdgePolicy
import EdgeTesting
import Testing

/// Stale responses when the origin fails (RFC 9111 4.2.4, RFC 5861), and how a node goes on asking.
@Suite(.wholeNodes) struct StaleTests {
    /// Stale when it arrives, and validated from then on.
    private static let stale = ["Cache-Control: max-age=60", "Age: 90", "ETag: \"a\""]
    /// The same on a connection that ends: on a reused one a failed GET may be sent again (RFC 9112 9.3.1).
    private static let staleOnce = stale + ["Connection: close"]

    enum Failure: String, CaseIterable, CustomTestStringConvertible {
        case refuses, resets, closes, answers503, saysNothing

        var testDescription: String { rawValue }

        /// What the origin does from the second request on.
        var script: [ScriptStep] {
            switch self {
            case .refuses, .saysNothing: [.hang]
            case .resets: [.reset]
            case .closes: [.close]
            case .answers503: [.response(503, body: "bad")]
            }
        }
    }

    private static func withStale(
        _ failure: Failure, configure: (inout NodeConfiguration) -> Void = { _ in },
        _ body: (TestNode, ScriptedServer) async throws -> Void
    ) async throws {
        try await withNode(
            script: { $0.number == 0 ? [.response(200, Self.staleOnce, body: "old")] : failure.script },
            configure: { configuration in
                configuration.sites[0].stale.ifErrorMilliseconds = 3_600_000
                configuration.origins["main"]?.firstByteTimeoutMilliseconds = 300
                configure(&configuration)
            }
        ) { node, origin in
            #expect(try await node.fetch("GET", "/r").text == "old")
            if failure == .refuses { origin.refuseConnections() }
            try await body(node, origin)
        }
    }

    private static func explain(_ node: TestNode, _ target: String, originDown: Bool) async throws
        -> Explanation
    {
        try await node.node.explain(
            ExplainQuestion(
                url: "http://case.test\(target)", method: "GET", headers: [], originDown: originDown))
    }

    @Test func `explain says which window is over, and how long it is`() async throws {
        let fields = ["Cache-Control: max-age=50, stale-if-error=30", "Age: 90", "ETag: \"a\""]
        try await withNode(script: { _ in [.response(200, fields, body: "old")] }) { node, _ in
            _ = try await node.fetch("GET", "/r")
            let told = try await Self.explain(node, "/r", originDown: true)
            #expect(told.outcome.status == 504)
            #expect(
                told.outcome.explanation.contains(
                    /became stale 4\d s ago, and stale-if-error of the response allows 30 s/))
        }
    }

    @Test func `explain says that the origin is taken as down`() async throws {
        try await withNode(script: { _ in [.response(200, Self.stale, body: "old")] }) { node, origin in
            _ = try await node.fetch("GET", "/r")
            let before = try await Self.explain(node, "/new", originDown: false)
            #expect(before.outcome.contactsOrigin)
            #expect(!before.outcome.explanation.contains("taken as down"))
            origin.refuseConnections()
            for number in 0..<12 { #expect(try await node.fetch("GET", "/\(number)").status == 502) }
            let told = try await Self.explain(node, "/new", originDown: false)
            #expect(told.outcome.explanation.contains("taken as down"))
            #expect(told.notes == ["the origin main is taken as down"])
        }
    }

    @Test(arguments: Failure.allCases)
    func `a failing origin leaves the stale response`(failure: Failure) async throws {
        try await Self.withStale(failure) { node, _ in
            let response = try await node.fetch("GET", "/r")
            #expect(response.status == 200)
            #expect(response.text == "old")
            #expect(response.cacheStatus?.contains("detail=stale-if-") == true)
        }
    }

    @Test(arguments: Failure.allCases)
    func `during the back-off the stale response comes at once, without a pull`(failure: Failure) async throws
    {
        try await Self.withStale(failure) { node, origin in
            _ = try await node.fetch("GET", "/r")
            // From here on the back-off of 1 s runs; on a slow machine it may end before the test does.
            let backOff = Deadline(milliseconds: 900)
            let asked = origin.requestCount
            for _ in 0..<10 {
                let response = try await node.fetch("GET", "/r")
                #expect(response.text == "old")
                #expect(response.cacheStatus?.hasPrefix("rockpool; hit") == true)
            }
            let askedAfter = origin.requestCount
            if !backOff.isOver { #expect(askedAfter == asked) }
            #expect(failure == .refuses || asked >= 2)
        }
    }

    @Test(arguments: Failure.allCases)
    func `an origin that comes back is asked again`(failure: Failure) async throws {
        try await Self.withStale(failure) { node, origin in
            _ = try await node.fetch("GET", "/r")
            origin.answer { _ in [.response(200, ["Cache-Control: max-age=3600"], body: "new")] }
            if failure == .refuses { try origin.acceptConnections() }
            let deadline = Deadline.standard
            var text = "old"
            // Each answer is complete and at once; one of them starts the probe that brings the new response.
            while text == "old", !deadline.isOver { text = try await node.fetch("GET", "/r").text }
            #expect(text == "new")
        }
    }

    @Test func `a black hole with nothing stored is a 504 in time`() async throws {
        try await withNode(
            script: { _ in [.hang] },
            configure: { $0.origins["main"]?.firstByteTimeoutMilliseconds = 200 }
        ) { node, origin in
            let response = try await node.fetch("GET", "/r")
            #expect(response.status == 504)
            #expect(response.proxyStatus?.contains("http_response_timeout") == true)
            #expect(origin.requestCount == 1)
        }
    }

    @Test func `an origin that is down answers for its other targets too`() async throws {
        try await withNode(script: { _ in [.response(200, Self.stale, body: "old")] }) { node, origin in
            for target in ["/a", "/b"] { _ = try await node.fetch("GET", target) }
            origin.refuseConnections()
            _ = try await node.fetch("GET", "/a")
            let response = try await node.fetch("GET", "/b")
            #expect(response.text == "old")
            #expect(response.cacheStatus?.hasPrefix("rockpool; hit") == true)
        }
    }

    @Test func `stale.after answers while the pull takes its time, and the pull is kept`() async throws {
        let gate = Gate("answer")
        try await withNode(
            script: { request in
                request.number == 0
                    ? [.response(200, Self.stale, body: "old")]
                    : [.wait(gate), .response(200, ["Cache-Control: max-age=3600"], body: "new")]
            },
            configure: { configuration in
                configuration.sites[0].stale.ifErrorMilliseconds = 3_600_000
                configuration.sites[0].stale.afterMilliseconds = 50
            }
        ) { node, origin in
            _ = try await node.fetch("GET", "/r")
            let response = try await node.fetch("GET", "/r")
            #expect(response.text == "old")
            #expect(response.cacheStatus?.contains("detail=stale-after") == true)
            #expect(origin.requestCount == 2)
            gate.open()
            try await origin.waitForAnswers(count: 2)
            #expect(try await Self.eventually(node) == "new")
        }
    }

    @Test func `without stale.after the pull is waited for`() async throws {
        let gate = Gate("answer")
        try await withNode(
            script: { request in
                request.number == 0
                    ? [.response(200, Self.stale, body: "old")]
                    : [.wait(gate), .response(200, ["Cache-Control: max-age=3600"], body: "new")]
            },
            configure: { $0.sites[0].stale.ifErrorMilliseconds = 3_600_000 }
        ) { node, origin in
            _ = try await node.fetch("GET", "/r")
            let client = try node.connect()
            try await client.send(RawClient.request("GET", "/r"))
            try await origin.waitForRequests(count: 2)
            gate.open()
            #expect(try await client.response().text == "new")
        }
    }

    @Test func `stale-while-revalidate refreshes once for many requests`() async throws {
        let gate = Gate("refresh")
        let fields = ["Cache-Control: max-age=60, stale-while-revalidate=600", "Age: 90", "ETag: \"a\""]
        try await withNode(script: { request in
            request.number == 0
                ? [.response(200, fields, body: "old")]
                : [.wait(gate), .response(200, ["Cache-Control: max-age=3600"], body: "new")]
        }) { node, origin in
            _ = try await node.fetch("GET", "/r")
            for _ in 0..<30 {
                let response = try await node.fetch("GET", "/r")
                #expect(response.text == "old")
                #expect(response.cacheStatus?.contains("stale-while-revalidate") == true)
            }
            try await origin.waitForRequests(count: 2)
            #expect(origin.requestCount == 2)
            gate.open()
            try await origin.waitForAnswers(count: 2)
            #expect(try await Self.eventually(node) == "new")
        }
    }

    @Test func `a pull that timed out is not tried again on the same origin`() async throws {
        try await Self.withStale(.saysNothing) { node, origin in
            _ = try await node.fetch("GET", "/r")
            try await origin.waitForNoConnection()
            #expect(origin.requestCount == 2)
        }
    }

    @Test func `a covered error does not replace what is stored`() async throws {
        try await Self.withStale(.answers503) { node, origin in
            _ = try await node.fetch("GET", "/r")
            origin.answer { _ in [.response(304, ["Cache-Control: max-age=3600"])] }
            let deadline = Deadline.standard
            while origin.requestCount < 3, !deadline.isOver {
                #expect(try await node.fetch("GET", "/r").text == "old")
            }
            let probe = try #require(origin.requests.dropFirst(2).first)
            #expect(probe.fields["If-None-Match"] == "\"a\"")
        }
    }

    /// Asks until the answer is no longer the old one.
    private static func eventually(_ node: TestNode) async throws -> String {
        let deadline = Deadline.standard
        var text = "old"
        while text == "old", !deadline.isOver { text = try await node.fetch("GET", "/r").text }
        return text
    }
}
