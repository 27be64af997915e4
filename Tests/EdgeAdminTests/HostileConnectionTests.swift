import EdgeAdmin
import EdgeTesting
import NIOCore
import Testing

/// Clients that are slow, large, many or wrong.
@Suite(.wholeNodes) struct HostileConnectionTests {
    private static let post = ["Content-Type: application/json"] + TestAdmin.authorization()

    @Test func `the largest body is read, one byte more is not`() async throws {
        try await withAdmin { admin in
            let body = #"{"tag":"a"}"#
            let fill = String(repeating: " ", count: 65_536 - body.utf8.count)
            try await expect(200) { try await admin.ask("POST", "/purge", body: body + fill) }
            try await expect(413) { try await admin.ask("POST", "/purge", body: body + fill + " ") }
            #expect(admin.purgeCount == 1)
        }
    }

    @Test func `a length that is too large is refused before the body comes`() async throws {
        try await withAdmin { admin in
            let client = try RawClient(port: admin.port)
            defer { client.close() }
            try await client.send(
                RawClient.request("POST", "/purge", Self.post + ["Content-Length: 65537"]))
            let answer = try await client.response()
            #expect(answer.status == 413)
            #expect(answer.fields["Connection"] == "close")
            #expect(try await client.isClosedByPeer())
        }
    }

    @Test func `a chunked body is cut off where it gets too large`() async throws {
        try await withAdmin(limits: { $0.linger = .milliseconds(200) }) { admin in
            let client = try RawClient(port: admin.port)
            defer { client.close() }
            try await client.send(
                RawClient.request("POST", "/purge", Self.post + ["Transfer-Encoding: chunked"]))
            let chunk = "4000\r\n" + String(repeating: " ", count: 0x4000) + "\r\n"
            for _ in 0..<5 { try await client.send(chunk) }
            let answer = try await client.response()
            #expect(answer.status == 413)
            #expect(answer.fields["Content-Type"] == "application/problem+json")
            #expect(try await client.isClosedByPeer())
        }
    }

    @Test func `who waits to be asked for the body is asked`() async throws {
        try await withAdmin { admin in
            let client = try RawClient(port: admin.port)
            defer { client.close() }
            let body = #"{"tag":"a"}"#
            let fields = Self.post + ["Expect: 100-continue", "Content-Length: \(body.utf8.count)"]
            for _ in 0..<2 {
                try await client.send(RawClient.request("POST", "/purge", fields))
                // The body is sent once the invitation is there, which no length or end follows.
                let invitation = try await client.body(count: 25)
                #expect(invitation == "HTTP/1.1 100 Continue\r\n\r\n")
                try await client.send(body)
                try await expect(200) { try await client.response() }
            }
        }
    }

    @Test func `a chunked body within the limit is a body`() async throws {
        try await withAdmin { admin in
            let client = try RawClient(port: admin.port)
            defer { client.close() }
            let head = RawClient.request("POST", "/purge", Self.post + ["Transfer-Encoding: chunked"])
            for _ in 0..<2 {
                try await client.send(head + "5\r\n{\"tag\r\n6\r\n\":\"a\"}\r\n0\r\n\r\n")
                try await expect(200) { try await client.response() }
            }
        }
    }

    @Test func `a body where none is read is dropped, up to a limit`() async throws {
        try await withAdmin(limits: {
            $0.linger = .milliseconds(200)
            $0.connections = 1
        }) { admin in
            let client = try RawClient(port: admin.port)
            defer { client.close() }
            let small = String(repeating: "x", count: 60_000)
            for _ in 0..<2 {
                try await client.send(
                    RawClient.request("GET", "/status", TestAdmin.authorization(), body: small))
                try await expect(200) { try await client.response() }
            }
            try await client.send(
                RawClient.request("GET", "/healthz", ["Content-Length: 100000000"]))
            try await expect(200) { try await client.response() }
            let large = [UInt8](repeating: 0x20, count: 20_000_000)
            _ = try? await client.sendUntilBlocked(large, stallMilliseconds: 1_000)
            // There is one place: the other connection is over long before its body could be.
            try await expect(200) { try await admin.ask("GET", "/healthz") }
        }
    }

    @Test func `a head that does not come is not waited for`() async throws {
        try await withAdmin(limits: { $0.idle = .seconds(1) }) { admin in
            let silent = try RawClient(port: admin.port)
            let slow = try RawClient(port: admin.port)
            let kept = try RawClient(port: admin.port)
            defer { for client in [silent, slow, kept] { client.close() } }
            try await slow.send("GET /healthz HTTP/1.1\r\nHost: a")
            try await kept.send(RawClient.request("GET", "/healthz"))
            try await expect(200) { try await kept.response() }
            for client in [silent, slow, kept] { #expect(try await client.isClosedByPeer()) }
        }
    }

    @Test func `a body that does not come whole gets 408`() async throws {
        try await withAdmin(limits: { $0.exchange = .milliseconds(200) }) { admin in
            let client = try RawClient(port: admin.port)
            defer { client.close() }
            try await client.send(
                RawClient.request("POST", "/purge", Self.post + ["Content-Length: 11"]) + #"{"tag":"#)
            let answer = try await client.response()
            #expect(answer.status == 408)
            #expect(answer.fields["Content-Type"] == "application/problem+json")
            #expect(try await client.isClosedByPeer())
            #expect(admin.purgeCount == 0)
        }
    }

    private static let brokenOff = [
        "Content-Length: 50\r\n\r\n{\"all\":true}",
        "Transfer-Encoding: chunked\r\n\r\nc\r\n{\"all\":true}\r\n",
        "Transfer-Encoding: chunked\r\n\r\nc\r\n{\"all\":true}\r\nzz\r\n",
        "Transfer-Encoding: chunked\r\n\r\n20\r\n{\"all\":true}",
    ]

    @Test(arguments: brokenOff) func `an order that breaks off is not carried out`(rest: String) async throws
    {
        try await withAdmin { admin in
            let client = try RawClient(port: admin.port)
            defer { client.close() }
            let fields = Self.post.map { $0 + "\r\n" }.joined()
            try await client.send("POST /purge HTTP/1.1\r\nHost: a\r\n\(fields)\(rest)")
            client.endSending()
            _ = try await client.isClosedByPeer()
            #expect(admin.purgeCount == 0)
        }
    }

    @Test func `who does not read answers is let go`() async throws {
        try await withAdmin(limits: {
            $0.exchange = .seconds(1)
            $0.connections = 1
        }) { admin in
            let client = try RawClient(port: admin.port, receiveBufferBytes: 4_096)
            defer { client.close() }
            // 30 KB each: far more than the sockets' buffers hold, so that the answers stay where they are.
            let requests = RawClient.request("GET", "/openapi.json", TestAdmin.authorization())
            let flood = Array(String(repeating: requests, count: 20_000).utf8)
            _ = try? await client.sendUntilBlocked(flood, stallMilliseconds: 1_000)
            // There is one place, and who does not read has lost it.
            // On a busy machine the second of an exchange may be over before the answer; then once more.
            let deadline = Deadline.standard
            while (try? await admin.ask("GET", "/healthz"))?.status != 200, !deadline.isOver {
                try await Task.sleep(for: .milliseconds(20))
            }
            #expect(!deadline.isOver)
        }
    }

    private static let refused: [String: (request: String, status: Int)] = [
        "a long field": (
            "GET /healthz HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "x", count: 20_000))\r\n\r\n", 431
        ),
        "many long fields": (
            "GET /healthz HTTP/1.1\r\nHost: a\r\n"
                + String(repeating: "X: \(String(repeating: "x", count: 900))\r\n", count: 60) + "\r\n", 431
        ),
        "many fields": (
            "GET /healthz HTTP/1.1\r\nHost: a\r\n" + String(repeating: "X: y\r\n", count: 200) + "\r\n", 431
        ),
        "a long target": ("GET /\(String(repeating: "x", count: 200_000)) HTTP/1.1\r\nHost: a\r\n\r\n", 431),
        "no request": ("nonsense\r\n\r\n", 400),
        "another version": ("GET /healthz HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        "a space before the colon": ("GET /healthz HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", 400),
        "two lengths": (
            "POST /purge HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400
        ),
        "a negative length": ("POST /purge HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        "a wrong chunk": (
            RawClient.request("POST", "/purge", post + ["Transfer-Encoding: chunked"]) + "zz\r\n", 400
        ),
    ]

    @Test(arguments: refused.keys.sorted())
    func `what the parser refuses gets a problem and the end`(_ name: String) async throws {
        let (request, status) = try #require(Self.refused[name])
        try await withAdmin(limits: { $0.linger = .milliseconds(200) }) { admin in
            let client = try RawClient(port: admin.port)
            defer { client.close() }
            try? await client.send(request)
            let answer = try await client.response()
            #expect(answer.status == status)
            #expect(answer.fields["Content-Type"] == "application/problem+json")
            #expect(try JSONValue(parsing: answer.text)["status"] == .number("\(status)"))
            #expect(try await client.isClosedByPeer())
        }
    }

    @Test func `odd requests leave the listener standing`() async throws {
        try await withAdmin(limits: {
            $0.exchange = .seconds(2)
            $0.idle = .seconds(2)
        }) { admin in
            let odd = [
                "GET ? HTTP/1.1", "GET # HTTP/1.1", "GET /?%00%ff#?# HTTP/1.1", "OPTIONS * HTTP/1.1",
                "GET :// HTTP/1.1",
                "CONNECT a:1 HTTP/1.1", "GET http://:/ HTTP/1.1", "GET http:// HTTP/1.1",
                "GET http://a/healthz HTTP/1.1",
                "GET /\u{0}x HTTP/1.1", "GET /ü HTTP/1.1", "M-SEARCH /status HTTP/1.1",
                "GET /explain?url=%F0%9F HTTP/1.1",
                "GET http://a?x HTTP/1.1", "GET /status?\u{7F} HTTP/1.1", "PRI * HTTP/2.0", "GET / HTTP/1.0",
                "GET /status",
            ]
            for line in odd {
                let client = try RawClient(port: admin.port)
                defer { client.close() }
                try await client.send(line + "\r\nHost: a\r\nConnection: close\r\n\r\n")
                client.endSending()
                let rest = String(decoding: try await client.rest(), as: UTF8.self)
                #expect(rest.isEmpty || rest.hasPrefix("HTTP/1."), "\(line): \(rest)")
                #expect(!rest.hasPrefix("HTTP/1.1 500"), "\(line)")
            }
            try await expect(200) { try await admin.ask("GET", "/healthz") }
        }
    }

    @Test func `strangers who hold every place keep nobody out`() async throws {
        try await withAdmin(limits: { $0.idle = .seconds(600) }) { admin in
            var held: [RawClient] = []
            defer { for client in held { client.close() } }
            for number in 0..<300 {
                let client = try RawClient(port: admin.port)
                held.append(client)
                // Some say nothing, some half of a head, some half of a body.
                if number % 3 == 1 { try await client.send("GET /healthz HTTP/1.1\r\nHost: a\r\n") }
                if number % 3 == 2 {
                    try await client.send(RawClient.request("POST", "/purge", ["Content-Length: 5"]) + "x")
                }
            }
            for _ in 0..<20 {
                let client = try RawClient(port: admin.port)
                held.append(client)
                try await client.send(RawClient.request("GET", "/readyz", []))
                try await expect(200) { try await client.response() }
            }
            try await expect(200) { try await admin.ask("GET", "/healthz", token: nil) }
            try await expect(200) { try await admin.ask("POST", "/purge", body: #"{"tag":"a"}"#) }
            let metrics = try await admin.ask("GET", "/metrics").text
            let line = metrics.split(separator: "\n").last {
                $0.hasPrefix("rockpool_admin_connections_ended_total")
            }
            let ended = line?.split(separator: " ").last.flatMap { Int($0) }
            #expect(ended.map { $0 >= 320 - 256 } == true)
        }
    }

    @Test func `who showed the token keeps his connection while strangers come and go`() async throws {
        try await withAdmin(limits: {
            $0.connections = 8
            $0.keptConnections = 2
            $0.idle = .seconds(600)
        }) { admin in
            let kept = try RawClient(port: admin.port)
            defer { kept.close() }
            try await kept.send(RawClient.request("GET", "/status", TestAdmin.authorization()))
            try await expect(200) { try await kept.response() }
            var strangers: [RawClient] = []
            defer { for client in strangers { client.close() } }
            for _ in 0..<40 {
                let client = try RawClient(port: admin.port)
                strangers.append(client)
                try await client.send(RawClient.request("GET", "/status", []))
                try await expect(401) { try await client.response() }
            }
            try await kept.send(RawClient.request("GET", "/status", TestAdmin.authorization()))
            try await expect(200) { try await kept.response() }
        }
    }

    @Test func `requests sent in one go are answered in their order`() async throws {
        try await withAdmin { admin in
            let client = try RawClient(port: admin.port)
            defer { client.close() }
            let fields = TestAdmin.authorization()
            var text = ""
            for number in 0..<50 {
                text += RawClient.request("POST", "/purge", fields, body: #"{"tag":"t\#(number)"}"#)
                text += RawClient.request("GET", "/nothing", fields)
            }
            try await client.send(text)
            for number in 0..<50 {
                let purge = try await client.response()
                #expect(try JSONValue(parsing: purge.text)["value"] == .string("t\(number)"))
                try await expect(404) { try await client.response() }
            }
        }
    }

    @Test func `a wrong request behind right ones does not cost their answers`() async throws {
        try await withAdmin(limits: { $0.linger = .milliseconds(200) }) { admin in
            let client = try RawClient(port: admin.port)
            defer { client.close() }
            try await client.send(
                RawClient.request("GET", "/status", TestAdmin.authorization())
                    + RawClient.request("GET", "/purges", TestAdmin.authorization()) + "nonsense\r\n\r\n")
            try await expect(200) { try await client.response() }
            try await expect(200) { try await client.response() }
            let rest = String(decoding: try await client.rest(), as: UTF8.self)
            #expect(rest.isEmpty || rest.hasPrefix("HTTP/1.1 400"))
        }
    }
}
