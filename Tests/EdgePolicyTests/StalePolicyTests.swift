import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import Testing

@Suite struct StalePolicyTests {
    private typealias Fixture = ResponseFixture

    private static let hour: Int64 = 3600

    private func decide(
        _ cacheControl: String, _ failure: OriginFailure, rules: CachingRules = CachingRules(),
        at seconds: Int64,
        purgedAt: Int64? = nil, field: String = "Cache-Control"
    ) throws -> StalePolicy.Verdict {
        let stored = try #require(Fixture.stored(200, ["\(field): \(cacheControl)", "ETag: \"a\""]))
        return StalePolicy.decide(
            stored, failure: failure, rules: rules, now: Fixture.after(seconds),
            softPurgedAt: purgedAt.map(Fixture.after))
    }

    @Test(
        arguments: [
            ("max-age=2", 3, .allowed(.staleIfUnreachable)),
            ("max-age=2", 24 * hour + 1, .allowed(.staleIfUnreachable)),
            ("max-age=2", 24 * hour + 2, .forbidden(.staleTooOld)), ("max-age=2", 1, .allowed(.fresh)),
            ("max-age=2, must-revalidate", 3, .forbidden(.staleForbidden)),
            ("max-age=2, proxy-revalidate", 3, .forbidden(.staleForbidden)),
            ("max-age=2, no-cache", 3, .forbidden(.staleForbidden)),
            ("max-age=2, no-cache", 1, .forbidden(.staleForbidden)),
            ("max-age=2, s-maxage=2", 3, .forbidden(.staleForbidden)),
            ("max-age=2, s-maxage=2", 1, .allowed(.fresh)),
            ("max-age=2, stale-if-error=60", 61, .allowed(.staleIfUnreachable)),
            ("max-age=2, stale-if-error=60", 62, .forbidden(.staleTooOld)),
            ("max-age=2, stale-if-error=0", 2, .forbidden(.staleTooOld)),
            ("max-age=2, stale-if-error=60, must-revalidate", 3, .forbidden(.staleForbidden)),
        ] as [(String, Int64, StalePolicy.Verdict)])
    func `serves stale while the origin is out of reach`(
        _ cacheControl: String, _ seconds: Int64, _ verdict: StalePolicy.Verdict
    ) throws {
        #expect(try decide(cacheControl, .unreachable, at: seconds) == verdict)
        #expect(try decide(cacheControl, .unreachable, at: seconds, field: "CDN-Cache-Control") == verdict)
    }

    @Test(arguments: [500, 502, 503, 504])
    func `an error needs stale-if-error from the origin or the site`(_ status: Int) throws {
        var rules = CachingRules()
        let failure = OriginFailure.serverError(status: status)
        #expect(try decide("max-age=2", failure, at: 3) == .forbidden(.staleForbidden))
        #expect(try decide("max-age=2, stale-if-error=60", failure, at: 3) == .allowed(.staleIfError))
        #expect(try decide("max-age=2, stale-if-error=60", failure, at: 62) == .forbidden(.staleTooOld))
        rules.stale.ifErrorMilliseconds = 10_000
        #expect(try decide("max-age=2", failure, rules: rules, at: 11) == .allowed(.staleIfError))
        #expect(try decide("max-age=2", failure, rules: rules, at: 12) == .forbidden(.staleTooOld))
        // What the origin said beats the site, either way.
        #expect(
            try decide("max-age=2, stale-if-error=60", failure, rules: rules, at: 61)
                == .allowed(.staleIfError))
        #expect(
            try decide("max-age=2, stale-if-error=1", failure, rules: rules, at: 3)
                == .forbidden(.staleTooOld))
    }

    @Test(arguments: [501, 505, 599, 404, 429])
    func `other statuses are passed on`(_ status: Int) throws {
        let verdict = try decide("max-age=2, stale-if-error=60", .serverError(status: status), at: 3)
        #expect(verdict == .forbidden(.staleForbidden))
    }

    @Test func `after is a permission within stale-if-error`() throws {
        var rules = CachingRules()
        #expect(
            try decide("max-age=2, stale-if-error=60", .slow, rules: rules, at: 3)
                == .forbidden(.staleForbidden))
        rules.stale.afterMilliseconds = 300
        #expect(try decide("max-age=2", .slow, rules: rules, at: 3) == .forbidden(.staleForbidden))
        #expect(
            try decide("max-age=2, stale-if-error=60", .slow, rules: rules, at: 3) == .allowed(.staleAfter))
        rules.stale.ifErrorMilliseconds = 10_000
        #expect(try decide("max-age=2", .slow, rules: rules, at: 11) == .allowed(.staleAfter))
        #expect(try decide("max-age=2", .slow, rules: rules, at: 12) == .forbidden(.staleTooOld))
        #expect(
            try decide("max-age=2, must-revalidate", .slow, rules: rules, at: 3)
                == .forbidden(.staleForbidden))
    }

    @Test func `despiteSharedMaxAge lifts the ban of s-maxage and no other`() throws {
        var rules = CachingRules()
        rules.stale.despiteSharedMaxAge = true
        #expect(try decide("s-maxage=2", .unreachable, rules: rules, at: 3) == .allowed(.staleIfUnreachable))
        for ban in ["must-revalidate", "proxy-revalidate", "no-cache"] {
            let verdict = try decide("s-maxage=2, \(ban)", .unreachable, rules: rules, at: 3)
            #expect(verdict == .forbidden(.staleForbidden))
        }
    }

    @Test func `the longer of the site's windows counts for an origin out of reach`() throws {
        var rules = CachingRules()
        rules.stale.ifUnreachableMilliseconds = 5000
        #expect(try decide("max-age=2", .unreachable, rules: rules, at: 7) == .forbidden(.staleTooOld))
        rules.stale.ifErrorMilliseconds = 10_000
        #expect(try decide("max-age=2", .unreachable, rules: rules, at: 7) == .allowed(.staleIfUnreachable))
        rules.stale.ifUnreachableMilliseconds = 0
        rules.stale.ifErrorMilliseconds = nil
        #expect(try decide("max-age=2", .unreachable, rules: rules, at: 2) == .forbidden(.staleTooOld))
    }

    @Test func `a soft purge starts the windows`() throws {
        let failure = OriginFailure.serverError(status: 503)
        let said = "max-age=100, stale-if-error=5"
        #expect(try decide(said, failure, at: 14, purgedAt: 10) == .allowed(.staleIfError))
        #expect(try decide(said, failure, at: 15, purgedAt: 10) == .forbidden(.staleTooOld))
        #expect(
            try decide("max-age=100, must-revalidate", .unreachable, at: 11, purgedAt: 10)
                == .forbidden(.staleForbidden))
    }

    @Test func `a covered error does not replace what is stored`() throws {
        let stored = try #require(Fixture.stored(200, ["Cache-Control: max-age=2, stale-if-error=60"]))
        let covers = { (status: Int, seconds: Int64) in
            StalePolicy.coversError(
                stored, status: status, rules: CachingRules(), now: Fixture.after(seconds), softPurgedAt: nil)
        }
        #expect(covers(503, 3))
        #expect(!covers(503, 62))
        #expect(!covers(404, 3))
        #expect(!covers(200, 3))
    }

    @Test func `tells all windows for explanations`() throws {
        var rules = CachingRules()
        rules.stale.whileRevalidateMilliseconds = 60_000
        let plain = try #require(Fixture.stored(200, ["Cache-Control: max-age=2, stale-if-error=5"]))
        let windows = StalePolicy.windows(plain, rules: rules)
        #expect(windows.whileRevalidateMilliseconds == 60_000)
        #expect(windows.ifErrorMilliseconds == 5000)
        #expect(windows.ifUnreachableMilliseconds == 5000)
        #expect(StalePolicy.mayServeStaleMilliseconds(plain, rules: rules) == 60_000)
        let strict = try #require(Fixture.stored(200, ["Cache-Control: max-age=2, must-revalidate"]))
        #expect(StalePolicy.windows(strict, rules: rules) == StalePolicy.Windows())
    }
}
