import EdgeTesting
import NIOCore
import Testing

@testable import EdgeOrigin

/// Connections to an origin as the origin counts them.
struct OriginConnectionsTests {
    /// Pulls with content of one byte where the method has some.
    private func begin(_ method: String, _ target: String, _ pulls: PullService) -> RecordingSink {
        let hasContent = ["POST", "PUT"].contains(method)
        let sink = RecordingSink()
        let handle = pulls.pull(
            .to(target, method: method, body: hasContent ? .length(1) : .none), sink: sink)
        if hasContent {
            _ = handle.send(ByteBuffer(string: "x"))
            handle.finishUpload(trailers: nil)
        }
        return sink
    }

    private func expectFine(_ sinks: [RecordingSink]) async throws {
        for sink in sinks {
            let pulled = try await sink.result()
            #expect(pulled.isCompleted)
            #expect(pulled.text == "fine")
        }
    }

    @Test(arguments: [["POST"], ["PUT", "GET"], ["GET", "POST", "DELETE", "HEAD", "FROB"]])
    func `one after another, of any method, they leave no more open than the origin may have`(
        methods: [String]
    ) async throws {
        let origin = try CountingOrigin()
        defer { origin.stop() }
        try await withPulls(from: origin.url, { $0.maxConnections = 8 }) { pulls in
            for number in 0..<60 {
                let pulled = try await begin(methods[number % methods.count], "/", pulls).result()
                #expect(pulled.isCompleted)
            }
            #expect(origin.counts.current.mostOpen <= 8)
        }
    }

    @Test func `many at once, with idle ones of before, are no more than the origin may have`() async throws {
        let origin = try CountingOrigin()
        defer { origin.stop() }
        let methods = ["GET", "POST", "PUT", "DELETE"]
        try await withPulls(from: origin.url, { $0.maxConnections = 8 }) { pulls in
            for round in 0..<6 {
                let sinks = (0..<40).map { begin(methods[($0 + round) % methods.count], "/", pulls) }
                try await expectFine(sinks)
            }
            let counts = origin.counts.current
            #expect(counts.requests == 240)
            #expect(counts.mostOpen <= 8)
            #expect(counts.mostOpen > 4)
        }
    }

    @Test func `a kept connection is used again`() async throws {
        let origin = try CountingOrigin()
        defer { origin.stop() }
        try await withPulls(from: origin.url) { pulls in
            for _ in 0..<20 {
                try await expectFine([begin("GET", "/", pulls)])
            }
            #expect(origin.counts.current.accepted == 1)
        }
    }

    @Test func `an idle connection is closed after its time, though nothing else happens`() async throws {
        let origin = try CountingOrigin()
        defer { origin.stop() }
        try await withPulls(from: origin.url, { $0.idleConnectionSeconds = 1 }) { pulls in
            let sinks = (0..<3).map { _ in begin("GET", "/", pulls) }
            try await expectFine(sinks)
            try await origin.counts.wait(for: "the end of idle connections") { $0.open == 0 }
            try await expectFine([begin("GET", "/", pulls)])
        }
    }

    @Test func `idle connections are closed while another of the same origin is in use`() async throws {
        let origin = try CountingOrigin()
        defer { origin.stop() }
        try await withPulls(
            from: origin.url,
            {
                $0.idleConnectionSeconds = 1
                $0.maxConnections = 3
            }
        ) { pulls in
            let held = begin("GET", "/hold", pulls)
            try await origin.counts.wait(for: "the held request") { $0.held == 1 }
            let others = (0..<2).map { _ in begin("POST", "/", pulls) }
            try await expectFine(others)
            try await origin.counts.wait(for: "the end of idle connections") { $0.open == 1 }
            #expect(held.pulled.current.end == nil)
            origin.release()
            #expect(try await held.result().text == "fine")
            #expect(origin.counts.current.mostOpen == 3)
        }
    }

    @Test func `an origin that is configured no more keeps no connection`() async throws {
        let origin = try CountingOrigin()
        defer { origin.stop() }
        try await withPulls(from: origin.url, { $0.idleConnectionSeconds = 1 }) { pulls in
            try await expectFine([begin("GET", "/", pulls)])
            pulls.reload([:])
            try await origin.counts.wait(for: "the end of its connections") { $0.open == 0 }
        }
    }
}
