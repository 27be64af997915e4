import EdgePrimitives
import EdgeTesting
import Glibc
import Testing

@testable import EdgeOrigin

struct CurlMemoryTests {
    private func mark(_ block: UnsafeMutableRawPointer, _ bytes: Int, _ number: Int) {
        memset(block, Int32(number & 0xFF), bytes)
    }

    /// Whether the first, the last and a few bytes between are as they were marked.
    private func isMarked(_ block: UnsafeMutableRawPointer, _ bytes: Int, _ number: Int) -> Bool {
        guard bytes > 0 else { return true }
        return (Array(stride(from: 0, to: bytes, by: 1_009)) + [bytes - 1]).allSatisfy {
            block.load(fromByteOffset: $0, as: UInt8.self) == UInt8(number & 0xFF)
        }
    }

    @Test func `blocks never overlap, are aligned, and keep what is in them when they grow and shrink`()
        throws
    {
        var generator = SeededGenerator(seed: 7)
        var live: [(block: UnsafeMutableRawPointer, bytes: Int, number: Int)] = []
        let sizes = [0, 1, 31, 32, 33, 64, 65, 1_000, 32_767, 32_768, 32_769, 100_000]
        for number in 0..<20_000 {
            let bytes = sizes.randomElement(using: &generator) ?? 1
            switch Int.random(in: 0..<4, using: &generator) {
            case 0 where !live.isEmpty:
                let index = Int.random(in: 0..<live.count, using: &generator)
                let moved = try #require(CurlMemory.resize(live[index].block, bytes))
                let kept = min(bytes, live[index].bytes)
                #expect(isMarked(moved, kept, live[index].number))
                mark(moved, bytes, number)
                live[index] = (moved, bytes, number)
            case 1 where live.count > 8, 2 where live.count > 40:
                let gone = live.remove(at: Int.random(in: 0..<live.count, using: &generator))
                #expect(isMarked(gone.block, gone.bytes, gone.number))
                CurlMemory.give(gone.block)
            default:
                let block = try #require(CurlMemory.take(bytes))
                #expect(Int(bitPattern: block) % 16 == 0)
                mark(block, bytes, number)
                live.append((block, bytes, number))
            }
        }
        for one in live {
            #expect(isMarked(one.block, one.bytes, one.number))
            CurlMemory.give(one.block)
        }
    }

    @Test func `free blocks hold no more than their bound`() throws {
        let blocks = try (0..<400).map { _ in try #require(CurlMemory.take(CurlMemory.largestBlockBytes)) }
        #expect(blocks.count * CurlMemory.largestBlockBytes > CurlMemory.largestHeldBytes)
        for block in blocks { CurlMemory.give(block) }
        #expect((1...CurlMemory.largestHeldBytes).contains(CurlMemory.heldBytes))
    }

    @Test func `a size that cannot be is refused`() throws {
        #expect(CurlMemory.take(-1) == nil)
        #expect(CurlMemory.take(Int.max) == nil)
        #expect(CurlMemory.resize(nil, -1) == nil)
        let block = try #require(CurlMemory.take(10))
        #expect(CurlMemory.resize(block, -1) == nil)
        CurlMemory.give(block)
        CurlMemory.give(nil)
    }
}
