import EdgePrimitives
import Testing

@testable import EdgeStore

@Suite struct AdmissionFilterTests {
    /// The filter behind a reference, because an expectation cannot call what mutates a variable.
    private final class Seen {
        var filter: AdmissionFilter

        init(windowObjects: Int) { filter = AdmissionFilter(windowObjects: windowObjects) }

        init(_ filter: AdmissionFilter) { self.filter = filter }

        func seenBefore(_ key: Digest128) -> Bool { filter.seenBefore(key) }

        func note(_ keys: [Digest128]) {
            for key in keys { _ = filter.seenBefore(key) }
        }

        /// A copy that remembers what it is asked by itself.
        var copy: Seen { Seen(filter) }
    }

    private static func keys(_ count: Int, seed: UInt64) -> [Digest128] {
        var generator = SeededGenerator(seed: seed)
        return (0..<count).map { _ in Digest128(high: generator.next(), low: generator.next()) }
    }

    @Test func `a key is new at first sight and known at the second`() {
        let seen = Seen(windowObjects: 1_000)
        let keys = Self.keys(100, seed: 1)
        #expect(keys.allSatisfy { !seen.seenBefore($0) })
        #expect(keys.allSatisfy { seen.seenBefore($0) })
    }

    @Test func `a key is known for one window at least and forgotten after two`() {
        let seen = Seen(windowObjects: 1_000)
        let early = Fixture.key(1)
        #expect(!seen.seenBefore(early))
        seen.note(Self.keys(1_500, seed: 2))
        let copy = seen.copy
        #expect(copy.seenBefore(early))
        seen.note(Self.keys(600, seed: 3))
        #expect(!seen.seenBefore(early))
    }

    @Test func `a key that is seen again stays known`() {
        let seen = Seen(windowObjects: 1_000)
        let often = Fixture.key(1)
        _ = seen.seenBefore(often)
        for (number, key) in Self.keys(10_000, seed: 4).enumerated() {
            _ = seen.seenBefore(key)
            if number % 900 == 0 { #expect(seen.seenBefore(often)) }
        }
    }

    @Test func `a key seen over and over fills no window`() {
        let seen = Seen(windowObjects: 10)
        let first = Fixture.key(1)
        _ = seen.seenBefore(first)
        for number in 2..<6 {
            for _ in 0..<100 { _ = seen.seenBefore(Fixture.key(number)) }
        }
        #expect(seen.seenBefore(first))
    }

    @Test func `even a window of one works`() {
        let seen = Seen(windowObjects: 1)
        #expect(!seen.seenBefore(Fixture.key(1)))
        #expect(seen.seenBefore(Fixture.key(1)))
        for number in 2..<4 { _ = seen.seenBefore(Fixture.key(number)) }
        #expect(!seen.seenBefore(Fixture.key(1)))
    }

    /// Both filters as full as they get: one key before the older is emptied.
    @Test func `a full filter takes less than one new key in a hundred for known`() {
        let window = 5_000
        let seen = Seen(windowObjects: window)
        seen.note(Self.keys(2 * window - 1, seed: 5))
        let probes = Self.keys(4_000, seed: 6)
        let wrong = probes.count { seen.copy.seenBefore($0) }
        #expect(wrong < probes.count / 100)
        #expect(wrong > 0, "both filters should be full")
    }

    @Test func `three bytes for each key of the window`() {
        let filter = AdmissionFilter(windowObjects: 1_000_000)
        #expect(filter.byteCount == 3_000_000)
    }

    @Test func `resizing keeps the keys of the current window for one more`() {
        let seen = Seen(windowObjects: 1_000)
        let old = Self.keys(1_000, seed: 7)
        let current = Self.keys(500, seed: 8)
        seen.note(old + current)
        seen.filter.resize(windowObjects: 4_000)
        #expect(seen.filter.windowObjects == 4_000)
        // Nothing noted since: what is older stays.
        seen.filter.resize(windowObjects: 3_000)
        let copy = seen.copy
        #expect(old.count { copy.seenBefore($0) } < 20)
        #expect(current.allSatisfy { seen.seenBefore($0) })
        seen.note(Self.keys(6_000, seed: 9))
        #expect(seen.filter.byteCount == 9_008)
        #expect(current.count { seen.seenBefore($0) } < 10)
    }

    @Test func `resizing to the same window changes nothing`() {
        let seen = Seen(windowObjects: 100)
        let keys = Self.keys(150, seed: 10)
        seen.note(keys)
        seen.filter.resize(windowObjects: 100)
        #expect(keys.allSatisfy { seen.copy.seenBefore($0) })
    }
}
