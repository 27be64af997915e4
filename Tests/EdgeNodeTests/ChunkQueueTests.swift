import EdgePrimitives
import EdgeTesting
import NIOCore
import Testing

@testable import EdgeNode

struct ChunkQueueTests {
    private func append(_ bytes: [UInt8], to queue: inout ChunkQueue) {
        bytes.withUnsafeBytes { queue.append($0) }
    }

    private func bytes(_ count: Int, from offset: Int64) -> [UInt8] {
        (0..<Int64(count)).map { UInt8(truncatingIfNeeded: (offset + $0) &* 31) }
    }

    @Test func `every reader gets every byte, in pieces of any size and at any pace`() {
        var queue = ChunkQueue()
        var generator = SeededGenerator(seed: 11)
        var offsets: [Int64] = [0, 0, 0]
        // What readers were given and still hold must not change under them.
        var held: [(offset: Int64, bytes: ByteBuffer)] = []
        for _ in 0..<400 {
            let size = [1, 1, 1, 3, 200, 5_000, 16_384].randomElement(using: &generator) ?? 1
            append(bytes(size, from: queue.end), to: &queue)
            for reader in offsets.indices where Int.random(in: 0...reader, using: &generator) == 0 {
                while offsets[reader] < queue.end {
                    let limit = Int.random(in: 1...40_000, using: &generator)
                    let read = queue.read(at: offsets[reader], limit: limit)
                    #expect(read.readableBytes > 0 && read.readableBytes <= limit)
                    held.append((offsets[reader], read))
                    offsets[reader] += Int64(read.readableBytes)
                }
            }
            queue.drop(before: offsets.min() ?? 0)
            let present = Int(queue.end - queue.base)
            #expect(queue.storageBytes <= 2 * present + 2 * ChunkQueue.pieceBytes)
            guard held.count > 20 else { continue }
            for (offset, read) in held {
                #expect(Array(read.readableBytesView) == bytes(read.readableBytes, from: offset))
            }
            held.removeAll()
        }
    }

    @Test func `small pieces are read as few large ones`() {
        var queue = ChunkQueue()
        for _ in 0..<100_000 { append([1], to: &queue) }
        var reads = 0
        var offset: Int64 = 0
        while offset < queue.end {
            offset += Int64(queue.read(at: offset, limit: 1 << 20).readableBytes)
            reads += 1
        }
        #expect(reads < 30)
        #expect(queue.storageBytes <= 2 * 100_000)
    }

    @Test func `a first piece costs what it needs`() {
        var queue = ChunkQueue()
        append(bytes(1_000, from: 0), to: &queue)
        #expect(queue.storageBytes == 1_024)
        queue.drop(before: 1_000)
        #expect(queue.storageBytes == 0)
        #expect(queue.isEmpty)
        #expect(queue.base == 1_000)
    }

    @Test func `a block stays in one piece though it is read while it grows`() {
        var queue = ChunkQueue()
        var blocks: [ByteBuffer] = []
        for offset in stride(from: Int64(0), to: 200_000, by: 1_000) {
            bytes(1_000, from: offset).withUnsafeBytes {
                queue.append($0, beginning: offset % 50_000 == 0, capacity: 50_000)
            }
            let read = queue.read(at: offset, limit: 4_000)
            #expect(Array(read.readableBytesView) == bytes(read.readableBytes, from: offset))
            if queue.end % 50_000 == 0, let block = queue.shareLast() { blocks.append(block) }
        }
        #expect(blocks.map(\.readableBytes) == [50_000, 50_000, 50_000, 50_000])
        #expect(blocks.flatMap { Array($0.readableBytesView) } == bytes(200_000, from: 0))
        #expect(queue.firstEnd == 50_000)
        queue.dropFirst()
        #expect(queue.base == 50_000)
    }

    @Test(arguments: [1, 100])
    func `the cost of one-byte pieces grows with their number, not with its square`(burst: Int) {
        let growth = growth(from: 20_000) { count in
            var queue = ChunkQueue()
            var offset: Int64 = 0
            for number in 1...count {
                append([1], to: &queue)
                guard number % burst == 0 else { continue }
                // One reader keeps up, another never reads.
                offset += Int64(queue.read(at: offset, limit: 1 << 20).readableBytes)
            }
            queue.drop(before: queue.end)
        }
        #expect(growth < 9)
    }

    @Test func `the cost of reading grows with the length when all of it waited`() {
        let growth = growth(from: 100_000) { count in
            var queue = ChunkQueue()
            for _ in 0..<count { append([1], to: &queue) }
            var offset: Int64 = 0
            while offset < queue.end {
                offset += Int64(queue.read(at: offset, limit: 64).readableBytes)
                queue.drop(before: offset)
            }
        }
        #expect(growth < 9)
    }
}
