import EdgeHTTP
import EdgePrimitives
import EdgeTesting
import NIOCore
import Testing

@testable import EdgeOrigin

/// What an origin may send around its answer.
struct BoundedPullTests {
    private func fetch(
        _ steps: [ScriptStep], _ configure: (inout OriginConfiguration) -> Void = { _ in }
    ) async throws -> Pulled {
        let origin = try ScriptedServer { _ in steps }
        defer { origin.stop() }
        let result = Watched<Pulled?>(nil)
        try await withPulls(from: origin.url, configure) { pulls in
            let pulled = try await pulls.fetch(.to("/"))
            result.change { $0 = pulled }
        }
        return try #require(result.current)
    }

    @Test func `interim responses reach the client up to their bound, and then the pull is refused`()
        async throws
    {
        let hint = ScriptStep.head(103, ["Link: </style.css>"])
        let fine = try await fetch(Array(repeating: hint, count: 32) + [.response(200, body: "fine")])
        #expect(fine.interims.count == 32)
        #expect(fine.text == "fine")
        let flood = try await fetch(Array(repeating: hint, count: 5_000) + [.hang])
        #expect(flood.failure?.kind == .malformed(.tooManyInterims))
        #expect(flood.interims.count == 32)
        let large = ScriptStep.head(103, ["Link: \(String(repeating: "x", count: 40_000))"])
        let heavy = try await fetch([large, large, .response(200, body: "fine")])
        #expect(heavy.failure?.kind == .malformed(.tooManyInterims))
    }

    @Test func `interim responses and half heads are no answer: the first-byte limit goes on`() throws {
        let begun = MonotonicTime(nanoseconds: 1_000_000_000)
        let loop = PullLoop(configuration: [:])
        let transfer = PullTransfer(
            number: 1, request: .to("/", method: "POST", body: .length(3)), sink: RecordingSink(),
            handle: PullHandle(loop: loop, number: 1), now: begun)
        func read(_ line: String) -> Bool {
            Array(line.utf8).withUnsafeBufferPointer { transfer.read(line: $0) }
        }
        #expect(read("HTTP/1.1 103 Early Hints\r\n") && read("Link: </a>\r\n") && read("\r\n"))
        #expect(read("HTTP/1.1 200 OK\r\n") && read("A: b\r\n"))
        #expect(transfer.lastProgress == begun)
        #expect(read("\r\n"))
        #expect(transfer.hasHead)
        #expect(transfer.lastProgress == loop.awokenAt)
    }

    private static let chunked = ScriptStep.head(200, ["Transfer-Encoding: chunked"])

    @Test func `trailers within the limits of a head are handed on`() async throws {
        let lines = (0..<256).map { "T\($0): v\r\n" }.joined()
        let pulled = try await fetch([Self.chunked, .chunk("body"), .text("0\r\n" + lines + "\r\n")])
        #expect(pulled.isCompleted)
        #expect(pulled.text == "body")
        #expect(pulled.trailers?.count == 256)
    }

    @Test(arguments: [
        ("T: a\r\n folded\r\n", ResponseRefusal.foldedLine),
        ("\tfolded: y\r\n", .foldedLine),
        ("T : a\r\n", .malformedFieldName),
        ("T: a\u{1}b\r\n", .malformedFieldValue),
        ((0..<257).map { "T\($0): v\r\n" }.joined(), .trailersTooLarge),
        (
            (0..<40).map { "T\($0): " + String(repeating: "v", count: 2_000) + "\r\n" }.joined(),
            .trailersTooLarge
        ),
    ])
    func `malformed trailers and too many of them make the answer incomplete`(
        lines: String, refusal: ResponseRefusal
    ) async throws {
        let pulled = try await fetch([
            Self.chunked, .chunk("body"), .text("0\r\n" + lines + "\r\n"), .halfClose,
        ])
        #expect(pulled.head?.status == 200)
        #expect(pulled.failure?.kind == .malformed(refusal))
        #expect(pulled.trailers == nil)
    }

    @Test func `an upload in small pieces reaches the origin as few chunks, whole and in order`() async throws
    {
        let origin = try ScriptedServer { _ in [.response(200, body: "fine")] }
        defer { origin.stop() }
        try await withPulls(from: origin.url) { pulls in
            let sink = RecordingSink()
            let handle = pulls.pull(.to("/", method: "POST", body: .chunked), sink: sink)
            var expected: [UInt8] = []
            for number in 0..<50_000 {
                let byte = UInt8(truncatingIfNeeded: number &* 31)
                expected.append(byte)
                if !handle.send(ByteBuffer(bytes: [byte])) {
                    try await sink.pulled.wait(for: "room for the upload") { $0.isUploadWritable }
                    sink.pulled.change { $0.isUploadWritable = false }
                }
            }
            handle.finishUpload(trailers: nil)
            #expect(try await sink.result().text == "fine")
            #expect(origin.requests[0].body == expected)
        }
    }
}
