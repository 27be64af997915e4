import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import Testing

@Suite struct FreshnessTests {
    private typealias Fixture = ResponseFixture

    private func lifetime(
        _ status: Int, _ lines: [String], rules: CachingRules = CachingRules()
    ) -> Freshness.Lifetime {
        Freshness.lifetime(of: Fixture.head(status, lines), rules: rules, responseTime: Fixture.now)
    }

    @Test(
        arguments: [
            (["Cache-Control: max-age=3600"], 3600, .maxAge),
            (["Cache-Control: max-age=1, s-maxage=3600"], 3600, .sMaxage),
            (["Cache-Control: max-age=3600", "Cache-Control: s-maxage=1"], 1, .sMaxage),
            (["Cache-Control: max-age=0, s-maxage=3600", "Expires: {-10}"], 3600, .sMaxage),
            (["Cache-Control: max-age=3600", "Expires: {-7200}", "Date: {0}"], 3600, .maxAge),
            (["Cache-Control: max-age=0", "Expires: {3600}"], 0, .maxAge),
            (["Cache-Control: s-maxage=x, max-age=60"], 0, .sMaxage),
            (["Cache-Control: max-age"], 0, .maxAge),
            (["Cache-Control: max-age=99999999999"], 1 << 31, .maxAge),
            (["Expires: {300}", "Date: {0}"], 300, .expires),
            (["Expires: {300}", "Date: {400}"], 0, .expires),
            (["Expires: {10}", "Date: foo"], 10, .expires), (["Expires: {10}"], 10, .expires),
            (["Expires: 0", "Last-Modified: {-86400}"], 0, .expires),
            (["Expires: {300}", "Expires: {301}"], 0, .expires),
            (["Expires: {300}", "Expires: {300}"], 300, .expires),
            (
                ["CDN-Cache-Control: max-age=5", "Cache-Control: s-maxage=9", "Expires: {99}"], 5,
                .cdnCacheControl
            ),
            (["CDN-Cache-Control: foo", "Expires: {99}"], 0, .none),
            (["CDN-Cache-Control: FOO", "Expires: {99}"], 99, .expires),
            (["CDN-Cache-Control: ", "Cache-Control: max-age=9"], 9, .maxAge),
            (["CDN-Cache-Control: max-age=\"100\"", "Cache-Control: max-age=9"], 0, .cdnCacheControl),
            (["CDN-Cache-Control: max-age=1.5"], 0, .cdnCacheControl),
            (["CDN-Cache-Control: max-age=-1"], 0, .cdnCacheControl),
            (["CDN-Cache-Control: max-age=1", "CDN-Cache-Control: max-age=7;p=1"], 7, .cdnCacheControl),
            ([], 0, .none), (["ETag: \"a\""], 0, .none),
        ] as [([String], Int64, FreshnessSource)])
    func `takes the first field that gives a lifetime`(
        _ lines: [String], _ seconds: Int64, _ source: FreshnessSource
    ) {
        #expect(lifetime(200, lines) == Freshness.Lifetime(milliseconds: seconds * 1000, source: source))
    }

    @Test(
        arguments: [
            (200, "", true), (203, "", true), (300, "", true), (301, "", true), (308, "", true),
            (201, "", false),
            (202, "", false), (302, "", false), (302, "public", true), (403, "", false), (404, "", false),
            (410, "", false),
            (500, "", false), (501, "", false), (502, "", false), (503, "", false), (504, "", false),
            (599, "", false),
            (599, "public", false), (200, "max-age=x", false),
        ] as [(Int, String, Bool)])
    func `guesses a lifetime only where RFC 9111 lets it and never for errors`(
        _ status: Int, _ cacheControl: String, _ guesses: Bool
    ) {
        let found = lifetime(
            status, ["Cache-Control: \(cacheControl)", "Last-Modified: {-86400}", "Date: {0}"])
        #expect((found.source == .heuristic) == guesses)
        #expect(found.milliseconds == (guesses ? 8_640_000 : 0))
    }

    @Test(
        arguments: [(0, 0), (5, 500), (86_400, 8_640_000), (31_536_000, 86_400_000), (-5, 0)]
            as [(Int64, Int64)])
    func `a guess is a tenth of the age of the content, at most a day`(_ age: Int64, _ milliseconds: Int64) {
        #expect(lifetime(200, ["Last-Modified: {\(-age)}", "Date: {0}"]).milliseconds == milliseconds)
    }

    @Test func `rules fill gaps, override and cap`() {
        var rules = CachingRules()
        rules.lifetimes = .init(defaultMilliseconds: 60_000, byStatus: [404: 10_000])
        #expect(lifetime(200, [], rules: rules) == .init(milliseconds: 60_000, source: .rule))
        #expect(lifetime(404, [], rules: rules) == .init(milliseconds: 10_000, source: .rule))
        #expect(lifetime(410, [], rules: rules).source == .none)
        #expect(lifetime(200, ["Last-Modified: {-86400}"], rules: rules).source == .rule)
        #expect(
            lifetime(200, ["Cache-Control: max-age=5"], rules: rules)
                == .init(milliseconds: 5000, source: .maxAge))
        #expect(lifetime(200, ["Expires: 0"], rules: rules) == .init(milliseconds: 0, source: .expires))
        rules.overridesOrigin = true
        #expect(
            lifetime(200, ["Cache-Control: max-age=5"], rules: rules)
                == .init(milliseconds: 60_000, source: .rule))
        #expect(lifetime(410, ["Cache-Control: max-age=5"], rules: rules).source == .maxAge)
        rules.maxLifetimeMilliseconds = 7000
        #expect(lifetime(200, [], rules: rules) == .init(milliseconds: 7000, source: .rule))
        rules.overridesOrigin = false
        #expect(
            lifetime(200, ["Cache-Control: max-age=3600"], rules: rules)
                == .init(milliseconds: 7000, source: .maxAge))
    }

    @Test(
        arguments: [
            (["Age: 30"], 30), (["Age: abc"], 0), (["Age: -7200"], 0), (["Age: 7200.0"], 0),
            (["Age: 7200;a=b"], 0),
            (["Age: 2147483647"], 2_147_483_647), (["Age: 2147483649"], 1 << 31),
            (["Age: 99999999999999999999"], 1 << 31),
            (["Age: 7200, 0"], 7200), (["Age: 0, 7200"], 0), (["Age: 7200", "Age: 0"], 7200),
            (["Age: 0", "Age: 7200"], 0),
            (["Age: , 5"], 5), (["Age:", "Age: 5"], 5), (["Age: x, 5"], 0), (["Date: {-7200}"], 7200),
            (["Date: {7200}"], 0), (["Date: {-10}", "Age: 25"], 25), (["Date: {-25}", "Age: 10"], 25),
            (["Date: x"], 0),
        ] as [([String], Int64)])
    func `works out the age when received`(_ lines: [String], _ seconds: Int64) {
        let age = Freshness.correctedInitialAgeMilliseconds(
            Fixture.head(200, lines).fields, requestTime: Fixture.now, responseTime: Fixture.now)
        #expect(age == seconds * 1000)
    }

    @Test func `adds the delay of the answer to Age and not to the apparent age`() {
        let received = WallTime(milliseconds: Fixture.now.milliseconds + 2500)
        let age = { (lines: [String]) in
            Freshness.correctedInitialAgeMilliseconds(
                Fixture.head(200, lines).fields, requestTime: Fixture.now, responseTime: received)
        }
        #expect(age(["Date: {2}"]) == 2500)
        #expect(age(["Date: {2}", "Age: 30"]) == 32_500)
        #expect(age(["Date: {-30}", "Age: 1"]) == 32_000)
    }

    @Test func `a request time after the response time adds nothing`() {
        let age = Freshness.correctedInitialAgeMilliseconds(
            Fixture.head(200, ["Age: 7"]).fields, requestTime: Fixture.after(50), responseTime: Fixture.now)
        #expect(age == 7000)
    }
}
