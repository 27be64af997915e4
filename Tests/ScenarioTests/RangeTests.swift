import EdgeNode
import EdgeTesting
import Testing

/// Ranges of what is not stored, or not whole (RFC 9110 14, RFC 9111 3.3, 3.4).
@Suite(.wholeNodes) struct RangeTests {
    private static let mebibyte = 1 << 20
    private static let size = 3 * mebibyte + 1000
    /// Bytes that tell their own offset.
    private static let content = Array((0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 11) })

    /// An origin that has `content` under every path and honours Range as `options` say.
    private struct Origin: Sendable {
        var etag: String? = "\"v1\""
        var honoursRange = true
        var fields = ["Cache-Control: max-age=3600"]
        var content = RangeTests.content

        func answer(_ request: RecordedRequest) -> [ScriptStep] {
            var fields = fields
            if let etag { fields.append("ETag: \(etag)") }
            if let condition = request.fields["If-None-Match"], condition == etag {
                return [.response(304, fields)]
            }
            guard honoursRange, let range = range(request) else {
                return [.head(200, fields + ["Content-Length: \(content.count)"]), .send(content)]
            }
            guard range.lowerBound < content.count else {
                return [.response(416, ["Content-Range: bytes */\(content.count)"])]
            }
            fields.append("Content-Range: bytes \(range.lowerBound)-\(range.upperBound - 1)/\(content.count)")
            return [
                .head(206, fields + ["Content-Length: \(range.count)"]), .send(Array(content[range])),
            ]
        }

        private func range(_ request: RecordedRequest) -> Range<Int>? {
            guard let value = request.fields["Range"], value.hasPrefix("bytes=") else { return nil }
            if let condition = request.fields["If-Range"], condition != etag { return nil }
            let bounds = value.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false)
            guard bounds.count == 2 else { return nil }
            guard let first = Int(bounds[0]) else {
                return Int(bounds[1]).map { max(0, content.count - $0)..<content.count }
            }
            guard first < content.count else { return first..<first + 1 }
            return first..<min(content.count, (Int(bounds[1]) ?? content.count) + 1)
        }
    }

    private static func fetch(_ node: TestNode, _ fields: [String] = []) async throws -> ClientResponse {
        try await node.fetch("GET", "/a", fields)
    }

    private static func ranges(_ origin: ScriptedServer) -> [String] {
        origin.requests.map { $0.fields["Range"] ?? "whole" }
    }

    private static func expect(
        _ response: ClientResponse, _ range: Range<Int>, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(response.status == 206, sourceLocation: sourceLocation)
        #expect(
            response.fields["Content-Range"] == "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(size)",
            sourceLocation: sourceLocation)
        #expect(response.body == Array(content[range]), sourceLocation: sourceLocation)
    }

    @Test func `a byte costs the origin one block, and its neighbours nothing`() async throws {
        try await withNode(script: { Origin().answer($0) }) { node, origin in
            Self.expect(
                try await Self.fetch(node, ["Range: bytes=1500000-1500000"]), 1_500_000..<1_500_001)
            Self.expect(
                try await Self.fetch(node, ["Range: bytes=1048576-1048580"]), 1_048_576..<1_048_581)
            let hit = try await Self.fetch(node, ["Range: bytes=2000000-2097151"])
            Self.expect(hit, 2_000_000..<2_097_152)
            #expect(hit.cacheStatus?.contains("hit") == true)
            #expect(Self.ranges(origin) == ["bytes=1048576-2097151"])
        }
    }

    @Test func `a range over a hole asks for the hole alone`() async throws {
        try await withNode(script: { Origin().answer($0) }) { node, origin in
            _ = try await Self.fetch(node, ["Range: bytes=0-9"])
            _ = try await Self.fetch(node, ["Range: bytes=2097152-2097160"])
            let joined = try await Self.fetch(node, ["Range: bytes=1000000-2500000"])
            Self.expect(joined, 1_000_000..<2_500_001)
            #expect(joined.cacheStatus?.contains("fwd=partial") == true)
            #expect(
                Self.ranges(origin) == ["bytes=0-1048575", "bytes=2097152-3145727", "bytes=1048576-2097151"])
            #expect(origin.requests.last?.fields["If-Range"] == "\"v1\"")
        }
    }

    @Test func `a request for the whole completes what is stored`() async throws {
        try await withNode(script: { Origin().answer($0) }) { node, origin in
            _ = try await Self.fetch(node, ["Range: bytes=1048576-1048577"])
            let whole = try await Self.fetch(node)
            #expect(whole.status == 200)
            #expect(whole.body == Self.content)
            #expect(
                Self.ranges(origin) == ["bytes=1048576-2097151", "bytes=0-1048575", "bytes=2097152-3146727"])
            let hit = try await Self.fetch(node)
            #expect(hit.cacheStatus?.contains("hit") == true)
            #expect(hit.body == Self.content)
            #expect(origin.requestCount == 3)
        }
    }

    @Test func `the tail of a small response is asked for by its beginning`() async throws {
        let small = Origin(content: Array("0123456789".utf8))
        try await withNode(script: { request in
            // An origin that gives less than it is asked for, as it may (RFC 9110 15.3.7).
            guard request.fields["Range"] == "bytes=0-1048575" else { return small.answer(request) }
            let fields = small.fields + ["ETag: \"v1\"", "Content-Range: bytes 0-4/10"]
            return [.response(206, fields, body: "01234")]
        }) { node, origin in
            let part = try await Self.fetch(node, ["Range: bytes=2-3"])
            #expect(part.text == "23")
            let whole = try await Self.fetch(node)
            #expect(whole.text == "0123456789")
            let hit = try await Self.fetch(node)
            #expect(hit.cacheStatus?.contains("hit") == true)
            #expect(Self.ranges(origin) == ["bytes=0-1048575", "bytes=5-"])
        }
    }

    @Test func `a suffix of unknown length goes to the origin unchanged`() async throws {
        try await withNode(script: { Origin().answer($0) }) { node, origin in
            let range = Self.size - 500..<Self.size
            Self.expect(try await Self.fetch(node, ["Range: bytes=-500"]), range)
            Self.expect(
                try await Self.fetch(node, ["Range: bytes=-100"]), Self.size - 100..<Self.size)
            Self.expect(
                try await Self.fetch(node, ["Range: bytes=\(Self.size - 300)-"]),
                Self.size - 300..<Self.size)
            #expect(Self.ranges(origin) == ["bytes=-500"])
        }
    }

    @Test func `several ranges cost the blocks that they touch`() async throws {
        try await withNode(script: { Origin().answer($0) }) { node, origin in
            let response = try await Self.fetch(node, ["Range: bytes=0-1,\(Self.size - 2)-"])
            #expect(response.status == 206)
            #expect(response.fields["Content-Type"]?.hasPrefix("multipart/byteranges") == true)
            #expect(response.text.contains("Content-Range: bytes 0-1/\(Self.size)"))
            #expect(
                response.text.contains("Content-Range: bytes \(Self.size - 2)-\(Self.size - 1)/\(Self.size)"))
            #expect(Self.ranges(origin) == ["bytes=0-1048575", "bytes=3145728-3146727"])
        }
    }

    @Test func `an origin that ignores Range is pulled once, whole`() async throws {
        try await withNode(script: { Origin(honoursRange: false).answer($0) }) { node, origin in
            Self.expect(
                try await Self.fetch(node, ["Range: bytes=1500000-1500009"]), 1_500_000..<1_500_010)
            Self.expect(try await Self.fetch(node, ["Range: bytes=5-9"]), 5..<10)
            #expect(try await Self.fetch(node).body == Self.content)
            #expect(origin.requestCount == 1)
        }
    }

    @Test(arguments: [nil, "W/\"weak\""] as [String?])
    func `without a strong validator nothing is joined`(etag: String?) async throws {
        try await withNode(script: { Origin(etag: etag).answer($0) }) { node, origin in
            Self.expect(try await Self.fetch(node, ["Range: bytes=0-9"]), 0..<10)
            Self.expect(
                try await Self.fetch(node, ["Range: bytes=2000000-2000009"]), 2_000_000..<2_000_010)
            #expect(try await Self.fetch(node).body == Self.content)
            #expect(Self.ranges(origin).last == "whole")
            #expect(origin.requestCount == 3)
        }
    }

    @Test func `another version in the hole is not joined to the first`() async throws {
        let version = Watched(1)
        try await withNode(script: { request in
            var origin = Origin()
            if version.current == 2 {
                origin.etag = "\"v2\""
                origin.content = origin.content.map { ~$0 }
            }
            return origin.answer(request)
        }) { node, origin in
            _ = try await Self.fetch(node, ["Range: bytes=0-9"])
            version.change { $0 = 2 }
            // The hole's pull says If-Range, so that the whole of the new version comes instead.
            let whole = try await Self.fetch(node)
            #expect(whole.status == 200)
            #expect(whole.body == Self.content.map { ~$0 })
            #expect(whole.fields["ETag"] == "\"v2\"")
            let range = try await Self.fetch(node, ["Range: bytes=0-9"])
            #expect(range.body == Self.content[0..<10].map { ~$0 })
        }
    }

    @Test func `a stale part is validated, and pulled anew no further than asked`() async throws {
        let version = Watched(1)
        try await withNode(script: { request in
            var origin = Origin()
            origin.fields = ["Cache-Control: max-age=0"]
            origin.etag = "\"v\(version.current)\""
            return origin.answer(request)
        }) { node, origin in
            _ = try await Self.fetch(node, ["Range: bytes=0-9"])
            let validated = try await Self.fetch(node, ["Range: bytes=5-9"])
            Self.expect(validated, 5..<10)
            #expect(validated.cacheStatus?.contains("fwd-status=304") == true)
            version.change { $0 = 2 }
            let renewed = try await Self.fetch(node, ["Range: bytes=5-9"])
            Self.expect(renewed, 5..<10)
            #expect(renewed.fields["ETag"] == "\"v2\"")
            #expect(Self.ranges(origin).allSatisfy { $0 == "bytes=0-1048575" })
        }
    }

    @Test(arguments: [
        ["Content-Range: bytes 0-9/3146728", "Content-Length: 5"],
        ["Content-Range: bytes 0-4/*", "Content-Length: 5"],
        ["Content-Length: 5"],
        ["Content-Range: bytes 0-4/10", "Content-Range: bytes 5-9/10", "Content-Length: 5"],
    ])
    func `a 206 that is not what it says is passed on and not stored`(fields: [String]) async throws {
        try await withNode(script: { _ in
            [.head(206, ["Cache-Control: max-age=60", "ETag: \"v1\""] + fields), .text("01234")]
        }) { node, origin in
            for _ in 0..<2 {
                let response = try await Self.fetch(node, ["Range: bytes=-5"])
                #expect(response.status == 206)
                #expect(response.text == "01234")
            }
            #expect(origin.requestCount == 2)
        }
    }

    @Test func `If-Range that fails gives the whole, block by block`() async throws {
        try await withNode(script: { Origin().answer($0) }) { node, origin in
            let whole = try await Self.fetch(node, ["Range: bytes=0-9", "If-Range: \"other\""])
            #expect(whole.status == 200)
            #expect(whole.body == Self.content)
            let part = try await Self.fetch(node, ["Range: bytes=0-9", "If-Range: \"v1\""])
            Self.expect(part, 0..<10)
        }
    }

    @Test func `what lies behind the end is 416`() async throws {
        try await withNode(script: { Origin().answer($0) }) { node, origin in
            let cold = try await Self.fetch(node, ["Range: bytes=99999999-"])
            #expect(cold.status == 416)
            _ = try await Self.fetch(node, ["Range: bytes=0-9"])
            let known = try await Self.fetch(node, ["Range: bytes=\(Self.size)-"])
            #expect(known.status == 416)
            #expect(known.fields["Content-Range"] == "bytes */\(Self.size)")
            #expect(try await Self.fetch(node).status == 200)
        }
    }

    @Test func `clients of one block share its pull`() async throws {
        let gate = Gate("answer")
        try await withNode(script: { [.wait(gate)] + Origin().answer($0) }) { node, origin in
            let clients = try (0..<20).map { _ in try node.connect() }
            for (index, client) in clients.enumerated() {
                try await client.send(
                    RawClient.request("GET", "/a", ["Range: bytes=\(index * 100)-\(index * 100 + 9)"]))
            }
            try await origin.waitForRequests(count: 1)
            gate.open()
            for (index, client) in clients.enumerated() {
                Self.expect(try await client.response(), index * 100..<index * 100 + 10)
            }
            #expect(origin.requestCount == 1)
        }
    }

    @Test func `a hole is read from a pull of the whole that is under way`() async throws {
        let gate = Gate("the rest of the whole")
        try await withNode(script: { request in
            guard request.fields["Range"] == nil else { return Origin().answer(request) }
            return [
                .head(
                    200, ["Cache-Control: max-age=3600", "ETag: \"v1\"", "Content-Length: \(Self.size)"]),
                .wait(gate), .send(Self.content),
            ]
        }) { node, origin in
            let whole = try node.connect()
            try await whole.send(RawClient.request("GET", "/a", []))
            #expect(try await whole.head().status == 200)
            // Its leader waits, and two ranges wait with it for bytes far apart.
            let ranges = try node.connect()
            try await ranges.send(
                RawClient.request("GET", "/a", ["Range: bytes=5-9,3000000-3000004"]))
            gate.open()
            let response = try await ranges.response()
            #expect(response.text.hasSuffix("--\r\n") || response.status == 200)
            #expect(try await whole.body(count: Self.size).utf8.count > 0)
            #expect(origin.requestCount == 1)
        }
    }

    @Test func `a range of our own making is nobody's answer`() async throws {
        // An origin that does not tell the length, and one whose representation has changed since.
        try await withNode(script: { request in
            let fields = ["Cache-Control: max-age=60", "ETag: \"new\""]
            guard request.fields["If-Range"] == nil else {
                return [.response(200, fields, body: "the whole of the new")]
            }
            return [.response(206, fields + ["Content-Range: bytes 0-3/*"], body: "abcd")]
        }) { node, _ in
            let response = try await Self.fetch(node, ["Range: bytes=2-3", "If-Range: \"old\""])
            #expect(response.status == 200)
            #expect(response.text == "the whole of the new")
        }
    }

    @Test(arguments: [
        ["Range: bytes=2000000-2000001,5-9"], ["Range: bytes=2000000-", "If-Range: \"old\""],
        ["Range: bytes=2000000-", "If-None-Match: \"v1\""],
    ])
    func `a 416 to our range is no 416 to another request`(fields: [String]) async throws {
        let small = Origin(content: Array(Self.content.prefix(100)))
        try await withNode(script: { request in
            // An honest origin for the request as the client sent it.
            if request.fields["If-None-Match"] != nil { return [.response(304, small.fields)] }
            if request.fields["Range"]?.contains(",") == true {
                return [
                    .response(206, ["Content-Range: bytes 5-9/100"], body: "fghij")
                ]
            }
            return small.answer(request)
        }) { node, _ in
            let judged = try await Self.fetch(node, fields)
            #expect(judged.status != 416)
            let plain = try await Self.fetch(node, ["Range: bytes=2000000-"])
            #expect(plain.status == 416)
        }
    }

    @Test(arguments: ["9223372036854775807", "9223372036854775806", "72057594037927936"])
    func `a length beyond reason costs nothing`(length: String) async throws {
        try await withNode(script: { request in
            guard request.fields["Range"] != nil else { return [.response(200, body: "whole")] }
            return [
                .response(
                    206, ["Cache-Control: max-age=60", "ETag: \"v1\"", "Content-Range: bytes 0-9/\(length)"],
                    body: "0123456789")
            ]
        }) { node, _ in
            for _ in 0..<2 {
                let part = try await Self.fetch(node, ["Range: bytes=0-0"])
                #expect(part.status == 206)
            }
            let whole = try await Self.fetch(node)
            #expect(whole.text == "whole")
        }
    }

    @Test(arguments: ["no-store", "max-age=3600"])
    func `several ranges backwards are delivered`(cacheControl: String) async throws {
        let origin = Origin(fields: ["Cache-Control: \(cacheControl)"])
        try await withNode(script: { origin.answer($0) }) { node, _ in
            let response = try await Self.fetch(node, ["Range: bytes=2000000-2000010,1200000-1200010"])
            #expect(response.status == 206)
            let body = response.body
            for range in [2_000_000..<2_000_011, 1_200_000..<1_200_011] {
                #expect(body.firstRange(of: Self.content[range]) != nil)
            }
        }
    }

    @Test func `an origin that sends less than it is asked for is asked again`() async throws {
        try await withNode(script: { request in
            var origin = Origin()
            // Never more than 10,000 bytes from where it is asked to begin.
            guard let value = request.fields["Range"],
                let first = value.dropFirst(6).split(separator: "-").first.flatMap({ Int($0) })
            else { return origin.answer(request) }
            let end = min(first + 10_000, Self.size)
            origin.fields += ["ETag: \"v1\"", "Content-Range: bytes \(first)-\(end - 1)/\(Self.size)"]
            return [
                .head(206, origin.fields + ["Content-Length: \(end - first)"]),
                .send(Array(Self.content[first..<end])),
            ]
        }) { node, _ in
            let first = try await Self.fetch(node, ["Range: bytes=900000-900010"])
            Self.expect(first, 900_000..<900_011)
            let second = try await Self.fetch(node, ["Range: bytes=1500000-1500010"])
            Self.expect(second, 1_500_000..<1_500_011)
        }
    }

    @Test func `a 206 that brings more than it names is not kept, and nothing of the surplus is sent`()
        async throws
    {
        try await withNode(script: { _ in
            let fields = ["Cache-Control: max-age=60", "ETag: \"v1\"", "Content-Range: bytes 0-9/100"]
            return [
                .head(206, fields + ["Transfer-Encoding: chunked"]), .chunk("01234"), .chunk("56789junk"),
                .chunk("more"), .text("0\r\n\r\n"),
            ]
        }) { node, origin in
            for _ in 0..<2 {
                let response = try await Self.fetch(node, ["Range: bytes=2-9"])
                #expect(response.text == "23456789")
            }
            #expect(origin.requestCount == 2)
        }
    }

    @Test func `HEAD goes to the origin without Range`() async throws {
        try await withNode(script: { _ in [.head(200, ["Content-Length: 10"])] }) { node, origin in
            let response = try await node.fetch("HEAD", "/a", ["Range: bytes=0-0"])
            #expect(response.fields["Content-Length"] == "10")
            #expect(Self.ranges(origin) == ["whole"])
        }
    }
}
