import EdgeHTTP
import EdgeTesting
import Testing

@testable import EdgeOrigin

/// libcurl before 8.1.0 joins a folded line to the last header line of the transfer before, which is freed
/// by then: such a line must not get that far.
struct HeadLineTests {
    private static let plain = ScriptStep.response(200, ["A: b"], body: "fine")

    @Test(arguments: [
        "HTTP/1.1 200 OK\r\n\tX: y\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\n folded\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\n \r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\n\t\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 103 Hints\r\n\tLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\tX: y\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 304 Not Modified\r\n\tX: y\r\n\r\n",
    ])
    func `a folded head line is refused, on a handle that had an answer before too`(answer: String)
        async throws
    {
        let origin = try ScriptedServer { request in
            request.target == "/folded" ? [.text(answer), .halfClose] : [Self.plain]
        }
        defer { origin.stop() }
        try await withPulls(from: origin.url) { pulls in
            for _ in 0..<4 {
                #expect(try await pulls.fetch(.to("/plain")).text == "fine")
                for method in ["GET", "HEAD"] {
                    let folded = try await pulls.fetch(.to("/folded", method: method))
                    // Where the first field line has no colon, libcurl is quicker to refuse it.
                    #expect(
                        folded.failure?.kind == .malformed(.foldedLine)
                            || folded.failure?.kind == .malformed(.headIncomplete))
                    #expect(folded.head == nil)
                    #expect(folded.body.isEmpty)
                }
            }
            #expect(try await pulls.fetch(.to("/plain")).text == "fine")
        }
    }

    @Test func `blanks inside a line that comes in several pieces are no fold`() async throws {
        let value = String(repeating: " ", count: 40_000) + "end"
        let origin = try ScriptedServer { _ in [.response(200, ["X: a" + value], body: "fine")] }
        defer { origin.stop() }
        try await withPulls(from: origin.url) { pulls in
            for _ in 0..<2 {
                let pulled = try await pulls.fetch(.to("/"))
                #expect(pulled.text == "fine")
                #expect(pulled.head.map { $0.fields.value($0.fields.lines[0]).count } == 40_004)
            }
        }
    }

    /// What looks like a head, or like a folded line of one, is body once the head is over.
    private static let lookalike = "\tX: y\r\n folded\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n \r\n"

    @Test(arguments: [0, 1, 3])
    func `a body that looks like a head is body to the byte, paused or not`(pauses: Int) async throws {
        let origin = try ScriptedServer { request in
            switch request.target {
            case "/length": [.response(200, body: Self.lookalike)]
            case "/interim":
                [.head(103, ["Link: </a>"]), .response(200, body: Self.lookalike)]
            case "/empty": [.response(200)]
            default:
                [.head(200, ["Transfer-Encoding: chunked"])]
                    + Self.lookalike.map { .chunk(String($0)) } + [
                        .text("0\r\nT: one\r\nU: two\r\n\r\n")
                    ]
            }
        }
        defer { origin.stop() }
        try await withPulls(from: origin.url) { pulls in
            for target in ["/length", "/chunked", "/interim", "/chunked", "/empty", "/length"] {
                let sink = RecordingSink(pauses: target == "/empty" ? 0 : pauses)
                let handle = pulls.pull(.to(target), sink: sink)
                for pause in 0..<(target == "/empty" ? 0 : pauses) {
                    try await sink.pulled.wait(for: "a pause") { $0.pauses > pause }
                    handle.resume()
                }
                let pulled = try await sink.result()
                #expect(pulled.isCompleted)
                #expect(pulled.text == (target == "/empty" ? "" : Self.lookalike))
                #expect(pulled.head?.status == 200)
                #expect(pulled.interims.count == (target == "/interim" ? 1 : 0))
                #expect(pulled.trailers?.count == (target == "/chunked" ? 2 : nil))
            }
        }
    }
}
