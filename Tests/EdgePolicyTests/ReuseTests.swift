import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import Testing

@Suite struct ReuseTests {
    private typealias Fixture = ResponseFixture

    private func request(_ fields: [(String, String)], honoursClient: Bool = true) -> RequestTraits {
        var head = RequestHead()
        head.fields = FieldSection(fields)
        return RequestTraits(head: head, honoursClient: honoursClient)
    }

    private func decide(
        _ cacheControl: String, _ extra: [String] = ["ETag: \"a\""], client: String? = nil,
        rules: CachingRules = CachingRules(), at seconds: Int64, purgedAt: Int64? = nil
    ) throws -> Reuse.Decision {
        let stored = try #require(
            Fixture.stored(200, ["Cache-Control: \(cacheControl)"] + extra, rules: rules))
        return Reuse.decide(
            stored, request: request(client.map { [("Cache-Control", $0)] } ?? []), rules: rules,
            now: Fixture.after(seconds), softPurgedAt: purgedAt.map(Fixture.after))
    }

    @Test(
        arguments: [
            ("max-age=10", 9, .fresh), ("max-age=10", 10, .validate(.expired)),
            ("max-age=10, no-cache", 1, .validate(.mustValidate)), ("max-age=10, must-revalidate", 9, .fresh),
            ("max-age=1, stale-while-revalidate=4", 4, .staleWhileRevalidate),
            ("max-age=1, stale-while-revalidate=4", 5, .validate(.expired)),
            ("max-age=1, stale-while-revalidate=4, must-revalidate", 2, .validate(.expired)),
            ("s-maxage=1, stale-while-revalidate=4", 2, .validate(.expired)),
            ("max-age=0, stale-while-revalidate=4", 0, .staleWhileRevalidate),
        ] as [(String, Int64, Reuse.Decision)])
    func `follows the origin`(_ cacheControl: String, _ seconds: Int64, _ decision: Reuse.Decision) throws {
        #expect(try decide(cacheControl, at: seconds) == decision)
    }

    @Test(
        arguments: [
            ("max-age=10", "max-age=0", 0, .fresh), ("max-age=10", "max-age=0", 1, .validate(.clientMaxAge)),
            ("max-age=10, immutable", "max-age=0", 1, .fresh),
            ("max-age=10, immutable", "no-cache", 1, .validate(.clientNoCache)),
            ("max-age=10", "max-age=5", 5, .fresh), ("max-age=10", "max-age=5", 6, .validate(.clientMaxAge)),
            ("max-age=10", "min-fresh=5", 5, .fresh),
            ("max-age=10", "min-fresh=5", 6, .validate(.clientMinFresh)),
            ("max-age=10", "max-stale=5", 15, .staleWhileRevalidate),
            ("max-age=10", "max-stale=5", 16, .validate(.expired)),
            ("max-age=10", "max-stale", 99_999, .staleWhileRevalidate),
            ("max-age=10", "max-age=5, max-stale=60", 20, .staleWhileRevalidate),
            ("max-age=10", "max-age=5, max-stale=60", 71, .validate(.expired)),
            ("max-age=10, must-revalidate", "max-stale", 11, .validate(.expired)),
            ("max-age=10", "no-cache", 1, .validate(.clientNoCache)), ("max-age=10", "no-store", 1, .fresh),
            ("max-age=10", "max-age=x, min-fresh=, max-stale=-1", 1, .fresh),
            ("max-age=1, stale-while-revalidate=60", "max-age=5", 6, .validate(.clientMaxAge)),
            ("max-age=1, stale-while-revalidate=60", "min-fresh=0", 6, .validate(.clientMinFresh)),
            ("max-age=10", "nothing-to-see-here", 1, .fresh),
        ] as [(String, String, Int64, Reuse.Decision)])
    func `follows a client that is honoured`(
        _ cacheControl: String, _ client: String, _ seconds: Int64, _ decision: Reuse.Decision
    ) throws {
        #expect(try decide(cacheControl, client: client, at: seconds) == decision)
    }

    @Test func `reads client directives only when told to`() {
        let fields = [
            ("Cache-Control", "no-cache, no-store, only-if-cached, max-age=1, max-stale=2, min-fresh=3")
        ]
        let ignored = request(fields + [("Authorization", "x")], honoursClient: false)
        #expect(ignored == RequestTraits(method: .get, hasAuthorization: true))
        let read = request(fields)
        #expect(read.noCache && read.noStore && read.onlyIfCached && !read.hasAuthorization)
        #expect(read.maxAge == 1000 && read.maxStale == 2000 && read.minFresh == 3000)
    }

    @Test func `Pragma counts only without Cache-Control`() {
        #expect(request([("Pragma", "no-cache")]).noCache)
        #expect(!request([("Pragma", "foo")]).noCache)
        #expect(!request([("Pragma", "no-cache"), ("Cache-Control", "x")]).noCache)
        #expect(!request([("Pragma", "no-cache")], honoursClient: false).noCache)
    }

    @Test func `the site supplies stale-while-revalidate where the origin was silent`() throws {
        var rules = CachingRules()
        rules.stale.whileRevalidateMilliseconds = 60_000
        #expect(try decide("max-age=1", rules: rules, at: 60) == .staleWhileRevalidate)
        #expect(try decide("max-age=1", rules: rules, at: 61) == .validate(.expired))
        #expect(try decide("max-age=1, stale-while-revalidate=0", rules: rules, at: 2) == .validate(.expired))
        #expect(try decide("s-maxage=1", rules: rules, at: 2) == .validate(.expired))
        #expect(try decide("x", rules: rules, at: 0) == .validate(.expired))
        rules.stale.despiteSharedMaxAge = true
        #expect(try decide("s-maxage=1", rules: rules, at: 2) == .staleWhileRevalidate)
        #expect(try decide("s-maxage=1, proxy-revalidate", rules: rules, at: 2) == .validate(.expired))
    }

    @Test(
        arguments: [
            ("max-age=100", 10, 10, .validate(.softPurged)),
            ("max-age=100, stale-while-revalidate=5", 14, 10, .staleWhileRevalidate),
            ("max-age=100, stale-while-revalidate=5", 15, 10, .validate(.softPurged)),
            ("max-age=100, must-revalidate, stale-while-revalidate=5", 11, 10, .validate(.softPurged)),
            // Stale before the purge came: the window does not begin anew.
            ("max-age=1, stale-while-revalidate=5", 7, 5, .validate(.softPurged)),
            // The clock stepped back behind the purge: still purged.
            ("max-age=100", 5, 10, .validate(.softPurged)),
        ] as [(String, Int64, Int64, Reuse.Decision)])
    func `a soft purge makes stale, and windows count from it`(
        _ cacheControl: String, _ seconds: Int64, _ purgedAt: Int64, _ decision: Reuse.Decision
    ) throws {
        #expect(try decide(cacheControl, at: seconds, purgedAt: purgedAt) == decision)
    }

    @Test func `max-stale does not reach a soft-purged response`() throws {
        #expect(try decide("max-age=9", client: "max-stale", at: 12) == .staleWhileRevalidate)
        #expect(try decide("max-age=9", client: "max-stale", at: 12, purgedAt: 11) == .validate(.softPurged))
    }

    @Test func `a clock that steps back never makes younger`() throws {
        let stored = try #require(Fixture.stored(200, ["Cache-Control: max-age=100", "Age: 40"]))
        #expect(stored.currentAgeMilliseconds(at: Fixture.after(-1_000_000)) == 40_000)
        #expect(stored.currentAgeMilliseconds(at: Fixture.after(59)) == 99_000)
        #expect(Reuse.isPlainlyFresh(stored, now: Fixture.after(59)))
        #expect(!Reuse.isPlainlyFresh(stored, now: Fixture.after(60)))
        let expired = try #require(
            Fixture.stored(200, ["Cache-Control: max-age=1", "Age: 2", "ETag: \"a\""]))
        #expect(!Reuse.isPlainlyFresh(expired, now: Fixture.after(-1_000_000)))
    }

    @Test func `no-cache is never plainly fresh`() throws {
        let stored = try #require(
            Fixture.stored(200, ["Cache-Control: no-cache, max-age=100", "ETag: \"a\""]))
        #expect(!Reuse.isPlainlyFresh(stored, now: Fixture.now))
    }
}
