import EdgePrimitives
import Testing

@testable import EdgeStore

@Suite struct CRC32CTests {
    /// From RFC 3720 (iSCSI), appendix B.4, and the check value of the catalogues.
    private static let known: [([UInt8], UInt32)] = [
        (Array("123456789".utf8), 0xe306_9283),
        ([], 0),
        ([UInt8](repeating: 0, count: 32), 0x8a91_36aa),
        ([UInt8](repeating: 0xff, count: 32), 0x62a8_ab43),
        (Array(0..<32), 0x46dd_794e),
        (Array((0..<32).reversed()), 0x113f_db5c),
    ]

    @Test(arguments: known)
    func `known checksums`(bytes: [UInt8], checksum: UInt32) {
        #expect(CRC32C.checksum(bytes) == checksum)
        #expect(bytes.withUnsafeBytes { CRC32C.checksumByTable($0) } == checksum)
    }

    @Test func `no bytes leave the checksum as it was`() {
        #expect(CRC32C.checksum(UnsafeRawBufferPointer(start: nil, count: 0), continuing: 7) == 7)
    }

    /// Bit by bit, as the polynomial says, and nothing like the code under test.
    private static func checksumByBits(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var state: UInt32 = .max
        for byte in bytes {
            state ^= UInt32(byte)
            for _ in 0..<8 { state = state & 1 == 0 ? state >> 1 : (state >> 1) ^ 0x82f6_3b78 }
        }
        return ~state
    }

    private static func randomBytes(_ count: Int, _ generator: inout SeededGenerator) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }

    @Test func `every length and start around the word and stream borders`() {
        var generator = SeededGenerator(seed: 1)
        let bytes = Self.randomBytes(14_000, &generator)
        // One stream is 256 or 2048 bytes long and three of them run side by side.
        let lengths =
            Array(0...40) + [255, 256, 767, 768, 769, 776, 1536, 6143, 6144, 6145, 6912, 12_288, 13_000]
        bytes.withUnsafeBytes { all in
            for length in lengths {
                for start in 0..<9 {
                    let part = UnsafeRawBufferPointer(rebasing: all[start..<start + length])
                    let expected = Self.checksumByBits(part)
                    #expect(CRC32C.checksum(part) == expected, "\(length) bytes from \(start)")
                    #expect(CRC32C.checksumByTable(part) == expected, "\(length) bytes from \(start)")
                }
            }
        }
    }

    @Test func `the instruction and the table agree on random lengths`() {
        var generator = SeededGenerator(seed: 2)
        let bytes = Self.randomBytes(100_000, &generator)
        bytes.withUnsafeBytes { all in
            for _ in 0..<500 {
                let start = Int.random(in: 0..<all.count, using: &generator)
                let length = Int.random(in: 0...(all.count - start), using: &generator)
                let before = UInt32.random(in: .min ... .max, using: &generator)
                let part = UnsafeRawBufferPointer(rebasing: all[start..<start + length])
                #expect(
                    CRC32C.checksum(part, continuing: before)
                        == CRC32C.checksumByTable(part, continuing: before),
                    "\(length) bytes from \(start)")
            }
        }
    }

    @Test func `parts give the checksum of the whole`() {
        var generator = SeededGenerator(seed: 3)
        let bytes = Self.randomBytes(20_000, &generator)
        let whole = CRC32C.checksum(bytes)
        for _ in 0..<100 {
            var checksum: UInt32 = 0
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = Int.random(in: 0...min(rest.count, 7_000), using: &generator)
                checksum = CRC32C.checksum(Array(rest.prefix(count)), continuing: checksum)
                rest.removeFirst(count)
            }
            #expect(checksum == whole)
        }
    }

    @Test func `one flipped bit shows`() {
        var generator = SeededGenerator(seed: 4)
        var bytes = Self.randomBytes(8_192, &generator)
        let checksum = CRC32C.checksum(bytes)
        for _ in 0..<200 {
            let place = Int.random(in: 0..<bytes.count, using: &generator)
            let bit = UInt8(1) << UInt8.random(in: 0..<8, using: &generator)
            bytes[place] ^= bit
            #expect(CRC32C.checksum(bytes) != checksum)
            bytes[place] ^= bit
        }
    }
}
