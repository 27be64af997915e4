import CEdgeLinux
import EdgePrimitives
import EdgeStore
import Glibc
import NIOCore
import Testing

@Suite struct BodyStorageTests {
    @Test(arguments: [1, 1_100, 65_537, 262_200])
    func `a body holds exactly its bytes and not a power of two`(_ count: Int) {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let body = Fixture.slab(bytes).body()
        #expect(body.storageCapacity == count)
        #expect(body.bytes == bytes)
        let copy = ExactStorage.buffer(copying: [body, ByteBuffer(), body])
        #expect(copy.storageCapacity == 2 * count)
        #expect(copy.bytes == bytes + bytes)
    }

    @Test(arguments: [1, 24, 25, 40, 41, 1_000, 1_100, 100_000])
    func `what is charged for a block is what malloc holds`(_ count: Int) throws {
        var blocks: [UnsafeMutableRawPointer] = []
        defer { for block in blocks { free(block) } }
        var held = 0
        // A free block that is 16 bytes too large is handed out whole, as the rest would be none (glibc's MINSIZE). Which
        // ones are free is the other tests' doing: malloc is asked until it cuts one to size.
        repeat {
            let block = try #require(malloc(count))
            blocks.append(block)
            held = edge_malloc_usable_size(block) + 8
        } while held == ExactStorage.heldBytes(count) + 16 && blocks.count < 4_096
        #expect(ExactStorage.heldBytes(count) == held)
    }

    @Test func `what is charged for a large block is whole pages of a mapping`() {
        #expect(ExactStorage.heldBytes(128 * 1024) == 132 * 1024)
        #expect(ExactStorage.heldBytes(1_048_560) == 1_048_576)
    }

    @Test func `a slice keeps published bytes without copying while the body grows`() {
        let slab = BodySlab(capacity: 6)
        let first: [UInt8] = [1, 2, 3]
        #expect(first.withUnsafeBytes { slab.append($0) })
        let slice = slab.slice(1..<3)
        let second: [UInt8] = [4, 5, 6]
        #expect(second.withUnsafeBytes { slab.append($0) })
        #expect(slice.bytes == [2, 3])
        #expect(slab.isFull)
        #expect(slab.body().bytes == [1, 2, 3, 4, 5, 6])
        let same = slice.withUnsafeReadableBytes { $0.baseAddress }
        let whole = slab.body().withUnsafeReadableBytes { $0.baseAddress.map { $0 + 1 } }
        #expect(same == whole)
    }

    @Test func `an overflowing append changes nothing`() {
        let slab = BodySlab(capacity: 4)
        let bytes: [UInt8] = [1, 2, 3]
        #expect(bytes.withUnsafeBytes { slab.append($0) })
        #expect(!bytes.withUnsafeBytes { slab.append($0) })
        #expect(slab.count == 3)
        #expect(slab.slice(0..<3).bytes == bytes)
    }

    @Test func `changing a slice leaves the body alone`() {
        let slab = Fixture.slab([1, 2, 3])
        var slice = slab.slice(0..<3)
        slice.setInteger(UInt8(9), at: 0)
        slice.writeBytes([UInt8](repeating: 8, count: 100))
        #expect(slab.body().bytes == [1, 2, 3])
    }

    @Test func `an empty body is full at once`() {
        let slab = BodySlab(capacity: 0)
        #expect(slab.isFull)
        #expect(slab.body().readableBytes == 0)
        #expect(slab.storedBody().count == 0)
    }

    @Test func `a reader sees only bytes that were written`() async {
        let count = 200_000
        let slab = BodySlab(capacity: count)
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                var next = 0
                while next < count {
                    let end = min(count, next + 997)
                    let part = (next..<end).map { UInt8(truncatingIfNeeded: $0 &* 31) }
                    guard part.withUnsafeBytes({ slab.append($0) }) else { return false }
                    next = end
                }
                return true
            }
            for _ in 0..<2 {
                group.addTask {
                    var seen = 0
                    while seen < count {
                        let published = slab.count
                        for (index, byte) in zip(
                            seen..<published, slab.slice(seen..<published).readableBytesView)
                        where byte != UInt8(truncatingIfNeeded: index &* 31) { return false }
                        seen = published
                    }
                    return true
                }
            }
            for await isRight in group { #expect(isRight) }
        }
    }
}
