import EdgeTesting
import NIOCore
import Testing

@testable import EdgeOrigin

struct UploadQueueTests {
    private func takeAll(_ queue: inout UploadQueue, pieceBytes: Int = 65_536) -> [UInt8] {
        var all: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: pieceBytes)
        while !queue.isEmpty {
            let count = piece.withUnsafeMutableBytes { queue.take(into: $0) }
            all += piece[..<count]
        }
        return all
    }

    /// A slice of one byte of a receive buffer.
    private func crumb(_ byte: UInt8) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: 2_048)
        buffer.writeRepeatingByte(byte, count: 64)
        return buffer.readSlice(length: 1) ?? buffer
    }

    @Test(arguments: [1, 7, 1_000, 65_536])
    func `bytes come out as they went in, whatever the sizes of the pieces`(taken: Int) {
        var queue = UploadQueue()
        var sent: [UInt8] = []
        for (index, size) in [1, 1, 5_000, 3, 16_384, 100, 70_000, 1, 4_096, 2_000, 20_000].enumerated() {
            let piece = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ index) }
            sent += piece
            queue.append(ByteBuffer(bytes: piece))
            queue.append(crumb(UInt8(index)))
            sent.append(UInt8(index))
        }
        #expect(takeAll(&queue, pieceBytes: taken) == sent)
        #expect(queue.storageBytes == 0)
    }

    @Test func `many small pieces are taken as few large ones`() {
        var queue = UploadQueue()
        let crumb = crumb(1)
        for _ in 0..<50_000 { queue.append(crumb) }
        var buffer = [UInt8](repeating: 0, count: 32_768)
        #expect(buffer.withUnsafeMutableBytes { queue.take(into: $0) } == 32_768)
        #expect(buffer.withUnsafeMutableBytes { queue.take(into: $0) } == 17_232)
        #expect(queue.isEmpty)
    }

    @Test func `the storage is counted, and is little more than the bytes`() {
        var queue = UploadQueue()
        var most = 0
        for count in 1...40_000 {
            queue.append(crumb(1))
            most = max(most, queue.storageBytes - 2 * count)
        }
        #expect(most <= 16_384)
        var whole = UploadQueue()
        // A large piece is held with all the storage it has.
        var large = ByteBufferAllocator().buffer(capacity: 16_384)
        large.writeRepeatingByte(1, count: 9_000)
        whole.append(large)
        #expect(whole.storageBytes == 16_384)
    }

    @Test func `the cost of one-byte pieces grows with their number, not with its square`() {
        let crumb = crumb(1)
        let growth = growth(from: 20_000) { count in
            var queue = UploadQueue()
            for _ in 0..<count { queue.append(crumb) }
            _ = takeAll(&queue, pieceBytes: 64)
        }
        #expect(growth < 9)
    }
}
