import EdgeOrigin
import EdgePrimitives
import Testing

private func at(_ milliseconds: Int64) -> MonotonicTime { MonotonicTime(nanoseconds: 0) + milliseconds }

struct ServerHealthTests {
    private func expect(
        _ health: inout ServerHealth, admits expected: Bool, at milliseconds: Int64,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let admits = health.admits(now: at(milliseconds))
        #expect(admits == expected, sourceLocation: sourceLocation)
    }

    private func opened() -> ServerHealth {
        var health = ServerHealth()
        for _ in 0..<ServerHealth.connectFailuresToOpen { health.failed(now: at(0), connecting: true) }
        return health
    }

    @Test func `one failure does not take a server out, three in a row do`() {
        var health = ServerHealth()
        health.failed(now: at(0), connecting: true)
        health.failed(now: at(0), connecting: true)
        expect(&health, admits: true, at: 0)
        health.succeeded()
        health.failed(now: at(0), connecting: true)
        health.failed(now: at(0), connecting: true)
        expect(&health, admits: true, at: 0)
        health.failed(now: at(0), connecting: true)
        expect(&health, admits: false, at: 999)
    }

    @Test func `after the back-off one pull is let through and no second one`() {
        var health = opened()
        expect(&health, admits: false, at: 999)
        expect(&health, admits: true, at: 1_000)
        #expect(health.state == .halfOpen)
        expect(&health, admits: false, at: 1_000)
        health.succeeded()
        #expect(health.state == .healthy)
    }

    @Test func `the back-off doubles to its bound`() {
        var health = opened()
        var now: Int64 = 0
        for expected in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] as [Int64] {
            expect(&health, admits: false, at: now + expected - 1)
            now += expected
            expect(&health, admits: true, at: now)
            health.failed(now: at(now), connecting: true)
        }
    }

    @Test func `a probe that was given up leaves the way open for another`() {
        var health = opened()
        expect(&health, admits: true, at: 1_000)
        health.undecided(now: at(1_000))
        expect(&health, admits: true, at: 1_000)
    }

    @Test func `active checks take a server out and back in`() {
        let rules = OriginConfiguration.Health(path: "/healthz")
        var health = ServerHealth()
        for _ in 0..<rules.unhealthyAfter { health.checked(isWell: false, rules: rules, now: at(0)) }
        expect(&health, admits: false, at: 0)
        health.checked(isWell: true, rules: rules, now: at(10))
        expect(&health, admits: false, at: 10)
        health.checked(isWell: true, rules: rules, now: at(20))
        expect(&health, admits: true, at: 20)
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

    @Test func `failures after connecting take a server out only when they are many`() {
        var health = ServerHealth()
        for _ in 1..<ServerHealth.failuresToOpen { health.failed(now: at(0), connecting: false) }
        #expect(health.state == .healthy)
        health.failed(now: at(0), connecting: false)
        let isAdmitted = health.admits(now: at(1))
        #expect(!isAdmitted)
        health = ServerHealth()
        for _ in 1..<ServerHealth.failuresToOpen { health.failed(now: at(0), connecting: false) }
        health.succeeded()
        health.failed(now: at(0), connecting: false)
        #expect(health.state == .healthy)
    }
}
