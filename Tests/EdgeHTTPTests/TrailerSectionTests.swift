import EdgeHTTP
import Testing

struct TrailerSectionTests {
    private func read(_ pieces: [String]) -> (trailers: TrailerSection, refusal: ResponseRefusal?) {
        var trailers = TrailerSection()
        for piece in pieces {
            let refusal = Array(piece.utf8).withUnsafeBufferPointer { trailers.read(lines: $0) }
            if let refusal { return (trailers, refusal) }
        }
        return (trailers, nil)
    }

    @Test(arguments: [["A: b\r\n", "C:\t d \r\n"], ["A: b\r\nC: d\r\n"], ["A: b\r\n", "C: d\r\n", "\r\n"]])
    func `lines are read one by one and several at once`(pieces: [String]) {
        let (trailers, refusal) = read(pieces)
        #expect(refusal == nil)
        #expect(trailers.fields.lines.map { Array(trailers.fields.value($0)) } == [Array("b".utf8), [100]])
    }

    @Test(arguments: [
        ("A: b\r\n c\r\n", ResponseRefusal.foldedLine),
        ("\tA: b\r\n", .foldedLine),
        ("nonsense\r\n", .malformedFieldName),
        (": b\r\n", .malformedFieldName),
        ("A : b\r\n", .malformedFieldName),
        ("A: b\u{1}\r\n", .malformedFieldValue),
        ("A: b\rc\r\n", .bareCarriageReturn),
        ("A: b\n", .malformedTrailerEnd),
        ("A: b", .malformedTrailerEnd),
    ])
    func `malformed lines are refused`(lines: String, refusal: ResponseRefusal) {
        #expect(read([lines]).refusal == refusal)
    }

    @Test func `bytes and lines have the limits of a head`() {
        let most = (0..<ResponseHeadParser.maxFields).map { "A\($0): b\r\n" }
        #expect(read(most).refusal == nil)
        #expect(read(most + ["B: c\r\n"]).refusal == .trailersTooLarge)
        let line = "A: " + String(repeating: "x", count: 4_000) + "\r\n"
        #expect(read(Array(repeating: line, count: 16)).refusal == nil)
        #expect(read(Array(repeating: line, count: 17)).refusal == .trailersTooLarge)
    }
}
