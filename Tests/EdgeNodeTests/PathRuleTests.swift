import EdgeHTTP
import EdgeNode
import EdgePolicy
import EdgePrimitives
import Testing

/// Rules of paths that can be read as several.
@Suite struct `Rules and paths` {
    private static func site(_ rules: [(String?, (inout RuleConfiguration) -> Void)]) throws -> Site {
        var configuration = NodeConfiguration()
        var site = SiteConfiguration(hosts: ["*"], origin: "main")
        site.rules = rules.enumerated().map { number, entry in
            var rule = RuleConfiguration()
            rule.match.path = entry.0
            rule.line = number + 1
            entry.1(&rule)
            return rule
        }
        configuration.sites = [site]
        return try #require(SiteTable(configuration).firstSite)
    }

    private static func resolve(_ site: Site, _ path: String) -> ResolvedRules {
        site.resolve(path: Array(path.utf8)[...])
    }

    /// Paths that may mean `/account`, all of them under `/assets/` as they stand.
    static let escapes = [
        "/assets/..%2faccount", "/assets/%2e%2e/account", "/assets/..%5caccount", "/assets/../account",
        "/assets/..;/account", "/assets/..%252faccount", "/assets/x/../../account", "/assets/%2e./account",
        "/assets/.%2e%2faccount",
    ]

    /// Paths that may mean something under `/api/`, none of them so as they stand.
    static let hidden = [
        "/%61pi/x", "/%2561pi/x", "//api/x", "/x/../api/x", "/x/..%2fapi/x", "/x\\..\\..\\api\\x",
        "/.%2fapi/x",
        "/api%2fx", "/api;v=1/x", "/./api/x",
    ]

    /// Paths that mean something under `/assets/`, however they are read.
    static let harmless = [
        "/assets/a.css", "/assets/a%20b.css", "/assets//a.css", "/assets/./a.css", "/assets/x/../a.css",
        "/assets/a;v=1.css", "/assets/a%3fb", "/assets/@scope%2fname", "/assets/a\\b", "/assets/.well-known",
        "/assets/%2561", "/assets/%e4%bd%a0",
    ]

    @Test(arguments: escapes + ["/%61ssets/x", "/assets%2fx", "/assets/x/..%2f..%2f.."])
    func `a permission of a path that may mean another does not count`(path: String) throws {
        let site = try Self.site([
            (
                "/assets/*",
                {
                    $0.lifetimes = .init(defaultMilliseconds: 5_000)
                    $0.overridesOrigin = true
                    $0.query = .ignore
                    $0.cookies = .strip
                    $0.maxLifetimeMilliseconds = 9_000
                }
            )
        ])
        let rules = Self.resolve(site, path)
        #expect(rules.caching.lifetimes.milliseconds(for: 200) == nil)
        #expect(!rules.caching.overridesOrigin)
        #expect(rules.caching.cookies == .keep)
        #expect(rules.query == .all)
        #expect(rules.caching.maxLifetimeMilliseconds == 5_000)
        #expect(!rules.caching.readings.isEmpty)
        #expect(rules === Self.resolve(site, path))
    }

    @Test(arguments: harmless)
    func `a permission counts where every reading has it`(path: String) throws {
        let site = try Self.site([
            ("/assets/*", { $0.lifetimes = .init(defaultMilliseconds: 5_000) }),
            ("*", { $0.cookies = .strip }),
        ])
        let rules = Self.resolve(site, path)
        #expect(rules.caching.lifetimes.milliseconds(for: 200) == 5_000)
        #expect(rules.caching.lifetimeRuleLine == 1)
        #expect(rules.caching.cookies == .strip)
        #expect(rules.caching.readings.isEmpty)
        #expect(rules === Self.resolve(site, "/assets/plain"))
    }

    @Test(arguments: [
        ("/caf%C3%A9/*", "/caf%C3%A9/x", true), ("/caf%C3%A9/*", "/caf%c3%a9/x", false),
        ("/caf%C3%A9/*", "/café/x", true), ("/caf%C3%A9/*", "/caf%25C3%25A9/x", false),
        ("/café/*", "/caf%C3%A9/x", false), ("/a%2ab/*", "/a%2ab/x", false), ("/a%2ab/*", "/axb/x", false),
        ("/a%252fb*", "/a%252fb", true), ("/a%20b/*", "/a%20b/..%2fc", false),
    ])
    func `a pattern with escapes is a pattern of what they stand for`(
        pattern: String, path: String, isPermitted: Bool
    ) throws {
        let site = try Self.site([(pattern, { $0.lifetimes = .init(defaultMilliseconds: 5_000) })])
        let lifetimes = Self.resolve(site, path).caching.lifetimes
        #expect((lifetimes.milliseconds(for: 200) != nil) == isPermitted)
    }

    @Test func `a scoped package keeps its lifetime`() throws {
        let site = try Self.site([("/@*", { $0.lifetimes = .init(defaultMilliseconds: 5_000) })])
        #expect(Self.resolve(site, "/@scope%2fname").caching.lifetimes.defaultMilliseconds == 5_000)
    }

    @Test(arguments: hidden)
    func `what a rule forbids is forbidden where any reading matches`(path: String) throws {
        let site = try Self.site([
            (
                "/api/*",
                {
                    $0.passes = true
                    $0.cookies = .pass
                    $0.maxLifetimeMilliseconds = 1_000
                }
            ),
            (
                nil,
                {
                    $0.maxLifetimeMilliseconds = 9_000
                    $0.lifetimes = .init(defaultMilliseconds: 5_000)
                }
            ),
        ])
        let rules = Self.resolve(site, path)
        #expect(rules.caching.passes)
        #expect(rules.caching.cookies == .pass)
        #expect(rules.caching.maxLifetimeMilliseconds == 1_000)
        #expect(rules.caching.lifetimes.milliseconds(for: 200) == 5_000)
    }

    @Test func `cache on in one reading does not lift pass in another`() throws {
        let site = try Self.site([
            ("/api/public/*", { $0.passes = false }), ("/api/*", { $0.passes = true }),
        ])
        #expect(!Self.resolve(site, "/api/public/x").caching.passes)
        #expect(Self.resolve(site, "/api/public/..%2fsecret").caching.passes)
        #expect(!Self.resolve(site, "/api/public/a%2fb").caching.passes)
    }

    @Test func `of several lifetimes the least counts, by status`() throws {
        let site = try Self.site([
            ("/a/*", { $0.lifetimes = .init(byStatus: [200: 9_000, 404: 1_000, 301: 0]) }),
            ("/b*", { $0.lifetimes = .init(defaultMilliseconds: 2_000) }),
        ])
        let lifetimes = Self.resolve(site, "/a/..%2fb").caching.lifetimes
        #expect(lifetimes.milliseconds(for: 200) == 2_000)
        #expect(lifetimes.milliseconds(for: 404) == nil)
        #expect(lifetimes.milliseconds(for: 301) == 0)
        #expect(lifetimes.milliseconds(for: 203) == nil)
    }

    @Test func `a ttl that overrides with less than the origin says still caps it`() throws {
        let site = try Self.site([
            (
                "/private/*",
                {
                    $0.lifetimes = .init(defaultMilliseconds: 0)
                    $0.overridesOrigin = true
                }
            )
        ])
        let rules = Self.resolve(site, "/%70rivate/x").caching
        #expect(!rules.overridesOrigin)
        #expect(rules.maxLifetimeMilliseconds == 0)
    }

    private static func text(_ edits: PreparedEdits) -> [String] {
        edits.set.map { String(decoding: $0.name + [61] + $0.value, as: UTF8.self) }
            + edits.remove.map { "-" + String(decoding: $0, as: UTF8.self) }
    }

    @Test func `edits that restrain are made in any reading, those that permit in all`() throws {
        let site = try Self.site([
            (
                "/a/*",
                {
                    $0.request = .init()
                    $0.request?.set = ["X-Role": "editor", "X-Same": "1"]
                    $0.request?.remove = ["Cookie"]
                    $0.response = .init()
                    $0.response?.set = ["X-Frame-Options": "DENY", "Access-Control-Allow-Origin": "*"]
                    $0.response?.remove = ["Server", "Content-Security-Policy"]
                    $0.response?.clientCacheControl = "max-age=60"
                }
            ),
            (
                nil,
                {
                    $0.request = .init()
                    $0.request?.set = ["x-same": "1"]
                }
            ),
        ])
        let plain = Self.resolve(site, "/a/x")
        #expect(Self.text(plain.requestEdits) == ["X-Role=editor", "X-Same=1", "-Cookie"])
        let rules = Self.resolve(site, "/a/..%2fx")
        #expect(Set(Self.text(rules.requestEdits)) == ["-X-Role", "-Cookie", "X-Same=1"])
        #expect(Set(Self.text(rules.responseEdits)) == ["X-Frame-Options=DENY", "-Server"])
        #expect(rules.responseEdits.clientCacheControl == nil)
    }

    @Test func `no-store for clients is said in any reading`() throws {
        let site = try Self.site([
            (
                "/a/*",
                {
                    $0.response = .init()
                    $0.response?.clientCacheControl = "no-store"
                }
            ),
            (
                nil,
                {
                    $0.response = .init()
                    $0.response?.clientCacheControl = "max-age=60"
                }
            ),
        ])
        #expect(Self.resolve(site, "/x/..%2fa/y").responseEdits.clientCacheControl == Array("no-store".utf8))
    }

    @Test func `a path with more readings than are worked out is permitted nothing and forbidden all`() throws
    {
        let site = try Self.site([
            ("/a/*", { $0.lifetimes = .init(defaultMilliseconds: 1) }), ("/b/*", { $0.passes = true }),
            ("/*", { $0.cookies = .strip }),
        ])
        let path = "/a/" + String(repeating: "%252e%2e;a/%5c//..%3b/", count: 300)
        let rules = Self.resolve(site, path)
        #expect(rules.caching.lifetimes == .init())
        #expect(rules.caching.passes)
        #expect(rules.caching.cookies == .strip)
        #expect(rules === Self.resolve(site, path))
    }

    @Test func `what is not stored for want of a permission says so`() throws {
        let site = try Self.site([("/assets/*", { $0.lifetimes = .init(defaultMilliseconds: 5_000) })])
        let rules = Self.resolve(site, "/assets/..%2faccount").caching
        func verdict(_ fields: [(String, String)], _ rules: CachingRules) -> Storability.Verdict {
            Storability.decide(
                request: RequestTraits(method: .get),
                response: ResponseHead(status: 200, fields: FieldSection(fields)), rules: rules,
                requestTime: .init(seconds: 9), responseTime: .init(seconds: 9))
        }
        #expect(verdict([], rules) == .notStorable(.pathAmbiguous))
        #expect(verdict([("Cache-Control", "no-store")], rules) == .notStorable(.noStore))
        #expect(verdict([], CachingRules()) == .notStorable(.noFreshness))
        guard case .storable(let stored) = verdict([("ETag", "\"a\"")], rules) else {
            Issue.record("not stored")
            return
        }
        let traits = RequestTraits(method: .get)
        func reuse(_ rules: CachingRules) -> Reuse.Decision {
            Reuse.decide(stored, request: traits, rules: rules, now: .init(seconds: 10), softPurgedAt: nil)
        }
        #expect(reuse(rules) == .validate(.pathAmbiguous))
        #expect(reuse(CachingRules()) == .validate(.expired))
        guard case .storable = verdict([("Cache-Control", "max-age=5")], rules) else {
            Issue.record("the origin's own word counts")
            return
        }
    }
}
