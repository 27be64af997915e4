import EdgePrimitives
import Testing

struct DigestTests {
    @Test func `equal bytes have equal digests under one seed and other digests under another`() {
        let bytes = Array("http://example.org/a?b".utf8)
        let seed = DigestSeed(first: 1, second: 2)
        #expect(seed.digest(bytes) == DigestSeed(first: 1, second: 2).digest(bytes))
        #expect(seed.digest(bytes) != DigestSeed(first: 1, second: 3).digest(bytes))
    }

    @Test func `every length and every byte counts`() {
        let seed = DigestSeed(first: 7, second: 9)
        var seen: Set<Digest128> = []
        for length in 0..<64 {
            let bytes = [UInt8](repeating: 97, count: length)
            #expect(seen.insert(seed.digest(bytes)).inserted)
            for index in 0..<length {
                var changed = bytes
                changed[index] = 98
                #expect(seen.insert(seed.digest(changed)).inserted)
            }
        }
    }

    @Test func `a seeded generator repeats itself`() {
        var first = SeededGenerator(seed: 42)
        var second = SeededGenerator(seed: 42)
        #expect((0..<8).map { _ in first.next() } == (0..<8).map { _ in second.next() })
    }
}
