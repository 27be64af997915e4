import EdgeOrigin
import EdgePrimitives
import Testing

private func at(_ milliseconds: Int64) -> MonotonicTime { MonotonicTime(nanoseconds: 0) + milliseconds }

/// Refusing: a server that is out gets no pull. Only failures to connect and the node's own checks begin that, and only
/// a check ends it.
struct ServerHealthTests {
    private static let rules = OriginConfiguration.Health(path: "/healthz")
    private static let well = ServerHealth.CheckOutcome.answered(isWell: true)

    private func fail(
        _ health: inout ServerHealth, _ count: Int, keys: UInt64 = 1, connecting: Bool, at time: Int64 = 0
    ) {
        for number in 0..<count {
            health.failed(key: UInt64(number) % keys, connecting: connecting, now: at(time))
        }
    }

    private func out() -> ServerHealth {
        var health = ServerHealth()
        fail(&health, ServerHealth.connectFailuresToGoOut, connecting: true)
        return health
    }

    @Test func `one failure to connect does not take a server out, three in a row do`() {
        var health = ServerHealth()
        fail(&health, 2, connecting: true)
        #expect(!health.isOut)
        health.answered(now: at(0))
        fail(&health, 2, connecting: true)
        #expect(!health.isOut)
        fail(&health, 1, connecting: true)
        #expect(health.isOut)
    }

    @Test func `failures after connecting never take a server out by themselves`() {
        var health = ServerHealth()
        fail(&health, 1_000, keys: 1_000, connecting: false)
        #expect(!health.isOut)
    }

    @Test func `what clients get does not bring a server back, a check that is answered does`() {
        var health = out()
        health.answered(now: at(10))
        #expect(health.isOut)
        health.checkBegan(now: at(1_000))
        health.checked(.answered(isWell: false), rules: nil, now: at(1_001))
        #expect(!health.isOut)
        #expect(health.checkDue(nil) == nil)
    }

    @Test func `checks come by a back-off that doubles to its bound`() {
        var health = out()
        var now: Int64 = 0
        for expected in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] as [Int64] {
            now += expected
            #expect(health.checkDue(nil) == at(now))
            health.checkBegan(now: at(now))
            #expect(health.checkDue(nil) == nil)
            health.checked(.unconnected, rules: nil, now: at(now))
        }
    }

    @Test func `nothing is checked while nothing failed`() {
        var health = ServerHealth()
        #expect(health.checkDue(nil) == nil)
        fail(&health, 1, connecting: false)
        #expect(health.checkDue(nil) == at(1_000))
        health.answered(now: at(10))
        #expect(health.checkDue(nil) == nil)
    }

    @Test func `ten keys that fail have the server checked at once, and at most once a second`() {
        var health = ServerHealth()
        fail(&health, 100, keys: 9, connecting: false, at: 5)
        #expect(health.checkDue(nil) == at(1_005))
        fail(&health, 10, keys: 10, connecting: false, at: 6)
        #expect(health.checkDue(nil) == at(6))
        health.checkBegan(now: at(6))
        health.checked(Self.well, rules: nil, now: at(7))
        #expect(!health.isOut)
        fail(&health, 10, keys: 10, connecting: false, at: 8)
        #expect(health.checkDue(nil) == at(1_006))
    }

    @Test func `a check without an answer takes a server out where ten keys failed, and not where one did`() {
        for (keys, isOut) in [(1, false), (9, false), (10, true)] as [(UInt64, Bool)] {
            var health = ServerHealth()
            fail(&health, 20, keys: keys, connecting: false)
            health.checkBegan(now: at(0))
            health.checked(.unanswered, rules: nil, now: at(1))
            #expect(health.isOut == isOut)
        }
    }

    @Test func `a check that cannot connect takes a server out where anything failed`() {
        var health = ServerHealth()
        fail(&health, 1, connecting: false)
        health.checkBegan(now: at(1_000))
        health.checked(.unconnected, rules: nil, now: at(1_000))
        #expect(health.isOut)
    }

    @Test func `a check that fails says nothing once a pull was answered`() {
        var health = ServerHealth()
        fail(&health, 10, keys: 10, connecting: false)
        health.checkBegan(now: at(0))
        health.answered(now: at(1))
        health.checked(.unconnected, rules: nil, now: at(2))
        #expect(!health.isOut)
    }

    // MARK: The configured check

    @Test func `configured checks take a server out and back in by their own numbers`() {
        var health = ServerHealth()
        for number in 1...3 {
            #expect(!health.isOut)
            health.checkBegan(now: at(Int64(number) * 2_000))
            health.checked(.unanswered, rules: Self.rules, now: at(Int64(number) * 2_000))
        }
        #expect(health.isOut)
        health.checked(Self.well, rules: Self.rules, now: at(7_000))
        #expect(health.isOut)
        health.checked(Self.well, rules: Self.rules, now: at(8_000))
        #expect(!health.isOut)
    }

    @Test func `an answer of the wrong status is a failed configured check`() {
        var health = ServerHealth()
        for _ in 0..<3 { health.checked(.answered(isWell: false), rules: Self.rules, now: at(0)) }
        #expect(health.isOut)
    }

    @Test func `configured checks go on while all is well, whatever clients get`() {
        var health = ServerHealth()
        #expect(health.checkDue(Self.rules) == at(0))
        health.checkBegan(now: at(5))
        health.checked(Self.well, rules: Self.rules, now: at(6))
        health.answered(now: at(7))
        #expect(health.checkDue(Self.rules) == at(2_005))
    }

    @Test func `a server that is out is not left waiting for a long interval`() {
        var rules = Self.rules
        rules.intervalMilliseconds = 60_000
        var health = ServerHealth()
        health.checkBegan(now: at(0))
        health.checked(Self.well, rules: rules, now: at(0))
        fail(&health, 3, connecting: true, at: 10)
        #expect(health.checkDue(rules) == at(1_010))
    }

    // MARK: Set aside

    @Test func `a server whose pulls another one answers is set aside for a back-off that doubles`() {
        var health = ServerHealth()
        for _ in 0..<2 {
            fail(&health, 1, connecting: false)
            health.wasAnsweredElsewhere(now: at(0))
        }
        #expect(!health.isSetAside(now: at(0)))
        fail(&health, 1, connecting: false)
        health.wasAnsweredElsewhere(now: at(0))
        #expect(health.isSetAside(now: at(999)))
        #expect(!health.isSetAside(now: at(1_000)))
        #expect(!health.isOut)
        fail(&health, 1, connecting: false, at: 1_000)
        health.wasAnsweredElsewhere(now: at(1_000))
        #expect(health.isSetAside(now: at(2_999)))
        health.answered(now: at(3_000))
        fail(&health, 1, connecting: false, at: 3_000)
        health.wasAnsweredElsewhere(now: at(3_000))
        #expect(!health.isSetAside(now: at(3_000)))
    }

    @Test(arguments: [false, true])
    func `ten failures set a server aside while another one is well, and not otherwise`(isAnotherWell: Bool) {
        var health = ServerHealth()
        for number in 0..<10 as Range<UInt64> {
            #expect(!health.isSetAside(now: at(5)))
            health.failed(key: number, connecting: false, anotherIsWell: isAnotherWell, now: at(5))
        }
        #expect(health.isSetAside(now: at(6)) == isAnotherWell)
    }

    @Test func `a check that is answered does not hide that pulls fail`() {
        var health = ServerHealth()
        for number in 0..<10 as Range<UInt64> {
            health.failed(key: number, connecting: false, anotherIsWell: true, now: at(0))
            health.checkBegan(now: at(0))
            health.checked(Self.well, rules: nil, now: at(0))
            #expect(health.checkDue(nil) == nil)
        }
        #expect(health.isSetAside(now: at(1)))
    }

    @Test func `nothing is held against a server that did not fail, or has answered since`() {
        var health = ServerHealth()
        #expect(health.isWell(since: at(10)))
        health.answered(now: at(10))
        fail(&health, 1, connecting: false, at: 20)
        #expect(health.isWell(since: at(10)))
        #expect(!health.isWell(since: at(11)))
        #expect(!out().isWell(since: at(0)))
    }
}

struct PullQueueTests {
    private func append<Element>(_ element: Element, client: UInt64, to queue: inout PullQueue<Element>) {
        let isTaken = queue.append(element, client: client)
        #expect(isTaken)
    }

    @Test func `clients take turns whatever the order they came in`() {
        var queue = PullQueue<String>()
        for number in 1...3 { append("a\(number)", client: 1, to: &queue) }
        append("b1", client: 2, to: &queue)
        append("c1", client: 3, to: &queue)
        var order: [String] = []
        while let next = queue.next() { order.append(next) }
        #expect(order == ["a1", "b1", "c1", "a2", "a3"])
        #expect(queue.count == 0)
    }

    @Test func `is bounded, and what is taken out leaves room`() {
        var queue = PullQueue<Int>()
        for number in 0..<PullQueue<Int>.capacity { append(number, client: UInt64(number % 7), to: &queue) }
        let isOverfull = queue.append(-1, client: 1)
        #expect(!isOverfull)
        let removed = queue.remove { $0 % 2 == 0 }
        #expect(removed.count == PullQueue<Int>.capacity / 2)
        append(-1, client: 1, to: &queue)
        var left = 0
        while queue.next() != nil { left += 1 }
        #expect(left == PullQueue<Int>.capacity / 2 + 1)
    }

    @Test func `what could not be connected to is back when it can be, whatever it says to a HEAD`() {
        var health = ServerHealth()
        for key in 0..<3 {
            health.failed(key: UInt64(key), connecting: true, now: MonotonicTime(nanoseconds: 0))
        }
        #expect(health.isOut)
        health.checked(.unconnected, rules: nil, now: MonotonicTime(nanoseconds: 1))
        #expect(health.isOut)
        health.checked(.unanswered, rules: nil, now: MonotonicTime(nanoseconds: 2))
        #expect(!health.isOut)
    }

    @Test func `what was set aside is tried by one pull, and set aside again where that fails`() {
        var health = ServerHealth()
        let start = MonotonicTime(nanoseconds: 0)
        for key in 0..<10 {
            health.failed(key: UInt64(key), connecting: false, anotherIsWell: true, now: start)
        }
        #expect(health.isSetAside(now: start))
        let later = start + ServerHealth.firstBackOffMilliseconds
        #expect(!health.isSetAside(now: later))
        #expect(health.isOnTrial(now: later))
        health.failed(key: 11, connecting: false, anotherIsWell: true, now: later)
        #expect(health.isSetAside(now: later))
        let again = later + 2 * ServerHealth.firstBackOffMilliseconds
        #expect(health.isOnTrial(now: again))
        health.answered(now: again)
        #expect(!health.isOnTrial(now: again))
    }
}
