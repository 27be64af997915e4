import EdgeHTTP
import EdgeTesting
import Testing

@testable import EdgeOrigin

/// Keeps what a pull brought.
private final class Answer: PullSink {
    struct State {
        var text: [UInt8] = []
        var result: Result<String, PullFailure>?
    }

    let state = Watched(State())

    func pull(interim: ResponseHead) {}
    func pull(head: ResponseHead) {}
    func pull(body: UnsafeRawBufferPointer) -> Bool {
        state.change { $0.text += Array(body) }
        return true
    }
    func pull(trailers: FieldSection) {}
    func pullCompleted(isEndProved: Bool) {
        state.change { $0.result = .success(String(decoding: $0.text, as: UTF8.self)) }
    }
    func pullFailed(_ failure: PullFailure) { state.change { $0.result = .failure(failure) } }
    func pullUploadWritable() {}
    func pullSettled() {}
}

/// Origins whose names come to mean other addresses.
@Suite(.wholeNodes) struct OriginMovesTests {
    /// An origin `origin.test` whose addresses are what the test says.
    private final class MovingOrigin: Sendable {
        let addresses: Watched<[String]?>
        let lookUps = Watched(0)
        let service: PullService

        init(port: Int, intervalMilliseconds: Int64, addresses first: [String]?) {
            let origin = OriginConfiguration(urls: ["http://origin.test:\(port)"])
            let addresses = Watched(first)
            self.addresses = addresses
            let lookUps = lookUps
            service = PullService(
                configuration: ["main": origin],
                resolver: NameResolver(intervalMilliseconds: intervalMilliseconds) { name in
                    lookUps.change { $0 += 1 }
                    return name == "origin.test" ? addresses.current : nil
                })
            service.start()
        }

        /// The body that a GET brought, or why it brought none.
        func get(method: String = "GET") async throws -> Result<String, PullFailure> {
            let answer = Answer()
            service.pull(
                PullRequest(
                    origin: "main", method: Array(method.utf8), isHead: false,
                    isIdempotent: method == "GET", isSafe: method == "GET", target: Array("/".utf8),
                    host: Array("site.test".utf8), fields: FieldSection(), body: .none, hashKey: 1, client: 1),
                sink: answer)
            try await answer.state.wait(for: "the end of the pull") { $0.result != nil }
            return try #require(answer.state.current.result)
        }

        func text() async throws -> String? { try? await get().get() }

        func lookedUpAgain() async throws {
            let before = lookUps.current
            // One may have been under way when the addresses changed; the second began after that.
            try await lookUps.wait(for: "two look-ups") { $0 >= before + 2 }
        }
    }

    /// Two servers at the same port of two addresses.
    private static func withServers(
        intervalMilliseconds: Int64 = 10_000, addresses: [String]? = ["127.0.0.1"],
        script: @escaping @Sendable (String, RecordedRequest) -> [ScriptStep] = { name, _ in
            [.response(200, body: name)]
        },
        _ body: (MovingOrigin, ScriptedServer, ScriptedServer) async throws -> Void
    ) async throws {
        let first = try ScriptedServer { script("first", $0) }
        defer { first.stop() }
        let second = try ScriptedServer(address: "127.0.0.2", port: first.port) { script("second", $0) }
        defer { second.stop() }
        let origin = MovingOrigin(
            port: first.port, intervalMilliseconds: intervalMilliseconds, addresses: addresses)
        let service = origin.service
        let result: Result<Void, any Error>
        do {
            try await body(origin, first, second)
            result = .success(())
        } catch {
            result = .failure(error)
        }
        try await onThread { service.shutdown() }
        try result.get()
    }

    @Test func `a name that moves is followed within seconds when connecting fails`() async throws {
        try await Self.withServers { origin, first, _ in
            #expect(try await origin.text() == "first")
            origin.addresses.change { $0 = ["127.0.0.2"] }
            first.refuseConnections()
            let deadline = Deadline(milliseconds: 5_000)
            var text = try await origin.text()
            while text == nil, !deadline.isOver { text = try await origin.text() }
            #expect(text == "second")
        }
    }

    @Test func `it is followed when the move comes long after the origin went away`() async throws {
        try await Self.withServers { origin, first, _ in
            #expect(try await origin.text() == "first")
            first.refuseConnections()
            while origin.service.snapshot()[0].health == .healthy { _ = try await origin.text() }
            // Later checks come seconds apart: the move itself brings the next one.
            try await origin.lookedUpAgain()
            origin.addresses.change { $0 = ["127.0.0.2"] }
            let deadline = Deadline(milliseconds: 5_000)
            var text = try await origin.text()
            while text == nil, !deadline.isOver { text = try await origin.text() }
            #expect(text == "second")
        }
    }

    @Test func `a kept connection to an address that left the name is used no more, and ends`() async throws {
        try await Self.withServers(intervalMilliseconds: 20) { origin, first, second in
            #expect(try await origin.text() == "first")
            #expect(try await origin.text() == "first")
            #expect(first.connectionCount == 1)
            origin.addresses.change { $0 = ["127.0.0.2"] }
            try await first.waitForNoConnection()
            #expect(try await origin.text() == "second")
            #expect(first.requestCount == 2)
            #expect(second.requestCount == 1)
        }
    }

    @Test func `a connection with a request under way ends after it`() async throws {
        let gate = Gate("the answer")
        try await Self.withServers(
            intervalMilliseconds: 20,
            script: { name, request in
                name == "first" && request.number == 1
                    ? [.wait(gate), .response(200, body: name)] : [.response(200, body: name)]
            }
        ) { origin, first, _ in
            #expect(try await origin.text() == "first")
            async let late = origin.text()
            try await first.waitForRequests(count: 2)
            origin.addresses.change { $0 = ["127.0.0.2"] }
            try await origin.lookedUpAgain()
            #expect(try await origin.text() == "second")
            gate.open()
            #expect(try await late == "first")
            try await first.waitForNoConnection()
        }
    }

    @Test func `a connection to an address that stays is kept`() async throws {
        try await Self.withServers(intervalMilliseconds: 20) { origin, first, _ in
            #expect(try await origin.text() == "first")
            origin.addresses.change { $0 = ["127.0.0.2", "127.0.0.1"] }
            try await origin.lookedUpAgain()
            #expect(try await origin.text() == "first")
            #expect(first.connectionCount == 1)
        }
    }

    @Test func `all addresses are tried`() async throws {
        try await Self.withServers(addresses: ["127.0.0.3", "127.0.0.1", "127.0.0.2"]) {
            origin, first, second in
            first.refuseConnections()
            #expect(try await origin.text() == "second")
            let posted = try await origin.get(method: "POST")
            #expect((try? posted.get()) == "second")
            #expect(second.requestCount == 2)
        }
    }

    @Test func `a name server that is away takes no origin with it`() async throws {
        try await Self.withServers(intervalMilliseconds: 20) { origin, first, _ in
            #expect(try await origin.text() == "first")
            origin.addresses.change { $0 = nil }
            try await origin.lookedUpAgain()
            first.refuseConnections()
            try first.acceptConnections()
            let deadline = Deadline.standard
            var text = try await origin.text()
            while text == nil, !deadline.isOver { text = try await origin.text() }
            #expect(text == "first")
        }
    }

    @Test func `a name that is not found is said to be so`() async throws {
        try await Self.withServers(addresses: nil) { origin, _, _ in
            let result = try await origin.get()
            guard case .failure(let failure) = result else {
                Issue.record("there was an answer")
                return
            }
            #expect(failure.kind == .nameNotFound)
        }
    }
}
