import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import Testing

/// What one visitor's request or one moment of an origin must not do to what others get.
@Suite struct VisitorTests {
    private typealias Fixture = ResponseFixture

    private static let lastModified = "Last-Modified: {-100000}"

    private static func cookie() -> RequestTraits {
        var traits = RequestTraits(method: .get)
        traits.hasCookie = true
        return traits
    }

    // MARK: Set-Cookie

    @Test(
        arguments: [
            [lastModified], ["ETag: \"a\""], ["Cache-Control: public", lastModified], [],
            ["Cache-Control: max-age=0", "ETag: \"a\""], ["Cache-Control: no-cache", "ETag: \"a\""],
            ["Cache-Control: max-age=9, no-cache", "ETag: \"a\""], ["Expires: 0", "ETag: \"a\""],
            ["Cache-Control: max-age=9x", "ETag: \"a\""],
        ])
    func `Set-Cookie without a lifetime from the origin is not stored`(_ lines: [String]) {
        #expect(Fixture.reason(200, lines + ["Set-Cookie: a=b"]) == .setCookie)
    }

    @Test(arguments: [false, true]) func `a rule's ttl does not store Set-Cookie`(overrides: Bool) {
        var rules = CachingRules()
        rules.lifetimes.defaultMilliseconds = 60_000
        rules.overridesOrigin = overrides
        #expect(Fixture.reason(200, ["Set-Cookie: a=b"], rules: rules) == .setCookie)
        #expect(
            Fixture.reason(200, ["Set-Cookie: a=b", "Cache-Control: no-store"], rules: rules) == .noStore)
        rules.setCookie = .store
        #expect(Fixture.stored(200, ["Set-Cookie: a=b"], rules: rules)?.freshnessSource == .rule)
    }

    @Test(arguments: [
        "Cache-Control: max-age=9", "Cache-Control: s-maxage=9", "Expires: {9}",
        "CDN-Cache-Control: max-age=9",
        "Cache-Control: max-age=9, no-cache=\"set-cookie\"",
    ])
    func `the origin's own lifetime stores Set-Cookie`(_ line: String) {
        #expect(Fixture.stored(200, [line, "Set-Cookie: a=b"])?.freshnessSource.isExplicit == true)
    }

    @Test func `the origin's lifetime counts and not the rule's where a cookie is set`() {
        var rules = CachingRules()
        rules.lifetimes.defaultMilliseconds = 60_000
        rules.overridesOrigin = true
        let stored = Fixture.stored(200, ["Cache-Control: max-age=9", "Set-Cookie: a=b"], rules: rules)
        #expect(stored?.freshnessLifetimeMilliseconds == 9_000)
    }

    // MARK: Guesses

    @Test func `no lifetime is guessed for who came with Authorization`() {
        let request = RequestTraits(method: .get, hasAuthorization: true)
        let lines = ["Cache-Control: public", Self.lastModified]
        #expect(Fixture.stored(200, lines)?.freshnessSource == .heuristic)
        #expect(Fixture.stored(200, lines, request: request)?.freshnessSource == FreshnessSource.none)
    }

    @Test(arguments: [
        ("text/html", false), ("application/json", false), ("text/plain", false), ("", false),
        ("image/svg+xml", true), ("IMAGE/PNG", true), ("font/woff2", true), ("audio/mpeg", true),
        ("video/mp4", true), ("text/css; charset=utf-8", true), ("text/javascript", true),
        ("application/javascript", true), ("application/x-font-ttf", true), ("imagery/png", false),
    ])
    func `who came with a cookie shares only what everybody gets alike`(_ type: String, _ isShared: Bool) {
        let lines = [Self.lastModified] + (type.isEmpty ? [] : ["Content-Type: \(type)"])
        #expect((Fixture.stored(200, lines, request: Self.cookie()) != nil) == isShared)
        #expect(Fixture.stored(200, lines) != nil)
    }

    @Test func `a lifetime from the origin or a rule counts whoever came`() {
        var rules = CachingRules()
        rules.lifetimes.defaultMilliseconds = 60_000
        #expect(Fixture.stored(200, ["Cache-Control: max-age=9"], request: Self.cookie()) != nil)
        #expect(Fixture.stored(200, [], request: Self.cookie(), rules: rules) != nil)
    }

    // MARK: Stored errors

    @Test(arguments: [404, 410, 500, 503]) func `a stored error hides no newer error`(status: Int) throws {
        let stored = try #require(Fixture.stored(status, ["Cache-Control: max-age=9, stale-if-error=60"]))
        var rules = CachingRules()
        rules.stale.afterMilliseconds = 100
        for (failure, at) in [(OriginFailure.serverError(status: 503), 20), (.slow, 20)]
            as [(OriginFailure, Int64)]
        {
            let verdict = StalePolicy.decide(
                stored, failure: failure, rules: rules, now: Fixture.after(at), softPurgedAt: nil)
            #expect(verdict == .forbidden(.staleForbidden))
        }
    }

    @Test(arguments: [(404, true), (500, false), (503, false)])
    func `an origin out of reach brings back what was not there, and no server error`(
        _ status: Int, _ isAllowed: Bool
    ) throws {
        let stored = try #require(Fixture.stored(status, ["Cache-Control: max-age=9"]))
        let verdict = StalePolicy.decide(
            stored, failure: .unreachable, rules: CachingRules(), now: Fixture.after(20), softPurgedAt: nil)
        #expect((verdict == .allowed(.staleIfUnreachable)) == isAllowed)
        let windows = StalePolicy.windows(stored, rules: CachingRules())
        #expect((windows.ifUnreachableMilliseconds > 0) == isAllowed)
    }

    // MARK: HEAD and growing heads

    @Test func `a HEAD gives its lifetime and nothing else`() {
        let stored = FieldSection([("ETag", "\"a\""), ("Cache-Control", "max-age=1"), ("Link", "</a>")])
        let head = FieldSection([
            ("Cache-Control", "max-age=9"), ("Expires", "x"), ("Link", "<//evil.test>"),
            ("Set-Cookie", "a=b"),
            ("X-New", "y"), ("ETag", "\"a\""),
        ])
        let fresh = Validation.freshen(stored: stored, fromHead: head)
        #expect(fresh.first(.cacheControl)?.elementsEqual("max-age=9".utf8) == true)
        #expect(fresh.contains(.expires))
        #expect(!fresh.contains(.setCookie))
        #expect(fresh.count == 4)
    }

    @Test func `a merged section has no more fields and octets than one answer may bring`() {
        let most = FieldSection((0..<ResponseHeadParser.maxFields).map { ("X-\($0)", "y") })
        #expect(Validation.isWithinLimits(most))
        var more = most
        more.append(name: Array("X-More".utf8), value: Array("y".utf8))
        #expect(!Validation.isWithinLimits(more))
        #expect(!Validation.isWithinLimits(FieldSection([("X", String(repeating: "y", count: 70_000))])))
    }

    // MARK: Conditions and ranges

    @Test(
        arguments: [
            (["If-Match: \"a\""], true), (["If-Match: \"b\", \"a\""], true), (["If-Match: *"], true),
            (["If-Match: \"b\""], false), (["If-Match: W/\"a\""], false), (["If-Match: a"], false),
            (["If-Unmodified-Since: {-100000}"], true), (["If-Unmodified-Since: {0}"], true),
            (["If-Unmodified-Since: {-100001}"], false), (["If-Unmodified-Since: soon"], false),
            (["If-Match: \"b\"", "If-Unmodified-Since: {0}"], false),
            (["If-Match: \"a\"", "If-Unmodified-Since: {-200000}"], true),
        ])
    func `a stored response satisfies a condition on the origin's state, or does not`(
        _ lines: [String], _ holds: Bool
    ) {
        let stored = Fixture.head(200, ["ETag: \"a\"", Self.lastModified]).fields
        let request = Fixture.head(200, lines).fields
        #expect(Preconditions.isSatisfied(request: request, stored: stored) == holds)
    }

    @Test(
        arguments: [
            ("bytes=0-0", false), ("bytes=0-0,2097152-2097152", false),
            ("bytes=0-0,2097152-2097152,4194304-4194304,6291456-6291456", false),
            ("bytes=0-0,2097152-2097152,4194304-4194304,6291456-6291456,8388608-8388608", true),
            ("bytes=0-1048575,2097152-3145727,4194304-5242879,6291456-7340031,8388608-9437183", false),
            ("bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6", false), ("bytes=-1,-2,-3,-4,-5,-6,-7", false),
            ("bytes=0-9223372036854775807,1-9223372036854775807", false),
        ])
    func `a few bytes here and there are not worth their blocks`(_ range: String, _ isWasteful: Bool) {
        #expect(RangeAsk.isWasteful(FieldSection([("Range", range)])) == isWasteful)
    }

    @Test func `what is stored costs nothing`() {
        let range = "bytes=" + (0..<8).map { "\($0 << 21)-\($0 << 21)" }.joined(separator: ",")
        let request = FieldSection([("Range", range)])
        #expect(RangeAsk.isWasteful(request))
        #expect(!RangeAsk.isWasteful(request) { $0.lowerBound < 4 << 21 })
    }
}
