import EdgeHTTP
import EdgePolicy
import Testing

private let before = "Tue, 31 Dec 2019 23:59:59 GMT"
private let modified = "Wed, 01 Jan 2020 00:00:00 GMT"
private let after = "Thu, 02 Jan 2020 00:00:00 GMT"

@Suite struct `Preconditions of clients` {
    private let stored = FieldSection([("ETag", #""a""#), ("Last-Modified", modified), ("Date", after)])

    private func outcome(
        _ request: [(String, String)], method: Method = .get, status: Int = 200, stored: FieldSection? = nil
    ) -> Preconditions.Outcome {
        Preconditions.evaluate(
            request: FieldSection(request), method: method, status: status, stored: stored ?? self.stored)
    }

    @Test(arguments: [
        ([], Preconditions.Outcome.none), ([("If-None-Match", #""a""#)], .notModified),
        ([("If-None-Match", #"W/"a""#)], .notModified),
        ([("If-None-Match", #""1", "a", "5""#)], .notModified),
        ([("If-None-Match", #""1""#), ("If-None-Match", #""a""#)], .notModified),
        ([("If-None-Match", "*")], .notModified),
        ([("If-None-Match", #""b""#)], .none), ([("If-None-Match", "a")], .none),
        ([("If-None-Match", "")], .none),
        ([("If-None-Match", #"*, "b""#)], .none), ([("If-None-Match", "*"), ("If-None-Match", "*")], .none),
        ([("If-None-Match", #""a""#), ("If-Modified-Since", before)], .notModified),
        ([("If-None-Match", #""b""#), ("If-Modified-Since", after)], .none),
        ([("If-Modified-Since", modified)], .notModified), ([("If-Modified-Since", after)], .notModified),
        ([("If-Modified-Since", before)], .none), ([("If-Modified-Since", "soon")], .none),
        ([("If-Modified-Since", after), ("If-Modified-Since", after)], .none),
        ([("If-Match", #""b""#), ("If-None-Match", #""a""#)], .none),
        ([("If-Unmodified-Since", before)], .none),
    ])
    func `in the order of RFC 9110 13.2.2`(request: [(String, String)], expected: Preconditions.Outcome) {
        #expect(outcome(request) == expected)
    }

    @Test func `only GET and HEAD, only 2xx`() {
        let request = [("If-None-Match", #""a""#)]
        #expect(outcome(request, method: .head) == .notModified)
        #expect(outcome(request, method: .put) == .none)
        #expect(outcome(request, status: 404) == .none)
        #expect(outcome(request, status: 301) == .none)
        #expect(outcome(request, status: 203) == .notModified)
    }

    @Test func `without Last-Modified the Date stands for it`() {
        let dated = FieldSection([("Date", modified)])
        #expect(outcome([("If-Modified-Since", after)], stored: dated) == .notModified)
        #expect(outcome([("If-Modified-Since", before)], stored: dated) == .none)
        #expect(outcome([("If-Modified-Since", after)], stored: FieldSection()) == .none)
        #expect(outcome([("If-None-Match", #""a""#)], stored: dated) == .none)
        #expect(outcome([("If-None-Match", "*")], stored: dated) == .notModified)
    }

    @Test func `what speaks of the origin's state is forwarded`() {
        for name in ["If-Match", "if-unmodified-since"] {
            #expect(Preconditions.mustForward(FieldSection([("A", "1"), (name, "*")])))
            #expect(Preconditions.hasConditions(FieldSection([(name, "*")])))
        }
        #expect(!Preconditions.mustForward(FieldSection([("If-None-Match", "*"), ("If-Range", "*")])))
        #expect(Preconditions.hasConditions(FieldSection([("If-None-Match", "*")])))
        #expect(Preconditions.hasConditions(FieldSection([("If-Modified-Since", "")])))
        #expect(!Preconditions.hasConditions(FieldSection([("If-Range", "*"), ("Range", "bytes=0-")])))
    }

    @Test(arguments: [
        ([], true), ([("If-Range", #""a""#)], true), ([("If-Range", #""b""#)], false),
        ([("If-Range", #"W/"a""#)], false),
        ([("If-Range", modified)], true), ([("If-Range", after)], false), ([("If-Range", before)], false),
        ([("If-Range", "")], false), ([("If-Range", "*")], false), ([("If-Range", #""a", "b""#)], false),
        ([("If-Range", #""a""#), ("If-Range", #""a""#)], false),
    ])
    func `If-Range wants the same strong validator`(request: [(String, String)], expected: Bool) {
        #expect(Preconditions.ifRangeHolds(request: FieldSection(request), stored: stored) == expected)
    }

    @Test func `a weak validator never lets If-Range hold`() {
        let weak = FieldSection([("ETag", #"W/"a""#), ("Last-Modified", modified), ("Date", modified)])
        #expect(!Preconditions.ifRangeHolds(request: FieldSection([("If-Range", #"W/"a""#)]), stored: weak))
        #expect(!Preconditions.ifRangeHolds(request: FieldSection([("If-Range", #""a""#)]), stored: weak))
        #expect(!Preconditions.ifRangeHolds(request: FieldSection([("If-Range", modified)]), stored: weak))
    }
}

@Suite struct `Range plans` {
    private func plan(
        _ request: [(String, String)], method: Method = .get, status: Int = 200, length: Int64 = 11
    ) -> RangePlan {
        RangePlan(
            request: FieldSection(request), method: method, status: status,
            stored: FieldSection([("ETag", #""a""#)]),
            length: length)
    }

    @Test(arguments: [
        ([("Range", "bytes=0-1")], RangePlan.single(0..<2)), ([("Range", "bytes=1-")], .single(1..<11)),
        ([("Range", "bytes=-1")], .single(10..<11)),
        ([("Range", "bytes=0-1,5-6")], .multiple([0..<2, 5..<7])),
        ([("Range", "bytes=11-")], .unsatisfiable), ([("Range", "lines=1-2")], .whole), ([], .whole),
        ([("Range", "bytes=0-1"), ("Range", "bytes=2-3")], .whole),
        ([("Range", "bytes=0-10")], .single(0..<11)),
        ([("Range", "bytes=0-1"), ("If-Range", #""b""#)], .whole),
        ([("Range", "bytes=0-1"), ("If-Range", #""a""#)], .single(0..<2)),
        ([("Range", "bytes=99-"), ("If-Range", #""b""#)], .whole),
    ])
    func `follow Range and If-Range`(request: [(String, String)], expected: RangePlan) {
        #expect(plan(request) == expected)
    }

    @Test func `concern GET and 200 alone`() {
        #expect(plan([("Range", "bytes=0-1")], method: .head) == .whole)
        #expect(plan([("Range", "bytes=0-1")], status: 404) == .whole)
        #expect(plan([("Range", "bytes=-1")], length: 0) == .whole)
    }

    @Test func `a multipart answer is as long as promised`() {
        let ranges: [Range<Int64>] = [0..<2, 5..<7, 10..<11]
        let body = Array("0123456789A".utf8)
        let boundary = Array("XyZ".utf8)
        for type in [Array("text/plain".utf8)[...], nil] {
            var text: [UInt8] = []
            for (index, range) in ranges.enumerated() {
                RangePlan.appendPartHead(
                    range, length: 11, contentType: type, boundary: boundary, isFirst: index == 0, to: &text)
                text += body[Int(range.lowerBound)..<Int(range.upperBound)]
            }
            RangePlan.appendMultipartEnd(boundary: boundary, to: &text)
            #expect(
                Int64(text.count)
                    == RangePlan.multipartLength(ranges, length: 11, contentType: type, boundary: boundary))
            let first = type == nil ? "" : "Content-Type: text/plain\r\n"
            #expect(
                String(decoding: text, as: UTF8.self).hasPrefix(
                    "--XyZ\r\n\(first)Content-Range: bytes 0-1/11\r\n\r\n01\r\n--XyZ\r\n"))
            #expect(String(decoding: text, as: UTF8.self).hasSuffix("bytes 10-10/11\r\n\r\nA\r\n--XyZ--\r\n"))
        }
    }

    @Test func `field values are written`() {
        var text: [UInt8] = []
        RangePlan.appendContentRange(0..<9_223_372_036_854_775_807, length: .max, to: &text)
        text.append(10)
        RangePlan.appendUnsatisfiedRange(length: 0, to: &text)
        text.append(10)
        RangePlan.appendMultipartType(boundary: Array("b".utf8), to: &text)
        #expect(
            String(decoding: text, as: UTF8.self) == """
                bytes 0-9223372036854775806/9223372036854775807
                bytes */0
                multipart/byteranges; boundary=b
                """)
    }
}
