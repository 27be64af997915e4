import EdgeNode
import EdgeOrigin
import EdgeTesting
import Testing

/// Bodies that come in the smallest pieces there are, through a whole node.
@Suite(.wholeNodes) struct SmallPiecesTests {
    private static let postHead = "POST /up HTTP/1.1\r\nHost: case.test\r\nTransfer-Encoding: chunked\r\n\r\n"

    @Test func `an upload in chunks of one byte arrives whole and in time`() async throws {
        try await withNode(script: { _ in [.response(200, body: "fine")] }) { node, origin in
            let count = 300_000
            let client = try node.connect()
            let wire = Array(Self.postHead.utf8) + Array(String(repeating: "1\r\nx\r\n", count: count).utf8)
            try await client.send(wire + Array("0\r\n\r\n".utf8))
            #expect(try await client.response(to: "POST").text == "fine")
            #expect(origin.requests[0].body.count == count)
        }
    }

    @Test func `a response in chunks of one byte arrives whole, in larger chunks`() async throws {
        let count = 200_000
        try await withNode(script: { _ in
            [
                .head(200, ["Transfer-Encoding: chunked", "Cache-Control: no-store"]),
                .text(String(repeating: "1\r\nx\r\n", count: count) + "0\r\n\r\n"),
            ]
        }) { node, _ in
            let client = try node.connect()
            try await client.send(RawClient.request("GET", "/r"))
            #expect(try await client.head().status == 200)
            var length = 0
            var chunks = 0
            while let chunk = try await client.chunk() {
                length += chunk.utf8.count
                chunks += 1
            }
            #expect(length == count)
            #expect(chunks < count / 100)
        }
    }

    /// How a client leaves in the middle of its upload.
    enum Leaving: Sendable, CaseIterable {
        case reset, close, endOfSending
    }

    @Test(arguments: Leaving.allCases, [true, false])
    func `a client that leaves while its upload waits for the origin ends the pull`(
        leaving: Leaving, isChunked: Bool
    ) async throws {
        let gate = Gate("the upload is read")
        try await withNode(script: { _ in [.wait(gate), .hang] }, readsBodies: false) { node, origin in
            let client = try node.connect()
            if isChunked {
                try await client.send(Self.postHead)
            } else {
                try await client.send(
                    "POST /up HTTP/1.1\r\nHost: case.test\r\nContent-Length: 999999999\r\n\r\n")
            }
            try await origin.waitForRequests(count: 1)
            let piece = isChunked ? "400\r\n" + String(repeating: "x", count: 1_024) + "\r\n" : "x"
            let wire = Array(String(repeating: piece, count: (24 << 20) / piece.utf8.count).utf8)
            if leaving == .reset {
                let sent = try await client.sendUntilBlocked(wire, stallMilliseconds: 300)
                #expect(sent < wire.count)
            } else {
                // The end of what was sent is seen where it fits into the window behind it.
                try await client.send(Array(wire[..<(3 << 20)]))
            }
            switch leaving {
            case .reset: client.reset()
            case .close: client.close()
            case .endOfSending: client.endSending()
            }
            try await node.waitForConnections { $0 == 0 }
            #expect(node.connectionCount == 0)
            gate.open()
            try await origin.waitForNoConnection()
        }
    }

    @Test func `a client that sent all of its upload and ends its sending gets the answer`() async throws {
        try await withNode(
            script: { _ in [.readBody, .response(200, body: "fine")] }, readsBodies: false
        ) { node, origin in
            let client = try node.connect()
            let count = 6 << 20
            try await client.send("POST /up HTTP/1.1\r\nHost: case.test\r\nContent-Length: \(count)\r\n\r\n")
            try await client.send([UInt8](repeating: 120, count: count))
            client.endSending()
            #expect(try await client.response(to: "POST").text == "fine")
            #expect(origin.requests[0].body.count == count)
        }
    }
}
