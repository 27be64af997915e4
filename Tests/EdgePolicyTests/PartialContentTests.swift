import EdgeHTTP
import EdgePolicy
import Testing

@Suite("Partial content") struct PartialContentTests {
    private static func head(_ fields: [(String, String)], status: Int = 206) -> ResponseHead {
        ResponseHead(status: status, fields: FieldSection(fields))
    }

    @Test func `a 206 is taken for the range it names`() {
        let part = PartialContent(Self.head([("Content-Range", "bytes 5-9/20"), ("Content-Length", "5")]))
        #expect(part?.range == 5..<10)
        #expect(part?.completeLength == 20)
        #expect(part?.isWhole == false)
        #expect(PartialContent(Self.head([("Content-Range", "bytes 0-19/20")]))?.isWhole == true)
    }

    @Test(arguments: [
        [("Content-Length", "5")],
        [("Content-Range", "bytes 5-9/20"), ("Content-Length", "6")],
        [("Content-Range", "bytes 5-9/*")],
        [("Content-Range", "bytes */20")],
        [("Content-Range", "bytes 5-9/20"), ("Content-Range", "bytes 5-9/20")],
        [("Content-Range", "bytes 5-9/9")],
        [("Content-Range", "bytes 5-9/20"), ("Content-Type", "multipart/byteranges; boundary=x")],
    ])
    func `what cannot be placed is none`(fields: [(String, String)]) {
        #expect(PartialContent(Self.head(fields)) == nil)
    }

    @Test func `only a 206 holds a part`() {
        #expect(PartialContent(Self.head([("Content-Range", "bytes 0-4/5")], status: 200)) == nil)
    }

    @Test(
        arguments: [
            ([("ETag", "\"a\"")], StrongValidator.entityTag(Array("\"a\"".utf8))),
            ([("ETag", "W/\"a\""), ("Last-Modified", "Sat, 21 Nov 2026 00:00:00 GMT")], nil),
            ([("ETag", "\"a\""), ("ETag", "\"b\"")], nil),
            (
                [
                    ("Last-Modified", "Sat, 21 Nov 2026 00:00:00 GMT"),
                    ("Date", "Sat, 21 Nov 2026 00:00:01 GMT"),
                ], StrongValidator.lastModified(Array("Sat, 21 Nov 2026 00:00:00 GMT".utf8))
            ),
            // It may have changed again within its second (RFC 9110 8.8.2.2).
            (
                [
                    ("Last-Modified", "Sat, 21 Nov 2026 00:00:00 GMT"),
                    ("Date", "Sat, 21 Nov 2026 00:00:00 GMT"),
                ], nil
            ),
            ([("Last-Modified", "Sat, 21 Nov 2026 00:00:00 GMT")], nil),
            ([], nil),
        ] as [([(String, String)], StrongValidator?)])
    func `a strong validator is a strong entity-tag, else an old enough date`(
        fields: [(String, String)], expected: StrongValidator?
    ) {
        #expect(StrongValidator(FieldSection(fields)) == expected)
    }

    private static let block = RangeAsk.blockBytes

    @Test(
        arguments: [
            (["bytes=0-0"], RangeAsk.bytes(0..<block)),
            (["bytes=1048575-1048576"], .bytes(0..<2 * block)),
            (["bytes=1048576-1048576"], .bytes(block..<2 * block)),
            (["bytes=1500000-"], .from(block)),
            (["bytes=0-"], nil),
            (["bytes=-500"], .suffix(500)),
            (["bytes=3-4,9000000-"], .bytes(0..<block)),
            (["bytes=5-9223372036854775807"], nil),
            (["bytes=1048577-99999999999999999999"], .from(block)),
            (["bytes=-0"], .suffix(0)),
            (["lines=1-2"], nil),
            (["bytes=0-1", "bytes=2-3"], nil),
            ([], nil),
        ] as [([String], RangeAsk?)])
    func `a miss asks for aligned blocks`(values: [String], expected: RangeAsk?) {
        #expect(RangeAsk(missOf: FieldSection(values.map { ("Range", $0) })) == expected)
    }

    @Test func `a hole is asked for no further than wanted and no further than it reaches`() {
        let block = Self.block
        #expect(
            RangeAsk(hole: 0..<10 * block, wanted: 2 * block + 5..<2 * block + 6, completeLength: 10 * block)
                == .bytes(2 * block..<3 * block))
        #expect(
            RangeAsk(hole: 100..<block + 7, wanted: 100..<block + 7, completeLength: 10 * block)
                == .bytes(100..<block + 7))
        #expect(RangeAsk(hole: 5..<10, wanted: 7..<8, completeLength: 10) == .from(5))
        #expect(RangeAsk(hole: 5..<9, wanted: 5..<9, completeLength: 10) == .bytes(5..<9))
    }

    @Test func `a pull serves who asks for no more`() {
        #expect(RangeAsk.bytes(0..<10).covers(.bytes(3..<10)))
        #expect(!RangeAsk.bytes(0..<10).covers(.bytes(3..<11)))
        #expect(RangeAsk.from(5).covers(.bytes(5..<99)))
        #expect(!RangeAsk.from(5).covers(.from(4)))
        #expect(RangeAsk.suffix(5).covers(.suffix(4)))
        #expect(!RangeAsk.suffix(5).covers(.bytes(0..<1)))
    }

    @Test func `a Range field says it`() {
        #expect(RangeAsk.bytes(5..<10).fieldValue == Array("bytes=5-9".utf8))
        #expect(RangeAsk.from(5).fieldValue == Array("bytes=5-".utf8))
        #expect(RangeAsk.suffix(5).fieldValue == Array("bytes=-5".utf8))
    }
}
