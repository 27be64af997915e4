import EdgeAdmin
import EdgePrimitives
import EdgeTesting
import NIOCore
import Testing

/// Who may ask, and what guessing gets.
@Suite(.wholeNodes) struct TokenTests {
    @Test func `only the whole token matches`() {
        let token = AdminToken("secret-token")
        #expect(token.matches("secret-token"))
        for wrong in [
            "", "s", "secret-toke", "secret-token ", "secret-tokeN", "Secret-token",
            "secret-tokensecret-token",
        ] {
            #expect(!token.matches(wrong), "\(wrong)")
        }
        #expect(!AdminToken("").matches(""))
        #expect(!AdminToken("").matches("x"))
        // The same bytes are meant, not the same characters.
        #expect(!AdminToken("K-token").matches("\u{212A}-token"))
    }

    @Test(arguments: [
        "Bearer \(TestAdmin.token)", "bearer \(TestAdmin.token)", "BEARER   \(TestAdmin.token)",
    ])
    func `the scheme's case does not matter`(_ value: String) async throws {
        try await withAdmin { admin in
            let answer = try await admin.ask("GET", "/status", ["Authorization: \(value)"], token: nil)
            #expect(answer.status == 200)
        }
    }

    @Test(arguments: [
        [], ["Authorization:"], ["Authorization: Bearer"], ["Authorization: Bearer "],
        ["Authorization: \(TestAdmin.token)"], ["Authorization: Basic \(TestAdmin.token)"],
        ["Authorization: Bearer wrong"], ["Authorization: Bearer \(TestAdmin.token)x"],
        ["Authorization: Bearer \(TestAdmin.token), Bearer x"], ["Authorization: Bearer\t\(TestAdmin.token)"],
        ["Authorization: Bearer \(TestAdmin.token)", "Authorization: Bearer \(TestAdmin.token)"],
        ["Proxy-Authorization: Bearer \(TestAdmin.token)"],
    ])
    func `anything else gets 401 and a challenge`(_ fields: [String]) async throws {
        try await withAdmin { admin in
            for (method, target) in [("GET", "/status"), ("POST", "/purge"), ("GET", "/openapi.json")] {
                let answer = try await admin.ask(method, target, fields, body: #"{"all":true}"#, token: nil)
                #expect(answer.status == 401)
                #expect(answer.fields["WWW-Authenticate"] == #"Bearer realm="rockpool""#)
            }
            #expect(admin.purgeCount == 0)
        }
    }

    @Test func `guessing is slowed down, the right token always works`() async throws {
        try await withAdmin(limits: { $0.guessDelay = .milliseconds(50) }) { admin in
            for _ in 0..<GuessLimiter.allowed {
                try await expect(401) { try await admin.ask("GET", "/status", token: "wrong") }
            }
            for _ in 0..<3 {
                let limited = try await admin.ask("GET", "/status", token: "wrong")
                #expect(limited.status == 429)
                let seconds = try #require(limited.fields["Retry-After"].flatMap { Int($0) })
                #expect((1...60).contains(seconds))
                try await expect(200) { try await admin.ask("GET", "/status") }
                try await expect(200) { try await admin.ask("GET", "/healthz", token: nil) }
                // Who brings none does not guess.
                try await expect(401) { try await admin.ask("GET", "/status", token: nil) }
            }
            #expect(admin.log.lines == ["notice: more than 10 wrong tokens in a minute: client=127.0.0.1"])
            let metrics = try await admin.ask("GET", "/metrics").text
            #expect(metrics.contains("\nrockpool_admin_unauthorized_total 13\n"))
        }
    }

    @Test func `whoever guesses waits for each answer, and nobody else waits with him`() async throws {
        try await withAdmin { admin in
            let clock = ContinuousClock()
            for _ in 0..<GuessLimiter.allowed {
                try await expect(401) { try await admin.ask("GET", "/status", token: "wrong") }
            }
            let guessed = clock.now
            try await withThrowingTaskGroup(of: Void.self) { group in
                // More than the machine has threads.
                for _ in 0..<50 {
                    group.addTask {
                        let answer = try await admin.ask("GET", "/status", token: "wrong")
                        #expect(answer.status == 429)
                        #expect(clock.now - guessed >= .seconds(1))
                    }
                }
                for _ in 0..<3 {
                    try await expect(200) { try await admin.ask("GET", "/status") }
                    try await expect(200) { try await admin.ask("GET", "/healthz", token: nil) }
                }
                #expect(clock.now - guessed < .seconds(1))
                try await group.waitForAll()
            }
        }
    }

    private static func address(_ text: String) throws -> ClientAddress {
        ClientAddress(try SocketAddress(ipAddress: text, port: 1))
    }

    @Test func `an IPv6 network counts as one, an IPv4 address for itself`() throws {
        #expect(try Self.address("127.0.0.1").network == [127, 0, 0, 1])
        #expect(try Self.address("::ffff:127.0.0.1").network == [127, 0, 0, 1])
        #expect(try Self.address("2001:db8:1:2:3:4:5:6").network == [0x20, 0x01, 0x0D, 0xB8, 0, 1, 0, 2])
        #expect(try Self.address("2001:db8:1:2::1").network == Self.address("2001:db8:1:2:ffff::9").network)
        #expect(try Self.address("2001:db8:1:3::1").network != Self.address("2001:db8:1:2::1").network)
        #expect(try Self.address("2001:db8::1").text == "2001:db8::1")
        #expect(ClientAddress(nil).network.isEmpty)
    }

    @Test func `a minute later the count begins anew`() {
        let limiter = GuessLimiter()
        let start = MonotonicTime(nanoseconds: 5_000_000_000)
        for _ in 0..<GuessLimiter.allowed { #expect(limiter.note([1], at: start) == nil) }
        #expect(limiter.note([1], at: start) == .init(retryAfterSeconds: 60, isFirst: true))
        #expect(limiter.note([1], at: start + 59_001) == .init(retryAfterSeconds: 1, isFirst: false))
        #expect(limiter.note([2], at: start) == nil)
        #expect(limiter.note([1], at: start + 60_000) == nil)
        #expect(limiter.total == 14)
    }

    @Test func `a flood of networks does not make it forget who guesses most`() {
        let limiter = GuessLimiter()
        let now = MonotonicTime(nanoseconds: 1)
        for _ in 0...GuessLimiter.allowed { _ = limiter.note([1], at: now) }
        for number in 0..<100_000 { _ = limiter.note(withUnsafeBytes(of: number) { Array($0) }, at: now) }
        #expect(limiter.note([1], at: now) != nil)
    }
}
