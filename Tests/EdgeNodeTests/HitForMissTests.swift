import EdgePolicy
import EdgePrimitives
import Testing

@testable import EdgeNode

private func at(_ milliseconds: Int64) -> MonotonicTime { MonotonicTime(nanoseconds: 0) + milliseconds }

private func key(_ number: Int) -> Digest128 { Digest128(high: 1, low: UInt64(number)) }

/// What the node remembers of keys whose responses could not be shared, and of keys whose pulls failed.
@Suite struct HitForMissTests {
    @Test(arguments: [(0, true), (119_999, true), (120_000, false), (120_001, false)] as [(Int64, Bool)])
    func `a mark ends after 120 seconds`(_ age: Int64, _ holds: Bool) {
        let marks = KeyMarks()
        marks.markHitForMiss(key(1), now: at(5))
        #expect(marks.isHitForMiss(key(1), now: at(5 + age)) == holds)
    }

    @Test func `a mark is its key's alone`() {
        let marks = KeyMarks()
        #expect(!marks.isHitForMiss(key(1), now: at(0)))
        marks.markHitForMiss(key(1), now: at(0))
        #expect(!marks.isHitForMiss(key(2), now: at(0)))
    }

    @Test func `being marked again counts from then`() {
        let marks = KeyMarks()
        marks.markHitForMiss(key(1), now: at(0))
        marks.markHitForMiss(key(1), now: at(100_000))
        #expect(marks.isHitForMiss(key(1), now: at(219_999)))
        #expect(!marks.isHitForMiss(key(1), now: at(220_000)))
    }

    @Test func `a reusable response ends the mark`() {
        let marks = KeyMarks()
        marks.markHitForMiss(key(1), now: at(0))
        marks.markHitForMiss(key(2), now: at(0))
        marks.clearHitForMiss(key(1))
        #expect(!marks.isHitForMiss(key(1), now: at(1)))
        #expect(marks.isHitForMiss(key(2), now: at(1)))
    }

    @Test func `marks are bounded and the newest is kept`() {
        let marks = KeyMarks(capacity: 10)
        for number in 0..<100 {
            marks.markHitForMiss(key(number), now: at(0))
            #expect(marks.isHitForMiss(key(number), now: at(0)))
        }
        #expect((0..<100).count { marks.isHitForMiss(key($0), now: at(0)) } <= 10)
    }

    // MARK: Keys that fail

    @Test func `a failed key backs off for a second, doubling to thirty`() {
        let marks = KeyMarks()
        var now: Int64 = 7
        for backOff in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] as [Int64] {
            marks.pullFailed(key(1), .unreachable, now: at(now))
            #expect(marks.standing(key(1), now: at(now + backOff - 1)) == .backingOff(.unreachable))
            now += backOff
            #expect(marks.standing(key(1), now: at(now)) == .probe(.unreachable))
        }
    }

    @Test func `one request in each back-off probes`() {
        let marks = KeyMarks()
        marks.pullFailed(key(1), .serverError(status: 503), now: at(0))
        #expect(marks.standing(key(1), now: at(1_000)) == .probe(.serverError(status: 503)))
        for later in [1_000, 1_001, 1_999] as [Int64] {
            #expect(marks.standing(key(1), now: at(later)) == .backingOff(.serverError(status: 503)))
        }
        #expect(marks.standing(key(1), now: at(2_000)) == .probe(.serverError(status: 503)))
    }

    @Test func `a success ends the back-off and its doubling`() {
        let marks = KeyMarks()
        for _ in 0..<4 { marks.pullFailed(key(1), .unreachable, now: at(0)) }
        marks.pullSucceeded(key(1))
        #expect(marks.standing(key(1), now: at(0)) == .unmarked)
        marks.pullFailed(key(1), .unreachable, now: at(0))
        #expect(marks.standing(key(1), now: at(1_000)) == .probe(.unreachable))
    }

    @Test func `a failure and a mark of one key know nothing of each other`() {
        let marks = KeyMarks()
        marks.markHitForMiss(key(1), now: at(0))
        #expect(marks.standing(key(1), now: at(0)) == .unmarked)
        marks.pullFailed(key(2), .unreachable, now: at(0))
        #expect(!marks.isHitForMiss(key(2), now: at(0)))
        #expect(marks.standing(key(3), now: at(0)) == .unmarked)
    }

    @Test func `a failure is its origin's alone, and is forgotten with it`() {
        let marks = KeyMarks()
        marks.pullFailed(key(1), .unreachable, origin: "a", now: at(0))
        marks.pullFailed(key(2), .unreachable, origin: "b", now: at(0))
        #expect(marks.standing(key(1), origin: "a", now: at(0)) == .backingOff(.unreachable))
        #expect(marks.standing(key(1), origin: "b", now: at(0)) == .unmarked)
        marks.forgetFailures(of: "a")
        #expect(marks.standing(key(1), origin: "a", now: at(0)) == .unmarked)
        #expect(marks.standing(key(2), origin: "b", now: at(0)) == .backingOff(.unreachable))
    }

    @Test func `a key that fails elsewhere begins its back-off anew`() {
        let marks = KeyMarks()
        for _ in 0..<4 { marks.pullFailed(key(1), .unreachable, origin: "a", now: at(0)) }
        marks.pullFailed(key(1), .unreachable, origin: "b", now: at(0))
        #expect(marks.standing(key(1), origin: "b", now: at(1_000)) == .probe(.unreachable))
    }
}
