import EdgePolicy
import EdgePrimitives
import Testing

@testable import EdgeNode

private func at(_ milliseconds: Int64) -> MonotonicTime { MonotonicTime(nanoseconds: 0) + milliseconds }

private func key(_ number: Int) -> Digest128 { Digest128(high: 1, low: UInt64(number)) }

/// When an origin counts as down: connecting to it fails, or at least 10 pulls of different keys failed and none
/// succeeded for 2 s.
@Suite struct OutageDetectorTests {
    private static func fail(
        _ detector: OutageDetector, _ number: Int, connecting: Bool = false, at milliseconds: Int64
    ) {
        detector.pullFailed("main", key: key(number), connecting: connecting, now: at(milliseconds))
    }

    private static func isDown(_ detector: OutageDetector, at milliseconds: Int64) -> Bool {
        detector.standing("main", now: at(milliseconds)) != .unmarked
    }

    @Test(arguments: [(9, false), (10, true), (11, true)])
    func `it takes ten different keys`(_ keys: Int, _ isDown: Bool) {
        let detector = OutageDetector()
        for number in 1..<keys { Self.fail(detector, number, at: 0) }
        #expect(!Self.isDown(detector, at: 0))
        Self.fail(detector, keys, at: 2_000)
        #expect(Self.isDown(detector, at: 2_000) == isDown)
    }

    @Test func `one key that fails many times is one key`() {
        let detector = OutageDetector()
        for number in 0..<100 { Self.fail(detector, number % 9, at: Int64(number) * 100) }
        #expect(!Self.isDown(detector, at: 10_000))
    }

    @Test(arguments: [(1_999, false), (2_000, true)] as [(Int64, Bool)])
    func `it takes two seconds`(_ last: Int64, _ isDown: Bool) {
        let detector = OutageDetector()
        for number in 0..<20 { Self.fail(detector, number, at: 0) }
        #expect(!Self.isDown(detector, at: last))
        Self.fail(detector, 20, at: last)
        #expect(Self.isDown(detector, at: last) == isDown)
    }

    @Test func `a success in between starts the count anew`() {
        let detector = OutageDetector()
        for number in 0..<20 { Self.fail(detector, number, at: 0) }
        detector.pullSucceeded("main", now: at(1_000))
        for number in 20..<29 { Self.fail(detector, number, at: 1_001) }
        Self.fail(detector, 20, at: 9_000)
        #expect(!Self.isDown(detector, at: 9_000))
        Self.fail(detector, 29, at: 9_000)
        #expect(Self.isDown(detector, at: 9_000))
    }

    @Test func `a success just before keeps an origin up for two seconds`() {
        let detector = OutageDetector()
        detector.pullSucceeded("main", now: at(10_000))
        for number in 0..<10 { Self.fail(detector, number, at: 10_001) }
        Self.fail(detector, 10, at: 12_000)
        #expect(!Self.isDown(detector, at: 12_000))
        Self.fail(detector, 10, at: 12_001)
        #expect(Self.isDown(detector, at: 12_001))
    }

    @Test func `a failure to connect marks at once`() {
        let detector = OutageDetector()
        Self.fail(detector, 1, connecting: true, at: 0)
        #expect(detector.standing("main", now: at(0)) == .backingOff(.unreachable))
    }

    @Test func `one success ends an outage`() {
        let detector = OutageDetector()
        Self.fail(detector, 1, connecting: true, at: 0)
        detector.pullSucceeded("main", now: at(1))
        #expect(!Self.isDown(detector, at: 1))
        for number in 0..<9 { Self.fail(detector, number, at: 5_000) }
        #expect(!Self.isDown(detector, at: 5_000))
    }

    @Test func `an origin that was configured anew has no outage`() {
        let detector = OutageDetector()
        Self.fail(detector, 1, connecting: true, at: 0)
        detector.forget("other")
        #expect(Self.isDown(detector, at: 0))
        detector.forget("main")
        #expect(!Self.isDown(detector, at: 0))
    }

    @Test func `a pull that was not tried begins an outage, and lengthens no back-off`() {
        let detector = OutageDetector()
        for time in [0, 500, 999] as [Int64] { detector.pullRefused("main", now: at(time)) }
        #expect(detector.standing("main", now: at(999)) == .backingOff(.unreachable))
        #expect(detector.standing("main", now: at(1_000)) == .probe(.unreachable))
    }

    @Test func `an outage is its origin's alone`() {
        let detector = OutageDetector()
        Self.fail(detector, 1, connecting: true, at: 0)
        #expect(detector.standing("other", now: at(0)) == .unmarked)
        detector.pullSucceeded("other", now: at(0))
        #expect(Self.isDown(detector, at: 0))
    }

    @Test func `probes come one for each back-off, which doubles to thirty seconds`() {
        let detector = OutageDetector()
        var now: Int64 = 3
        for backOff in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] as [Int64] {
            Self.fail(detector, 1, connecting: true, at: now)
            #expect(detector.standing("main", now: at(now + backOff - 1)) == .backingOff(.unreachable))
            now += backOff
            #expect(detector.standing("main", now: at(now)) == .probe(.unreachable))
            #expect(detector.standing("main", now: at(now)) == .backingOff(.unreachable))
        }
    }
}
