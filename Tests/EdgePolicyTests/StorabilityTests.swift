import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import Testing

@Suite struct StorabilityTests {
    private typealias Fixture = ResponseFixture

    @Test(arguments: [
        200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 403, 404, 410, 499, 500, 502, 503, 504, 599, 201,
        421,
    ])
    func `any final status with explicit freshness is stored and reused`(_ status: Int) {
        #expect(Fixture.isReused(status, ["Cache-Control: max-age=100000", "Date: {0}"]))
        #expect(Fixture.isReused(status, ["Expires: {100}", "Date: {0}"]))
        #expect(!Fixture.isReused(status, ["Expires: {-5000}", "Last-Modified: {-100000}", "Date: {0}"]))
    }

    @Test(
        arguments: [
            (100, .statusNotStorable), (103, .statusNotStorable), (206, .partial), (304, .statusNotStorable),
            (428, .statusNotStorable), (429, .statusNotStorable), (431, .statusNotStorable),
            (511, .statusNotStorable),
        ] as [(Int, Reason)])
    func `these statuses are never stored, not even by a rule`(_ status: Int, _ reason: Reason) {
        var rules = CachingRules()
        rules.lifetimes.byStatus[status] = 60_000
        rules.overridesOrigin = true
        #expect(Fixture.reason(status, ["Cache-Control: max-age=100, public"]) == reason)
        #expect(Fixture.reason(status, ["Cache-Control: max-age=100, public"], rules: rules) == reason)
    }

    @Test(
        arguments: [
            ([], .noFreshness), (["Date: {0}"], .noFreshness), (["Cache-Control: max-age=0"], .zeroLifetime),
            (["Cache-Control: max-age=-3600"], .zeroLifetime),
            (["Cache-Control: max-age='3600'"], .zeroLifetime),
            (["Expires: 0"], .zeroLifetime), (["Expires: {0}", "Date: {0}"], .zeroLifetime),
            (["Cache-Control: max-age=3600", "Age: 7200"], .expired),
            (["Cache-Control: max-age=3600", "Date: {-7200}"], .expired),
            (["Cache-Control: no-store"], .noStore),
            (["Cache-Control: max-age=9, No-StOrE", "Expires: {99}"], .noStore),
            (["Cache-Control: private, max-age=3600"], .private),
            (["Cache-Control: private=x, max-age=3600"], .private),
            (["Cache-Control: private=\"a b\", max-age=3600"], .private),
            (["Cache-Control: private=\"\", max-age=3600"], .private),
            (["Cache-Control: private=\"a\", private, max-age=3600"], .private),
            (["Cache-Control: max-age=10000, no-cache", "Expires: {10000}"], .mustValidate),
            (["Cache-Control: max-age=10000, no-cache=a"], .mustValidate),
            (["Cache-Control: max-age=9", "Vary: *"], .varyStar),
            (["Cache-Control: max-age=9", "Vary: , *"], .varyStar),
            (["Cache-Control: max-age=9", "Vary:", "Vary: *"], .varyStar),
            (["Cache-Control: max-age=9", "Vary: Foo, *"], .varyStar),
            (["CDN-Cache-Control: private", "Cache-Control: max-age=10000", "Expires: {10000}"], .private),
            (
                ["CDN-Cache-Control: no-cache", "Cache-Control: max-age=10000", "Expires: {10000}"],
                .mustValidate
            ),
            (["CDN-Cache-Control: no-store", "Cache-Control: max-age=10000", "Expires: {10000}"], .noStore),
            (["CDN-Cache-Control: no-store=1, max-age=5"], .noStore),
            (["CDN-Cache-Control: max-age=0", "Expires: {10000}"], .zeroLifetime),
            (["CDN-Cache-Control: max-age=3600", "Age: 7200"], .expired),
            (["CDN-Cache-Control: max-age=10000, &&&&&", "Cache-Control: no-store"], .noStore),
            (["CDN-Cache-Control: max-age=\"10000\"", "Cache-Control: no-store"], .zeroLifetime),
            (["CDN-Cache-Control: foo", "Cache-Control: max-age=9"], .noFreshness),
        ] as [([String], Reason)])
    func `is not stored, and says why`(_ lines: [String], _ reason: Reason) {
        #expect(Fixture.reason(200, lines) == reason)
    }

    @Test(arguments: [
        ["Cache-Control: max-age=3600", "Pragma: no-cache"],
        ["Cache-Control: max-age=3600", "Set-Cookie: a=b"],
        ["Cache-Control: max-age=3600", "Vary: Foo"], ["Cache-Control: max-age=3600, must-revalidate"],
        ["Cache-Control: no-cache=\"a\"", "Cache-Control: max-age=3600"],
        ["Cache-Control: private=\"a\", max-age=3600"],
        ["CDN-Cache-Control: max-age=3600", "Cache-Control: no-store"],
        ["CDN-Cache-Control: foobar, max-age=3600"],
        ["CDN-Cache-Control: max-age=3600", "Expires: 0"], ["CDN-Cache-Control: max-age=3600, no-store=?0"],
        ["CDN-Cache-Control: max-age=99999999999"],
        ["CDN-Cache-Control: max-age=3600, private=\"set-cookie\""],
        ["Cache-Control: max-age=10000", "Age: 3600", "Age: 3600"],
        ["Last-Modified: {-86400}", "Date: {0}"],
        ["Expires: Thu Aug  8 02:01:18 2050"], ["Expires: Thursday, 18-Aug-50 02:01:18 GMT"],
    ])
    func `is stored and reused`(_ lines: [String]) {
        #expect(Fixture.isReused(200, lines))
    }

    @Test(arguments: [
        ["Cache-Control: no-cache", "ETag: \"abcd\""],
        ["Cache-Control: max-age=10000, no-cache", "ETag: \"abcd\""],
        ["Cache-Control: no-cache", "Last-Modified: {-100}"],
        ["Cache-Control: max-age=0", "ETag: \"abcd\""],
        ["Expires: {-5000}", "Last-Modified: {-100000}"], ["ETag: \"abcd\""], ["ETag: W/\"abcd\""],
        ["Cache-Control: max-age=0, stale-while-revalidate=60"],
        ["Cache-Control: max-age=0, stale-if-error=60"],
        ["CDN-Cache-Control: max-age=0, stale-if-error=60"],
    ])
    func `is stored for validation or stale use, and not reused at once`(_ lines: [String]) {
        #expect(Fixture.stored(200, lines) != nil)
        #expect(!Fixture.isReused(200, lines, after: 0))
    }

    @Test(
        arguments: [
            (404, ["ETag: \"a\""], .noFreshness),
            (404, ["Cache-Control: public", "ETag: \"a\""], .noFreshness),
            (302, ["ETag: \"a\""], .noFreshness),
            (500, ["Cache-Control: max-age=0", "ETag: \"a\""], .zeroLifetime),
            (503, ["Cache-Control: no-cache", "ETag: \"a\""], .mustValidate),
            (503, ["Cache-Control: max-age=0, stale-if-error=60"], .zeroLifetime),
            (200, ["Cache-Control: max-age=0, stale-if-error=60, must-revalidate"], .zeroLifetime),
            (200, ["Cache-Control: max-age=0, stale-if-error=60", "Age: 61"], .zeroLifetime),
            (200, ["Cache-Control: max-age=0", "Last-Modified: yesterday"], .zeroLifetime),
        ] as [(Int, [String], Reason)])
    func `an answer that is stale from birth is not kept without use for it`(
        _ status: Int, _ lines: [String], _ reason: Reason
    ) {
        #expect(Fixture.reason(status, lines) == reason)
    }

    @Test(
        arguments: [
            ("max-age=3600", .authorization), ("max-age=3600, proxy-revalidate", .authorization),
            ("s-maxage=x, max-age=60", .authorization), ("max-age=3600, public", nil),
            ("max-age=3600, must-revalidate", nil), ("s-maxage=3600", nil),
        ] as [(String, Reason?)])
    func `an answer to a request with credentials needs leave`(_ cacheControl: String, _ reason: Reason?) {
        let request = RequestTraits(method: .get, hasAuthorization: true)
        let lines = ["Cache-Control: \(cacheControl)", "ETag: \"a\""]
        #expect(Fixture.reason(200, lines, request: request) == reason)
        #expect((Fixture.stored(200, lines, request: request) == nil) == (reason != nil))
    }

    @Test func `must-understand lifts no-store for a known status and bans the rest`() {
        #expect(Fixture.isReused(200, ["Cache-Control: max-age=3600, no-store, must-understand"]))
        #expect(
            Fixture.reason(599, ["Cache-Control: max-age=3600, no-store, must-understand"]) == .mustUnderstand
        )
        #expect(Fixture.reason(599, ["Cache-Control: max-age=3600, must-understand"]) == .mustUnderstand)
        #expect(Fixture.reason(200, ["Cache-Control: max-age=3600, no-store"]) == .noStore)
    }

    @Test(arguments: [Method.head, .post, .put, .options, .other])
    func `only GET is stored`(_ method: Method) {
        #expect(
            Fixture.reason(200, ["Cache-Control: max-age=9"], request: RequestTraits(method: method))
                == .method)
    }

    @Test func `a pass rule and a client's no-store keep it out`() {
        var rules = CachingRules()
        rules.passes = true
        #expect(Fixture.reason(200, ["Cache-Control: max-age=9"], rules: rules) == .rulePass)
        var request = RequestTraits(method: .get)
        request.noStore = true
        #expect(Fixture.reason(200, ["Cache-Control: max-age=9"], request: request) == .clientNoStore)
    }

    @Test func `an overriding rule beats the origin's fields and nothing else`() {
        var rules = CachingRules()
        rules.lifetimes = .init(defaultMilliseconds: 60_000, byStatus: [404: 10_000])
        let forbidding = [
            "Cache-Control: no-store, private, no-cache, must-revalidate, s-maxage=0", "Expires: 0",
        ]
        #expect(Fixture.reason(200, forbidding, rules: rules) == .noStore)
        rules.overridesOrigin = true
        #expect(Fixture.isReused(200, forbidding, after: 59, rules: rules))
        #expect(!Fixture.isReused(200, forbidding, after: 60, rules: rules))
        #expect(Fixture.stored(200, forbidding, rules: rules)?.flags == [])
        #expect(Fixture.isReused(404, forbidding, after: 9, rules: rules))
        #expect(Fixture.reason(410, forbidding, rules: rules) == .noStore)
        #expect(Fixture.reason(200, forbidding + ["Vary: *"], rules: rules) == .varyStar)
        let credentials = RequestTraits(method: .get, hasAuthorization: true)
        #expect(
            Fixture.reason(200, ["Cache-Control: private"], request: credentials, rules: rules)
                == .authorization)
    }

    @Test func `a rule that fills the gap leaves the origin's bans`() {
        var rules = CachingRules()
        rules.lifetimes = .init(defaultMilliseconds: 60_000)
        #expect(Fixture.isReused(200, [], after: 59, rules: rules))
        #expect(Fixture.reason(200, ["Cache-Control: no-cache"], rules: rules) == .mustValidate)
        #expect(Fixture.reason(200, ["Cache-Control: private"], rules: rules) == .private)
        #expect(Fixture.reason(204, [], rules: rules) == .noFreshness)
    }

    @Test func `remembers what reuse needs`() throws {
        let stored = try #require(
            Fixture.stored(
                200,
                [
                    "Cache-Control: s-maxage=60, proxy-revalidate, must-revalidate, immutable",
                    "Cache-Control: stale-if-error=5, stale-while-revalidate=7", "ETag: \"a\"",
                    "Last-Modified: {-9}",
                    "Vary: A", "Age: 3",
                ]))
        #expect(
            stored.flags == [
                .sMaxage, .proxyRevalidate, .mustRevalidate, .immutable, .hasEntityTag, .hasStrongEntityTag,
                .hasLastModified, .hasVary,
            ])
        #expect(stored.status == 200)
        #expect(stored.freshnessLifetimeMilliseconds == 60_000)
        #expect(stored.freshnessSource == .sMaxage)
        #expect(stored.correctedInitialAgeMilliseconds == 3000)
        #expect(stored.staleIfErrorMilliseconds == 5000)
        #expect(stored.staleWhileRevalidateMilliseconds == 7000)
        #expect(Fixture.stored(200, ["ETag: W/\"a\""])?.flags == [.hasEntityTag])
        #expect(Fixture.stored(200, ["Last-Modified: {-900}"])?.flags == [.hasLastModified, .heuristic])
    }

    @Test(
        arguments: [
            (["Cache-Control: no-cache=\"Set-Cookie, B\""], ["set-cookie", "b"]),
            (["Cache-Control: private=\"a\"", "Cache-Control: no-cache=\"a,c\""], ["c", "a"]),
            (["CDN-Cache-Control: private=\"x\"", "Cache-Control: private=\"y\""], ["x"]),
            (["Cache-Control: no-cache"], []),
        ] as [([String], Set<String>)])
    func `names the fields to drop`(_ lines: [String], _ names: Set<String>) {
        let dropped = Storability.fieldsToDrop(response: Fixture.head(200, lines))
        #expect(Set(dropped.map { String(decoding: $0, as: UTF8.self) }) == names)
        #expect(dropped.count == names.count)
    }

    // MARK: What cannot be read as written

    private static let signedIn = RequestTraits(method: .get, hasAuthorization: true)

    @Test(arguments: [
        ("public, max-age=30", true), ("public; max-age=30", false), ("public=1, max-age=30", false),
        ("max-age=30, must-revalidate", true), ("max-age=30, must-revalidate=1", false),
        ("max-age=30, must-revalidate;", false), ("s-maxage=30", true), ("s-maxage=\"30\"", true),
        ("s-maxage=30;", false), ("s-maxage=003600", true), ("s-maxage=+30", false),
        ("public; x, s-maxage=30", true),
    ])
    func `a malformed permission gives no answer of one who signed in to others`(
        cacheControl: String, isReused: Bool
    ) {
        let lines = ["Cache-Control: \(cacheControl)", "ETag: \"a\""]
        let stored = Fixture.stored(200, lines, request: Self.signedIn)
        #expect((stored != nil) == isReused)
        if !isReused {
            #expect(Fixture.reason(200, lines, request: Self.signedIn) == .authorization)
        }
    }

    @Test(arguments: [
        ("max-age=30, no-store;", Reason.noStore), ("max-age=30; no-store", .noStore),
        ("public; no-store", .noStore), ("max-age=30, private;", .private), ("max-age=30 private", .private),
        ("max-age=30, private=\"a b\"", .private), ("max-age=30, private=\"a", .private),
        ("max-age=30, no-store, must-understand;", .noStore),
        ("max-age=30, no-store, must-understand=1", .noStore),
    ])
    func `what a malformed directive forbids stays forbidden`(cacheControl: String, reason: Reason) {
        #expect(Fixture.reason(200, ["Cache-Control: \(cacheControl)"]) == reason)
    }

    @Test(arguments: [
        "max-age=60, no-cache;", "max-age=60, no-cache=a", "max-age=60 no-cache", "max-age=60, x; no-cache",
    ])
    func `a malformed no-cache has everything validated`(cacheControl: String) throws {
        let stored = try #require(Fixture.stored(200, ["Cache-Control: \(cacheControl)", "ETag: \"a\""]))
        #expect(stored.flags.contains(.noCache))
    }

    @Test(
        arguments: [
            ("max-age=003600", 3600), ("foo;bar, max-age=60", 60), ("immutable;, max-age=60", 60),
            ("public; max-age=30, max-age=60", 60),
        ] as [(String, Int64)])
    func `the other directives count`(cacheControl: String, seconds: Int64) throws {
        let stored = try #require(Fixture.stored(200, ["Cache-Control: \(cacheControl)"]))
        #expect(stored.freshnessLifetimeMilliseconds == seconds * 1000)
        #expect(!stored.flags.contains(.immutable))
    }

    @Test func `a lifetime that cannot be read is not replaced by a guess`() {
        let modified = "Last-Modified: {-864000}"
        #expect(Fixture.stored(200, [modified])?.freshnessSource == .heuristic)
        let stored = Fixture.stored(200, [modified, "Cache-Control: public; max-age=30"])
        #expect(stored?.freshnessLifetimeMilliseconds == 0)
    }

    @Test(arguments: [
        "no-store, max-age=60, ,", "max-age=60, Private", "no-store;max-age =1", "max-age=60, no-store=",
        "no-store, x=@1",
        "max-age=060 no-store", "\"no-store\"",
    ])
    func `a CDN-Cache-Control that does not parse is ignored whole`(targeted: String) throws {
        let lines = ["CDN-Cache-Control: \(targeted)", "Cache-Control: max-age=5"]
        let stored = try #require(Fixture.stored(200, lines))
        #expect(stored.freshnessSource == .maxAge)
        #expect(stored.freshnessLifetimeMilliseconds == 5_000)
    }

    @Test(arguments: [
        ("must-revalidate", true), ("must-revalidate=1", false), ("public=?0", false), ("public=1", false),
    ])
    func `a targeted permission of another type permits nothing`(targeted: String, isPermitted: Bool) {
        let lines = ["CDN-Cache-Control: max-age=30, \(targeted)"]
        #expect((Fixture.stored(200, lines, request: Self.signedIn) != nil) == isPermitted)
    }
}
