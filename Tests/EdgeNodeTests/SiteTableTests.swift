import EdgeNode
import EdgeOrigin
import EdgePolicy
import EdgePrimitives
import Testing

struct SiteTableTests {
    private static func table(_ hosts: [[String]]) -> SiteTable {
        var configuration = NodeConfiguration()
        configuration.sites = hosts.enumerated().map { SiteConfiguration(hosts: $1, origin: "origin-\($0)") }
        return SiteTable(configuration)
    }

    private static func site(_ rules: [RuleConfiguration]) throws -> Site {
        var configuration = NodeConfiguration()
        var site = SiteConfiguration(hosts: ["*"], origin: "main")
        site.rules = rules
        site.honoursClient = true
        site.stale.ifErrorMilliseconds = 7
        configuration.cache.maxResponseBytes = 1234
        configuration.sites = [site]
        return try #require(SiteTable(configuration).firstSite)
    }

    private static func rule(_ path: String?, _ change: (inout RuleConfiguration) -> Void)
        -> RuleConfiguration
    {
        var rule = RuleConfiguration()
        rule.match.path = path
        change(&rule)
        return rule
    }

    private static let manyHosts = [
        ["www.example.com", "*.example.net"], ["deep.a.example.net", "*.a.example.net"],
        ["[::1]", "127.0.0.1"],
        ["Upper.Example.ORG"], ["*"],
    ]

    @Test(arguments: [
        ("www.example.com", 0), ("www.example.com:8080", 0), ("WWW.Example.COM", 0), ("www.example.com.", 0),
        ("www.example.com.:80", 0), ("www.example.com:", 0), ("x.example.net", 0), ("x.y.example.net:1", 0),
        ("deep.a.example.net", 1), ("other.a.example.net", 1), ("x.deep.a.example.net", 1),
        ("a.example.net", 0),
        ("[::1]", 2), ("[::1]:8080", 2), ("127.0.0.1:8080", 2), ("upper.example.org", 3),
        ("example.net", 4), (".example.net", 4), ("example.com", 4), ("wwww.example.com", 4), ("", 4),
    ])
    func `an exact host beats a wildcard, a long wildcard a short one, and the star is last`(
        _ host: String, _ expected: Int
    ) {
        let table = Self.table(Self.manyHosts)
        #expect(table.site(forHost: Array(host.utf8)[...])?.originName == "origin-\(expected)")
    }

    @Test func `a host in the middle of a buffer is found`() {
        let bytes = Array("Host: www.example.com:80\r\n".utf8)
        #expect(Self.table(Self.manyHosts).site(forHost: bytes[6..<24])?.originName == "origin-0")
    }

    @Test func `a host that no site names has none`() {
        let table = Self.table([["a.example"], ["*.b.example"]])
        #expect(table.site(forHost: Array("c.example".utf8)[...]) == nil)
        #expect(table.site(forHost: Array("b.example".utf8)[...]) == nil)
        #expect(table.firstSite?.originName == "origin-0")
        #expect(SiteTable(NodeConfiguration()).site(forHost: Array("a.example".utf8)[...]) == nil)
    }

    @Test func `one origin serves every host`() {
        let table = SiteTable(.forSingleOrigin(url: "http://127.0.0.1:1"))
        #expect(table.site(forHost: Array("any.example:1".utf8)[...])?.originName == "main")
        #expect(table.site(forHost: [])?.hosts == ["*"])
    }

    @Test func `a thousand hosts are all found`() {
        let table = Self.table((0..<1000).map { ["host\($0).example", "*.wild\($0).example"] })
        for number in 0..<1000 {
            #expect(
                table.site(forHost: Array("host\(number).example".utf8)[...])?.originName
                    == "origin-\(number)")
            #expect(
                table.site(forHost: Array("x.wild\(number).example".utf8)[...])?.originName
                    == "origin-\(number)")
        }
    }

    @Test func `a site without rules is plain and has the site's own settings`() throws {
        let site = try Self.site([])
        let rules = site.resolve(path: Array("/x".utf8)[...])
        #expect(rules.isPlain)
        #expect(rules.caching.honoursClient)
        #expect(rules.caching.stale.ifErrorMilliseconds == 7)
        #expect(rules.caching.maxResponseBytes == 1234)
        #expect(rules.caching.lifetimeRuleLine == 0)
        #expect(rules === site.resolve(path: Array("/y".utf8)[...]))
    }

    @Test func `each field comes from the first matching rule that sets it`() throws {
        let site = try Self.site([
            Self.rule("/assets/*.css") {
                $0.query = .ignore
                $0.line = 10
            },
            Self.rule("/assets/*") {
                $0.query = .keep(["v"])
                $0.lifetimes = .init(defaultMilliseconds: 5_000)
                $0.overridesOrigin = true
                $0.line = 20
            },
            Self.rule(nil) {
                $0.lifetimes = .init(byStatus: [404: 1])
                $0.maxLifetimeMilliseconds = 9
                $0.cookies = .strip
                $0.passes = false
                $0.line = 30
            },
            Self.rule("/api/*") { $0.passes = true },
        ])
        let sheet = site.resolve(path: Array("/assets/a.css".utf8)[...])
        #expect(sheet.query == .ignore)
        #expect(sheet.caching.lifetimes.defaultMilliseconds == 5_000)
        #expect(sheet.caching.lifetimeRuleLine == 20)
        #expect(sheet.caching.overridesOrigin)
        #expect(sheet.caching.maxLifetimeMilliseconds == 9)
        #expect(sheet.caching.cookies == .strip)
        #expect(!sheet.isPlain)
        let image = site.resolve(path: Array("/assets/a.png".utf8)[...])
        #expect(image.query == .keep(["v"]))
        let other = site.resolve(path: Array("/other".utf8)[...])
        #expect(other.caching.lifetimes.byStatus == [404: 1])
        #expect(other.caching.lifetimeRuleLine == 30)
        #expect(!other.caching.overridesOrigin)
        #expect(other.isPlain)
        #expect(!site.resolve(path: Array("/api/x".utf8)[...]).caching.passes)
        #expect(sheet === site.resolve(path: Array("/assets/b.css".utf8)[...]))
    }

    @Test func `edits are decided for each field name by the first rule that names it`() throws {
        let site = try Self.site([
            Self.rule("/a*") {
                $0.response = .init()
                $0.response?.set = ["X-One": "first"]
                $0.response?.remove = ["Server"]
                $0.request = .init()
                $0.request?.remove = ["Cookie"]
            },
            Self.rule(nil) {
                $0.response = .init()
                $0.response?.set = ["x-one": "second", "Server": "late", "X-Two": "2"]
                $0.response?.clientCacheControl = "no-cache"
            },
        ])
        let edits = site.resolve(path: Array("/a".utf8)[...]).responseEdits
        #expect(edits.set.map { String(decoding: $0.name, as: UTF8.self) } == ["X-One", "X-Two"])
        #expect(edits.set.first?.value == Array("first".utf8))
        #expect(edits.remove == [Array("Server".utf8)])
        #expect(edits.clientCacheControl == Array("no-cache".utf8))
        #expect(site.resolve(path: Array("/a".utf8)[...]).requestEdits.remove == [Array("Cookie".utf8)])
        #expect(site.resolve(path: Array("/b".utf8)[...]).responseEdits.set.count == 3)
    }

    @Test func `rules beyond the first word of the set are told apart`() throws {
        let rules = (0..<Site.maxRules).map { number in
            Self.rule("/\(number)/*") { $0.maxLifetimeMilliseconds = Int64(number) }
        }
        let site = try Self.site(rules)
        for number in 0..<Site.maxRules {
            let path = Array("/\(number)/x".utf8)
            #expect(site.resolve(path: path[...]).caching.maxLifetimeMilliseconds == Int64(number))
        }
    }
}

struct GlobTests {
    @Test(arguments: [
        ("*", "", true), ("*", "/a", true), ("**", "/a", true), ("", "", true), ("", "a", false),
        ("/a", "/a", true), ("/a", "/ab", false), ("/a", "/", false), ("/a*", "/a", true),
        ("/a/*", "/a", false),
        ("*.css", "/x/y.css", true), ("*.css", ".css", true), ("*.css", "/x.css?", false),
        ("/a*b", "/ab", true), ("/ab*bc", "/abc", false), ("/ab*bc", "/abbc", true), ("/a?c", "/abc", true),
        ("/a?c", "/ac", false), ("?", "/", true), ("?", "", false), ("/*/x/*", "/a/b/x/c", true),
        ("/*/x/*", "/x/c", false), ("*a?c*", "zzabzabc", true), ("*a*b*c", "abcabc", true),
        ("*a*b*c", "cba", false),
        ("/[a]", "/[a]", true), ("/\\*", "/\\x", true), ("*aab", "aaaab", true), ("a*a", "a", false),
    ])
    func `a glob matches`(_ pattern: String, _ text: String, _ expected: Bool) {
        #expect(Glob(pattern).matches(Array(text.utf8)[...]) == expected)
    }

    @Test func `globs agree with a matcher by exhaustion`() {
        func matches(_ pattern: Substring.UTF8View, _ text: Substring.UTF8View) -> Bool {
            guard let symbol = pattern.first else { return text.isEmpty }
            let rest = pattern.dropFirst()
            if symbol == 42 {
                return matches(rest, text) || (!text.isEmpty && matches(pattern, text.dropFirst()))
            }
            guard let octet = text.first, symbol == 63 || symbol == octet else { return false }
            return matches(rest, text.dropFirst())
        }
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<20_000 {
            let pattern = String(
                (0..<Int.random(in: 0...7, using: &generator)).map { _ in
                    "ab*?".randomElement(using: &generator) ?? "a"
                })
            let text = String(
                (0..<Int.random(in: 0...8, using: &generator)).map { _ in
                    "ab".randomElement(using: &generator) ?? "a"
                })
            let expected = matches(pattern[...].utf8, text[...].utf8)
            #expect(Glob(pattern).matches(Array(text.utf8)[...]) == expected, "\(pattern) \(text)")
        }
    }

    @Test func `no text makes a glob slow`() {
        // Backtracking would need more steps here than there are atoms.
        let text = [UInt8](repeating: 97, count: 8192)
        #expect(!Glob(String(repeating: "*a", count: 200) + "*b").matches(text[...]))
        #expect(Glob(String(repeating: "*a", count: 200) + "*").matches(text[...]))
        #expect(!Glob("*" + String(repeating: "a", count: 100) + "b*").matches(text[...]))
        #expect(!Glob(String(repeating: "*?", count: 5000)).matches(text[..<4999]))
    }

    @Test(arguments: [
        ("*", "/a", true), ("*", "*", true), ("/a*", "/ab*", true), ("/ab*", "/a*", false),
        ("/a?", "/a?", true),
        ("/a?", "/a*", false), ("/a*", "/a?", true), ("/a", "/a", true), ("/a?", "/ab", true),
        ("/ab", "/a?", false),
        ("*.css", "/x/*.css", true), ("/x/*.css", "*.css", false), ("/*", "/a*b", true),
        ("*a*", "*ba*", true),
    ])
    func `a glob covers another`(_ wide: String, _ narrow: String, _ expected: Bool) {
        #expect(Glob(wide).covers(Glob(narrow)) == expected)
    }

    @Test(arguments: [
        (["*.example.net", "www.example.com", "a.test"], "http://o.test", "www.example.com"),
        (["*"], "http://o.test:3000", "o.test:3000"), (["*"], "http://O.test:80", "o.test"),
        (["*.example.net"], "https://o.test:443", "o.test"), (["*"], "https://[::1]:0444/", "[::1]:444"),
    ])
    func `requests without a Host are for the first name, or else the origin's own`(
        hosts: [String], url: String, expected: String
    ) {
        var configuration = NodeConfiguration()
        configuration.origins = ["main": OriginConfiguration(urls: [url, "http://second.test"])]
        configuration.sites = [SiteConfiguration(hosts: hosts, origin: "main")]
        let table = SiteTable(configuration)
        #expect(String(decoding: table.defaultAuthority, as: UTF8.self) == expected)
        configuration.sites.append(SiteConfiguration(hosts: ["o.test"], origin: "main"))
        #expect(SiteTable(configuration).defaultAuthority == table.defaultAuthority)
    }

    @Test(arguments: [
        ("https://o.test:80", "o.test", "o.test:80"), ("http://o.test:443", "o.test:443", "o.test"),
        ("http://o.test:3000", "o.test:3000", "o.test:3000"),
    ])
    func `the authority of requests without a Host is spelt as it stands in their key`(
        url: String, plain: String, secure: String
    ) {
        var configuration = NodeConfiguration()
        configuration.origins = ["main": OriginConfiguration(urls: [url])]
        configuration.sites = [SiteConfiguration(hosts: ["*"], origin: "main")]
        let table = SiteTable(configuration)
        for (isTLS, expected) in [(false, plain), (true, secure)] {
            let authority = table.authorityWithoutHost(isTLS: isTLS)
            #expect(String(decoding: authority, as: UTF8.self) == expected)
            var key: [UInt8] = []
            CacheKey.append(
                scheme: isTLS ? "https" : "http", authority: authority[...], path: Array("/".utf8)[...],
                query: nil,
                rule: .all, into: &key)
            #expect(key.dropLast().suffix(authority.count).elementsEqual(authority))
        }
    }
}
