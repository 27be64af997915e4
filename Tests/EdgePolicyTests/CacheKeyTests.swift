import EdgeHTTP
import EdgePolicy
import Testing

@Suite struct `Cache keys` {
    private func key(
        _ authority: String, _ path: String = "/", _ query: String? = nil, rule: QueryRule = .all,
        secure: Bool = false
    ) -> String {
        var bytes: [UInt8] = []
        CacheKey.append(
            scheme: secure ? "https" : "http", authority: Array(authority.utf8)[...],
            path: Array(path.utf8)[...],
            query: query.map { Array($0.utf8)[...] }, rule: rule, into: &bytes)
        var same: [UInt8] = []
        CacheKey.append(
            scheme: Array((secure ? "HTTPS" : "HTTP").utf8), authority: Array(authority.utf8)[...],
            path: Array(path.utf8)[...], query: query.map { Array($0.utf8)[...] }, rule: rule, into: &same)
        #expect(bytes == same, "both forms of the scheme give one key")
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test(arguments: [
        ("Example.COM", false, "example.com"), ("example.com:80", false, "example.com"),
        ("example.com:", false, "example.com"), ("example.com:0080", false, "example.com"),
        ("example.com:443", false, "example.com:443"), ("example.com:443", true, "example.com"),
        ("example.com:80", true, "example.com:80"), ("example.com:8080", false, "example.com:8080"),
        ("[::1]:80", false, "[::1]"), ("[::1]", false, "[::1]"), ("[::80]", false, "[::80]"),
        ("[FE80::A]:443", true, "[fe80::a]"), ("80", false, "80"), ("a:800", false, "a:800"),
        ("a:180", false, "a:180"), ("a:99999999999999999999", false, "a:99999999999999999999"),
        ("a:00000000000000000080", false, "a"), ("", false, ""),
    ])
    func `the authority is canonical`(authority: String, secure: Bool, expected: String) {
        #expect(key(authority, secure: secure) == (secure ? "https://" : "http://") + expected + "/")
    }

    @Test func `path and query keep their octets`() {
        #expect(key("a", "/A/%2f/..//;x", "Q=%41&b") == "http://a/A/%2f/..//;x?Q=%41&b")
        #expect(key("a", "/", nil) != key("a", "/", ""))
        #expect(key("a", "/", "") == "http://a/?")
        #expect(key("a", "/", "x", rule: .ignore) == "http://a/")
        #expect(key("a", "/x", nil) != key("A", "/X", nil))
    }

    @Test(arguments: [
        (QueryRule.keep(["id"]), "utm=1&id=2&x=3", "?id=2"), (.keep(["id"]), "x=1", ""),
        (.keep(["id"]), "", ""),
        (.keep(["id"]), "id=2&id=1", "?id=2&id=1"), (.keep(["i*"]), "id=2&ix&x=1", "?id=2&ix"),
        (.keep(["id"]), "i%64=2", "?i%64=2"), (.keep(["id"]), "id[]=2&id%5B0%5D=3", "?id[]=2&id%5B0%5D=3"),
        (.keep(["id"]), "x=1;id=2", "?x=1;id=2"), (.keep(["id"]), "ID=1", ""), (.keep([]), "a=1", ""),
        (.drop(["utm_*"], sort: false), "utm_a=1&b=2&utm_b&a=1", "?b=2&a=1"),
        (.drop(["utm_*"], sort: true), "b=2&utm_x=9&a=2&a=1", "?a=2&a=1&b=2"),
        (.drop([], sort: true), "b=1&%61=2&a=1", "?%61=2&a=1&b=1"), (.drop(["a"], sort: false), "a=1", ""),
        (.drop(["a"], sort: false), "a=1;b=2", "?a=1;b=2"), (.drop(["a"], sort: false), "a&&ab&%61", "?ab"),
        (.drop(["*"], sort: false), "a=1&b", ""), (.drop(["a"], sort: false), "%6", "?%6"),
    ])
    func `a query rule narrows the query`(rule: QueryRule, query: String, expected: String) {
        #expect(key("h", "/p", query, rule: rule) == "http://h/p" + expected)
    }

    @Test func `sorting by name joins what differs in order alone`() {
        let rule = QueryRule.drop([], sort: true)
        #expect(key("h", "/", "b=1&a=2", rule: rule) == key("h", "/", "a=2&b=1", rule: rule))
        #expect(key("h", "/", "a=1&a=2", rule: rule) != key("h", "/", "a=2&a=1", rule: rule))
    }

    @Test(arguments: [
        ("site.test", "site.test"), ("SITE.test", "site.test"), ("site.test:80", "site.test"),
        ("site.test:", "site.test"), ("site.test:0080", "site.test"), ("site.test.", "site.test"),
        ("site.test.:080", "site.test"), ("site.test..:8080", "site.test:8080"),
        ("site.test:08080", "site.test:8080"), ("site.test:443", "site.test:443"), ("[::A]:80", "[::a]"),
        ("[::1]", "[::1]"), ("127.0.0.1:0", "127.0.0.1:0"), ("127.0.0.1.", "127.0.0.1"), (".", "."),
        ("...", "."), ("site.test:00", "site.test:0"), ("8080", "8080"),
        ("site.test:99999999999999999999", "site.test:99999999999999999999"),
    ])
    func `an authority has one spelling`(written: String, expected: String) {
        let once = CacheKey.authority(Array(written.utf8)[...], scheme: "http")
        #expect(String(decoding: once, as: UTF8.self) == expected)
        #expect(CacheKey.authority(once[...], scheme: "http") == once)
        let secure = CacheKey.authority(Array("Site.test:0443".utf8)[...], scheme: "https")
        #expect(secure == Array("site.test".utf8))
    }
}
