import EdgeNode
import EdgeServer
import EdgeTesting
import Testing

/// Clients that take their time: who still reads gets all of it, who does not is closed, and neither costs anybody
/// else anything.
@Suite(.serialized, .wholeNodes) struct SlowReaderTests {
    private static let cacheable = ["Cache-Control: max-age=3600"]
    private static let passed = ["Cache-Control: no-store"]

    /// More than the buffers of a connection hold. Each piece of it tells where it stands, so that a byte too many
    /// or too few shows.
    private static let body: [UInt8] = {
        let filler = String(repeating: "0123456789abcdef", count: 255)
        var bytes: [UInt8] = []
        for number in 0..<2_048 {
            let place = String(number)
            bytes += (filler + String(repeating: ".", count: 16 - place.count) + place).utf8
        }
        return bytes
    }()

    private static func answer(_ fields: [String]) -> [ScriptStep] {
        [.head(200, fields + ["Content-Length: \(body.count)"]), .send(body)]
    }

    /// The timers of a connection begin with its idle time: short, so that they look often.
    private static func limits(stallMilliseconds: Int64) -> ConnectionLimits {
        var limits = ConnectionLimits()
        limits.idleMilliseconds = 200
        limits.stallMilliseconds = stallMilliseconds
        return limits
    }

    /// Reads `count` bytes in small pieces.
    private static func readInPieces(_ client: RawClient, _ count: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            bytes += try await client.bytes(count: min(50_001, count - bytes.count))
        }
        return bytes
    }

    @Test(arguments: ["hit", "stored", "passed", "chunked"])
    func `a reader with a small window gets every byte in its place`(kind: String) async throws {
        let body = Self.body
        try await withNode(script: { _ in
            switch kind {
            case "passed": Self.answer(Self.passed)
            case "chunked":
                [
                    .head(200, Self.cacheable + ["Transfer-Encoding: chunked"]),
                    .text(String(body.count, radix: 16) + "\r\n"), .send(body), .text("\r\n0\r\n\r\n"),
                ]
            default: Self.answer(Self.cacheable)
            }
        }) { node, origin in
            if kind == "hit" { _ = try await node.fetch("GET", "/r") }
            let client = try node.connect(receiveBufferBytes: 4_096)
            try await client.send(RawClient.request("GET", "/r"))
            if kind == "chunked" {
                let response = try await client.response()
                #expect(response.framing == .chunked)
                #expect(response.body == body)
            } else {
                #expect(try await client.head().status == 200)
                let bytes = try await Self.readInPieces(client, body.count)
                #expect(bytes == body)
            }
            // Nothing follows: the connection is at the next response.
            try await client.send(RawClient.request("OPTIONS", "*", ["Max-Forwards: 0"]))
            #expect(try await client.response(to: "OPTIONS").status == 204)
            #expect(origin.requestCount == 1)
        }
    }

    /// Longer than the stall limit in all, but never without taking some for as long as that.
    @Test func `a client that reads slowly but steadily is not closed`() async throws {
        let body = Self.body
        try await withNode(
            script: { _ in Self.answer(Self.cacheable) }, limits: Self.limits(stallMilliseconds: 500)
        ) { node, _ in
            _ = try await node.fetch("GET", "/r")
            let client = try node.connect(receiveBufferBytes: 16_384)
            try await client.send(RawClient.request("GET", "/r"))
            #expect(try await client.head().status == 200)
            // The kernel asks for more in steps of a third of the socket's buffer; what the client takes in between
            // counts as well. A machine that stops this reader for half the limit proves nothing.
            var bytes: [UInt8] = []
            var isSteady = true
            let slowUntil = Deadline(milliseconds: 2_600)
            while !slowUntil.isOver {
                let soon = Deadline(milliseconds: 250)
                guard let read = try? await client.bytes(count: 10_000) else { break }
                bytes += read
                try await Task.sleep(for: .milliseconds(50))
                if soon.isOver { isSteady = false }
            }
            guard isSteady else { return }
            #expect(bytes.count < body.count / 2)
            bytes += try await Self.readInPieces(client, body.count - bytes.count)
            #expect(bytes == body)
        }
    }

    @Test(arguments: ["hit", "stored", "passed"])
    func `a client that stops reading is closed, and others go on`(kind: String) async throws {
        let body = Self.body
        try await withNode(
            script: { _ in Self.answer(kind == "passed" ? Self.passed : Self.cacheable) },
            limits: Self.limits(stallMilliseconds: 300)
        ) { node, origin in
            if kind == "hit" { _ = try await node.fetch("GET", "/r") }
            let stalled = try node.connect(receiveBufferBytes: 4_096)
            try await stalled.send(RawClient.request("GET", "/r"))
            #expect(try await stalled.head().status == 200)
            // Meanwhile, on the same loop.
            for _ in 0..<3 {
                let response = try await node.fetch("GET", "/r")
                #expect(response.body == body)
            }
            try await node.waitForConnections { $0 == 0 }
            #expect(node.connectionCount == 0)
            // What the buffers held is all that comes.
            let rest = try await stalled.rest()
            #expect(rest.count < body.count)
            #expect(rest.elementsEqual(body.prefix(rest.count)))
            try await origin.waitForAnswers(count: kind == "passed" ? 3 : 1)
            #expect(try await node.fetch("GET", "/r").body == body)
        }
    }

    @Test func `a slow follower slows neither the leader nor the other followers`() async throws {
        let body = Self.body
        let half = Gate("the second half")
        try await withNode(script: { _ in
            [
                .head(200, Self.cacheable + ["Content-Length: \(body.count)"]),
                .send(Array(body[..<(body.count / 2)])), .wait(half), .send(Array(body[(body.count / 2)...])),
            ]
        }) { node, origin in
            let leader = try node.connect()
            try await leader.send(RawClient.request("GET", "/r"))
            #expect(try await leader.head().status == 200)
            let slow = try node.connect(receiveBufferBytes: 4_096)
            try await slow.send(RawClient.request("GET", "/r"))
            #expect(try await slow.head().cacheStatus?.contains("collapsed") == true)
            let quick = try node.connect()
            try await quick.send(RawClient.request("GET", "/r"))
            #expect(try await quick.head().cacheStatus?.contains("collapsed") == true)
            half.open()
            // The slow one takes nothing until the others have had all.
            #expect(try await leader.bytes(count: body.count) == body)
            #expect(try await quick.bytes(count: body.count) == body)
            try await origin.waitForAnswers(count: 1)
            #expect(try await node.fetch("GET", "/r").body == body)
            let late = try await Self.readInPieces(slow, body.count)
            #expect(late == body)
            #expect(origin.requestCount == 1)
        }
    }

    @Test func `a slow reader of what is not stored holds its own pull back and no other`() async throws {
        let body = Self.body
        try await withNode(script: { _ in Self.answer(Self.passed) }) { node, origin in
            let slow = try node.connect(receiveBufferBytes: 4_096)
            try await slow.send(RawClient.request("GET", "/r"))
            #expect(try await slow.head().status == 200)
            let quick = try await node.fetch("GET", "/r")
            #expect(quick.body == body)
            try await origin.waitForAnswers(count: 1)
            let late = try await Self.readInPieces(slow, body.count)
            #expect(late == body)
            #expect(origin.requestCount == 2)
        }
    }

    @Test func `a slow reader of what turns out too large slows nobody`() async throws {
        let piece = String(repeating: "0123456789abcdef", count: 1 << 16)
        let script: ScriptedServer.Script = { _ in
            [.head(200, ["Cache-Control: max-age=60", "Transfer-Encoding: chunked"])]
                + (0..<24).map { _ in .chunk(piece) } + [.text("0\r\n\r\n")]
        }
        // Half of the budget is 8 MiB: at that point nothing of it is kept any more.
        try await withNode(script: script, configure: { $0.cache.memoryBytes = 16 << 20 }) { node, _ in
            let slow = try node.connect(receiveBufferBytes: 16_384)
            try await slow.send(RawClient.request("GET", "/r"))
            #expect(try await slow.head().status == 200)
            let fast = try node.connect()
            try await fast.send(RawClient.request("GET", "/r"))
            let response = try await fast.response()
            #expect(response.body.count == 24 << 20)
            slow.close()
        }
    }
}

extension RawClient {
    /// The next bytes as they are.
    fileprivate func bytes(count: Int) async throws -> [UInt8] { Array(try await body(count: count).utf8) }
}
