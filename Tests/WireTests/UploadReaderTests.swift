import EdgeHTTP
import EdgeTesting
import NIOCore
import Testing

@testable import EdgeServer

struct UploadReaderTests {
    private struct Taken {
        var content: [UInt8] = []
        var pieces = 0
        var storageBytes = 0
        var ended = false
        var isMalformed = false
    }

    /// Reads `input` as it comes in pieces of `pieceBytes`.
    private func read(_ input: [UInt8], _ framing: RequestFraming, pieceBytes: Int) -> Taken {
        let reader = UploadReader(framing)
        var taken = Taken()
        var start = 0
        while start < input.count, !reader.isOver, !taken.isMalformed {
            var bytes = ByteBuffer(bytes: input[start..<min(start + pieceBytes, input.count)])
            start += bytes.readableBytes
            while bytes.readableBytes > 0, !reader.isOver, !taken.isMalformed {
                switch reader.next(&bytes) {
                case .content(let content):
                    taken.content += content.readableBytesView
                    taken.pieces += 1
                    taken.storageBytes += content.storageCapacity
                case .needMore: break
                case .end: taken.ended = true
                case .malformed: taken.isMalformed = true
                }
            }
        }
        #expect(reader.contentBytes == UInt64(taken.content.count))
        return taken
    }

    private func chunks(_ sizes: [Int], end: String = "0\r\n\r\n") -> (wire: [UInt8], content: [UInt8]) {
        var wire: [UInt8] = []
        var content: [UInt8] = []
        for (number, size) in sizes.enumerated() {
            let piece = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ number) }
            wire += Array((String(size, radix: 16) + "\r\n").utf8) + piece + Array("\r\n".utf8)
            content += piece
        }
        return (wire + Array(end.utf8), content)
    }

    @Test(arguments: [1, 2, 7, 1_000, 70_000])
    func `chunks of all sizes are read to the byte, however they come`(pieceBytes: Int) {
        let (wire, content) = chunks([1, 1, 1, 5_000, 1, 4_096, 4_095, 3, 20_000, 1, 1])
        let taken = read(wire, .chunked, pieceBytes: pieceBytes)
        #expect(taken.content == content)
        #expect(taken.ended)
    }

    @Test func `small chunks that came together go on together, in storage of their own`() {
        let (wire, content) = chunks(Array(repeating: 1, count: 30_000))
        let taken = read(wire, .chunked, pieceBytes: 65_536)
        #expect(taken.content == content)
        #expect(taken.pieces <= 6)
        #expect(taken.storageBytes <= 4 * content.count)
    }

    @Test func `what is malformed behind small chunks is found, and what is before it is read`() {
        let (wire, content) = chunks([1, 2, 3], end: "zz\r\n")
        let taken = read(wire, .chunked, pieceBytes: 1_000)
        #expect(taken.isMalformed)
        #expect(taken.content == content)
    }

    @Test func `the cost of chunks of one byte grows with their number, not with its square`() {
        let growth = growth(from: 5_000) { count in
            let (wire, _) = chunks(Array(repeating: 1, count: count))
            _ = read(wire, .chunked, pieceBytes: 16_384)
        }
        #expect(growth < 9)
    }

    @Test(arguments: [
        ("5\r\nabcde\r\n0\r\n\r\n", true), ("5\r\nabcde\r\n0\r\nT: v\r\n\r\n", true),
        ("5\r\nabcde\r\n0\r\n\r\nGET / HTTP/1.1", true), ("5\r\nabcde\r\n0\r\n", false),
        ("5\r\nabc", false), ("zz", false), ("", false),
    ])
    func `it is known whether what waits holds the rest of a chunked body`(input: String, isWhole: Bool) {
        let reader = UploadReader(.chunked)
        #expect(reader.isWhole(in: ByteBuffer(string: input)) == isWhole)
        // Nothing was taken by asking.
        #expect(reader.isWhole(in: ByteBuffer(string: input)) == isWhole)
        #expect(!reader.isWhole(in: nil))
    }

    @Test func `it is known whether what waits holds the rest of a counted body`() {
        let reader = UploadReader(.length(5))
        var first = ByteBuffer(string: "ab")
        _ = reader.next(&first)
        #expect(!reader.isWhole(in: ByteBuffer(string: "cd")))
        #expect(reader.isWhole(in: ByteBuffer(string: "cde")))
        #expect(!reader.isWhole(in: nil))
    }
}
