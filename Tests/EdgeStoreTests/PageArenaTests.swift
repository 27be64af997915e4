import EdgePrimitives
import EdgeStore
import Glibc
import NIOCore
import Testing

@Suite struct PageArenaTests {
    @Test func `an extent shows the same bytes by its mapping and by its file`() throws {
        let arena = try #require(PageArena(budgetBytes: 1 << 20))
        let bytes = (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 13) }
        let slab = Fixture.slab(bytes, in: arena)
        guard case .pages(let extent) = slab.storedBody() else {
            Issue.record("the body is not in the arena")
            return
        }
        #expect(extent.offset % 4096 == 0)
        #expect(extent.heldBytes == 73_728)
        #expect(extent.slice(5..<9).bytes == Array(bytes[5..<9]))
        var read = [UInt8](repeating: 0, count: bytes.count)
        #expect(pread(extent.fileDescriptor, &read, read.count, off_t(extent.offset)) == bytes.count)
        #expect(read == bytes)
    }

    @Test func `an extent goes back with its last view and leaves a hole`() throws {
        let arena = try #require(PageArena(budgetBytes: 1 << 20))
        var slab: BodySlab? = Fixture.slab([UInt8](repeating: 7, count: 200_000), in: arena)
        var slice = slab?.slice(10..<20)
        slab = nil
        #expect(arena.usedBytes == 200_704)
        #expect(slice?.bytes == [UInt8](repeating: 7, count: 10))
        slice = nil
        #expect(arena.usedBytes == 0)
        let again = try #require(arena.allocate(200_000))
        #expect(again.buffer.bytes.allSatisfy { $0 == 0 })
    }

    @Test func `bytes on their way to a client survive the reuse of their range`() throws {
        let arena = try #require(PageArena(budgetBytes: 1 << 20))
        let count = 16 * 1024
        var pipes: [CInt] = [0, 0]
        #expect(pipe(&pipes) == 0)
        defer { for descriptor in pipes { close(descriptor) } }
        let place = try sendAndFree(arena, count: count, to: pipes[1])
        let next = Fixture.slab([UInt8](repeating: 2, count: count), in: arena)
        guard case .pages(let extent) = next.storedBody() else {
            Issue.record("the body is not in the arena")
            return
        }
        #expect(extent.offset == place, "the test wants the same range again")
        var received = [UInt8](repeating: 0, count: count)
        #expect(read(pipes[0], &received, count) == count)
        #expect(received.allSatisfy { $0 == 1 })
    }

    /// Sends an extent, whose pages then wait in the pipe, and lets go of it. Returns where it was.
    private func sendAndFree(_ arena: PageArena, count: Int, to descriptor: CInt) throws -> Int {
        let extent = try #require(arena.allocate(count))
        let bytes = [UInt8](repeating: 1, count: count)
        #expect(pwrite(extent.fileDescriptor, bytes, count, off_t(extent.offset)) == count)
        var offset = off_t(extent.offset)
        #expect(sendfile(descriptor, extent.fileDescriptor, &offset, count) == count)
        return extent.offset
    }

    @Test func `a full arena refuses and the slab falls back to the heap`() throws {
        let arena = try #require(PageArena(budgetBytes: 1 << 20))
        var held: [PageExtent] = []
        while let extent = arena.allocate(1 << 20) { held.append(extent) }
        #expect(held.count == 4)
        #expect(Set(held.map(\.offset)).count == 4)
        let slab = Fixture.slab([UInt8](repeating: 3, count: 1 << 20), in: arena)
        guard case .memory(let buffer) = slab.storedBody() else {
            Issue.record("the arena gave more than it has")
            return
        }
        #expect(buffer.storageCapacity == 1 << 20)
        held.removeAll()
        #expect(arena.allocate(4 << 20) != nil, "the freed ranges were not joined")
    }

    @Test func `extents of random sizes never overlap and all come back`() throws {
        let arena = try #require(PageArena(budgetBytes: 8 << 20))
        var generator = SeededGenerator(seed: 11)
        var held: [PageExtent] = []
        for _ in 0..<2_000 {
            if Bool.random(using: &generator),
                let extent = arena.allocate(Int.random(in: 1...300_000, using: &generator))
            {
                held.append(extent)
            } else if !held.isEmpty {
                held.swapAt(Int.random(in: held.indices, using: &generator), held.count - 1)
                held.removeLast()
            }
        }
        let ranges = held.map { $0.offset..<$0.offset + $0.heldBytes }.sorted {
            $0.lowerBound < $1.lowerBound
        }
        for (left, right) in zip(ranges, ranges.dropFirst()) { #expect(left.upperBound <= right.lowerBound) }
        #expect(arena.usedBytes == held.reduce(0) { $0 + $1.heldBytes })
        held.removeAll()
        #expect(arena.usedBytes == 0)
        #expect(arena.allocate(32 << 20) != nil)
    }

    @Test func `a buffer that outgrows its pages moves to the heap`() throws {
        let arena = try #require(PageArena(budgetBytes: 1 << 20))
        var buffer: ByteBuffer
        do {
            let slab = Fixture.slab([UInt8](repeating: 5, count: 8_192), in: arena)
            buffer = slab.body()
        }
        buffer.writeBytes([UInt8](repeating: 6, count: 100_000))
        #expect(buffer.readableBytes == 108_192)
        #expect(buffer.bytes.prefix(8_192).allSatisfy { $0 == 5 })
        #expect(arena.usedBytes == 0)
    }
}
