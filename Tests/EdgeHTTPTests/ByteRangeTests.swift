import EdgeHTTP
import Testing

@Suite struct `Byte ranges` {
    private func octets(_ text: String) -> ArraySlice<UInt8> { Array(text.utf8)[...] }

    @Test(arguments: [
        ("bytes=0-1", [ByteRangeSpec.from(0, through: 1)]), ("bytes=5-", [.from(5, through: nil)]),
        ("bytes=-5", [.suffix(5)]), ("BYTES=0-0", [.from(0, through: 0)]),
        ("bytes=0-0, 2-3 ,-1", [.from(0, through: 0), .from(2, through: 3), .suffix(1)]),
        ("bytes=,0-1,,", [.from(0, through: 1)]), ("bytes=-0", [.suffix(0)]),
        ("bytes=0-99999999999999999999", [.from(0, through: .max)]),
        ("bytes=99999999999999999999-", [.from(.max, through: nil)]),
        ("bytes=007-008", [.from(7, through: 8)]),
    ])
    func `a valid field is read`(text: String, expected: [ByteRangeSpec]) {
        #expect(RangeSpecifier.parse(octets(text)) == .ranges(expected))
    }

    @Test(arguments: [
        "", "bytes", "bytes=", "bytes=,", "bytes =0-1", "bytes=1-0", "bytes=a-b", "bytes=-", "bytes=--1",
        "bytes=0-1-2", "bytes=+1-2", "bytes=0x1-2", "bytes= 0 - 1", "bytes=0-1;2-3", "items=0-1", "bytes:0-1",
        "bytes=0-1,x", "bytes=0-1,5-4", "bytes=１-2", "=0-1",
        "bytes=" + Array(repeating: "0-1", count: 300).joined(separator: ","),
    ])
    func `a field that is not valid is ignored`(text: String) {
        #expect(RangeSpecifier.parse(octets(text)) == .ignored)
    }

    @Test(arguments: [
        ("0-1", 10, ByteRangeSelection.ranges([0..<2])), ("0-99", 10, .ranges([0..<10])),
        ("9-", 10, .ranges([9..<10])),
        ("-3", 10, .ranges([7..<10])), ("-99", 10, .ranges([0..<10])), ("10-", 10, .unsatisfiable),
        ("-0", 10, .unsatisfiable), ("10-11,-0", 10, .unsatisfiable), ("10-,0-1", 10, .ranges([0..<2])),
        ("0-1,2-3", 10, .ranges([0..<4])), ("0-4,2-7", 10, .ranges([0..<8])),
        ("8-9,0-1", 10, .ranges([8..<10, 0..<2])),
        ("5-6,0-1,2-3", 10, .ranges([5..<7, 0..<4])), ("0-9223372036854775807", 10, .ranges([0..<10])),
        ("0-", 0, .unsatisfiable), ("-5", 0, .whole), ("0-0,-0", 0, .unsatisfiable),
    ])
    func `resolved against a length`(spec: String, length: Int64, expected: ByteRangeSelection) throws {
        guard case .ranges(let specs) = RangeSpecifier.parse(octets("bytes=" + spec)) else {
            Issue.record("not parsed")
            return
        }
        #expect(ByteRangeSelection.resolve(specs, length: length) == expected)
    }

    @Test func `as many ranges as are read are served`() {
        let specs = (0..<128).map { ByteRangeSpec.from(Int64($0) * 10, through: Int64($0) * 10 + 1) }
        guard case .ranges(let ranges) = ByteRangeSelection.resolve(specs, length: 10_000) else {
            Issue.record("128 were refused")
            return
        }
        #expect(ranges.count == 128)
    }

    @Test func `overlaps without end and backward lists get the whole`() {
        let overlapping = Array(repeating: ByteRangeSpec.from(0, through: nil), count: 5)
        #expect(ByteRangeSelection.resolve(overlapping, length: 1000) == .whole)
        let backward = (0..<6).reversed().map { ByteRangeSpec.from($0 * 10, through: $0 * 10 + 1) }
        #expect(ByteRangeSelection.resolve(backward, length: 1000) == .whole)
        let adjacent = (0..<100).map { ByteRangeSpec.from($0 * 10, through: $0 * 10 + 9) }
        #expect(ByteRangeSelection.resolve(adjacent, length: 1000) == .ranges([0..<1000]))
    }

    @Test(arguments: [
        ("bytes 0-4/10", ContentRange(range: 0..<5, completeLength: 10)),
        ("bytes 4-9/10", ContentRange(range: 4..<10, completeLength: 10)),
        ("bytes 0-0/*", ContentRange(range: 0..<1, completeLength: nil)),
        ("Bytes */10", ContentRange(range: nil, completeLength: 10)),
    ])
    func `Content-Range is read`(text: String, expected: ContentRange) {
        #expect(ContentRange.parse(octets(text)) == expected)
    }

    @Test(arguments: [
        "", "bytes", "bytes ", "bytes 0-4", "bytes 0-4/", "bytes 5-4/10", "bytes 0-10/10", "bytes */*",
        "bytes 0-/10",
        "bytes -4/10", "bytes 0-4/10 ; x", "bytes=0-4/10", "items 0-4/10", "bytes  0-4/10", "bytes 0-4/-10",
        "bytes 0-99999999999999999999/*", "bytes 0-9223372036854775807/*", "bytes 0-4/10/10",
        "bytes 0 - 4/10",
        "bytes a-b/c", "/", "bytes/ 0-4",
    ])
    func `a wrong Content-Range is none`(text: String) {
        #expect(ContentRange.parse(octets(text)) == nil)
    }
}
