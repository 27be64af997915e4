import EdgePrimitives
import Testing

@testable import EdgeOrigin

private func at(_ milliseconds: Int64) -> MonotonicTime { MonotonicTime(nanoseconds: 0) + milliseconds }

/// Which server a pull goes to.
struct OriginPoolTests {
    private static func pool(servers: Int = 2, _ balance: OriginConfiguration.Balance = .order) -> OriginPool
    {
        var origin = OriginConfiguration(urls: (1...servers).map { "http://127.0.0.\($0):80" })
        origin.balance = balance
        return OriginPool(name: "main", configuration: origin)
    }

    private static func choose(_ pool: inout OriginPool, tried: [Int] = [], at time: Int64 = 0)
        -> OriginPool.Choice
    {
        pool.choose(hashKey: 0, tried: tried.map { pool.servers[$0].endpoint }, now: at(time))
    }

    private func expect(
        _ pool: inout OriginPool, tried: [Int] = [], at time: Int64 = 0, chooses expected: OriginPool.Choice,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let choice = Self.choose(&pool, tried: tried, at: time)
        #expect(choice == expected, sourceLocation: sourceLocation)
    }

    private static func takeOut(_ pool: inout OriginPool, _ index: Int) {
        for _ in 0..<ServerHealth.connectFailuresToGoOut {
            pool.servers[index].health.failed(key: 1, connecting: true, now: at(0))
        }
    }

    private static func setAside(_ pool: inout OriginPool, _ index: Int) {
        for _ in 0..<ServerHealth.answeredElsewhereToSetAside {
            pool.servers[index].health.failed(key: 1, connecting: false, now: at(0))
            pool.servers[index].health.wasAnsweredElsewhere(now: at(0))
        }
    }

    @Test func `a server that is out gets no pull`() {
        var pool = Self.pool()
        Self.takeOut(&pool, 0)
        expect(&pool, chooses: .server(1))
        expect(&pool, tried: [1], chooses: .none)
        Self.takeOut(&pool, 1)
        expect(&pool, chooses: .none)
    }

    @Test func `one that is set aside gets none while another is left, and is never the last`() {
        var pool = Self.pool()
        Self.setAside(&pool, 0)
        expect(&pool, chooses: .server(1))
        expect(&pool, tried: [1], chooses: .server(0))
        Self.setAside(&pool, 1)
        expect(&pool, chooses: .server(0))
        Self.takeOut(&pool, 0)
        expect(&pool, chooses: .server(1))
    }

    @Test func `with all out, a pull may wait for a check that is under way or due`() {
        var pool = Self.pool()
        Self.takeOut(&pool, 0)
        Self.takeOut(&pool, 1)
        expect(&pool, at: 999, chooses: .none)
        expect(&pool, at: 1_000, chooses: .afterCheck)
        pool.servers[0].check = 7
        pool.servers[0].health.checkBegan(now: at(0))
        pool.servers[1].health.checkBegan(now: at(0))
        expect(&pool, at: 1_000, chooses: .afterCheck)
        expect(&pool, tried: [0], at: 1_000, chooses: .none)
        pool.servers[0].check = nil
        expect(&pool, at: 1_000, chooses: .none)
    }

    @Test func `after a reload what is out is checked at once`() {
        var old = Self.pool()
        Self.takeOut(&old, 0)
        var pool = Self.pool()
        pool.inherit(old, now: at(10))
        #expect(pool.servers[0].health.isOut)
        #expect(pool.servers[0].health.checkDue(nil) == at(10))
        #expect(pool.servers[1].health == ServerHealth())
    }

    @Test(
        arguments: [
            ("http://Origin.test:81", "Origin.test", 81, nil),
            ("https://origin.test", "origin.test", 443, nil),
            ("http://127.0.0.1", "127.0.0.1", 80, "127.0.0.1"),
            ("http://[0:0::1]:8080", "0:0::1", 8_080, "::1"),
        ] as [(String, String, Int, String?)])
    func `an endpoint knows whom to connect to`(
        _ url: String, _ host: String, _ port: Int, _ address: String?
    ) {
        let endpoint = OriginEndpoint(url: url, tls: OriginConfiguration.TLS())
        #expect(endpoint.host == host)
        #expect(endpoint.port == port)
        #expect(endpoint.address == address)
    }

    @Test func `a name to verify changes nothing of whom to connect to`() {
        var tls = OriginConfiguration.TLS()
        tls.serverName = "www.test"
        let endpoint = OriginEndpoint(url: "https://127.0.0.1:8443", tls: tls)
        #expect(endpoint.url == "https://www.test:8443/")
        #expect(endpoint.connectTo == "www.test:8443:127.0.0.1:8443")
        #expect(endpoint.address == "127.0.0.1")
    }
}

struct PauseTests {
    @Test(
        arguments: [
            (nil, 10_000, false, 10_000), (nil, 10_000, true, 60_000), (nil, 3_000, true, 3_000),
            (nil, 120_000, false, 120_000), (5_000, 10_000, true, 5_000), (90_000, 10_000, false, 90_000),
        ] as [(Int64?, Int64, Bool, Int64)])
    func `a body may pause as the rule says, as the origin does, or longer where nobody else waits`(
        _ own: Int64?, _ configured: Int64, _ isPatient: Bool, _ expected: Int64
    ) {
        let pause = PullLoop.pauseMilliseconds(own: own, configured: configured, isPatient: isPatient)
        #expect(pause == expected)
    }
}
