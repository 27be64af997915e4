import Foundation
import Testing

@testable import rockpool

/// What `rockpool warm` reads, makes of answers, and says.
struct WarmTests {
    @Test func `comments and blank lines are skipped, what is no URL is told by its line`() {
        let list = WarmList(
            "\u{feff}# list\n\nhttp://a.example/x\r\n  http://b.example:81/y?z#part \nfoo\n\t\nftp://c.example/\n"
        )
        #expect(list.urls.map(\.text) == ["http://a.example/x", "http://b.example:81/y?z#part"])
        #expect(list.urls.map(\.target) == ["/x", "/y?z"])
        #expect(list.wrong.map(\.line) == [5, 7])
    }

    @Test(arguments: [
        ("http://A.example", "a.example", "/"), ("http://a.example?q", "a.example", "/?q"),
        ("https://a.example:443/p", "a.example", "/p"), ("http://a.example:443/p", "a.example:443", "/p"),
        ("http://[::1]:80/é", "[::1]", "/%C3%A9"), ("http://a.example/../b%20c", "a.example", "/../b%20c"),
    ])
    func `a URL becomes a host and a target`(_ example: (String, String, String)) throws {
        let url = try WarmURL(example.0)
        #expect(url.authority == example.1)
        #expect(url.target == example.2)
    }

    @Test(arguments: [
        "a.example/x", "http://", "http:///x", "http://u:p@a.example/", "http://a b/",
        "http://a.example/\u{7}",
        "http://a.example:99999/", "file:///etc/passwd", "http://a.example/x y",
    ])
    func `what is no absolute http URL is refused`(_ text: String) {
        #expect(throws: WarmURL.Problem.self) { try WarmURL(text) }
    }

    @Test(arguments: [
        (
            200, "rockpool; fwd=uri-miss; fwd-status=200; stored; ttl=60; detail=not-stored", "stored",
            "not-stored"
        ),
        (200, "rockpool; hit; ttl=9; detail=fresh", "alreadyThere", "fresh"),
        (
            200, "rockpool; fwd=stale; fwd-status=304; stored; detail=revalidated", "alreadyThere",
            "revalidated"
        ),
        (200, "rockpool; fwd=uri-miss; fwd-status=200; detail=no-store", "notStored", "no-store"),
        (404, "rockpool; fwd=uri-miss; fwd-status=404; stored; detail=not-stored", "failed", "status 404"),
        (
            200, "\"a, b; hit\"; hit, rockpool; hit; detail=x, rockpool; fwd=miss; stored; detail=y",
            "stored", "y"
        ),
    ])
    func `the Cache-Status of an answer says what came of it`(_ example: (Int, String, String, String)) {
        let outcome = WarmOutcome(status: example.0, cacheStatus: [example.1], proxyStatus: [])
        #expect(outcome.kind.rawValue == example.2)
        #expect(outcome.reason == example.3)
    }

    @Test func `the node's own answers tell why`() {
        let outcome = WarmOutcome(
            status: 502, cacheStatus: [],
            proxyStatus: ["rockpool; error=connection_refused; details=\"origin-unreachable\""])
        #expect(outcome == WarmOutcome(.failed, "origin-unreachable (connection_refused) status 502"))
        #expect(WarmOutcome(status: 200, cacheStatus: [], proxyStatus: []).kind == .failed)
    }

    @Test func `the report groups by reason and keeps a few examples`() throws {
        let list = WarmList((0..<6).map { "http://a.example/\($0)" }.joined(separator: "\n") + "\nfoo\n")
        var report = WarmReport(node: "http://127.0.0.1:8080", list: list)
        for url in list.urls.prefix(5) {
            report.add(WarmOutcome(.notStored, "no-store"), url: url.text, bytes: 2)
        }
        #expect(report.hasFailures)
        #expect(report.text.contains("5 of 6 URLs"))
        #expect(report.text.contains("not tried"))
        #expect(report.text.contains("line 7"))
        struct Document: Decodable {
            struct Outcome: Decodable { let count: Int }
            let notStored: Outcome
            let notTried: Int
            let bodyBytes: Int
        }
        let document = try JSONDecoder().decode(Document.self, from: Data(report.json().utf8))
        #expect(document.notStored.count == 5)
        #expect(document.notTried == 1)
        #expect(document.bodyBytes == 10)
    }

    @Test(arguments: [10, 40, 80, 200])
    func `the progress bar is narrower than the terminal`(_ columns: Int) {
        let list = WarmList((0..<30).map { "http://a.example/\($0)" }.joined(separator: "\n"))
        var report = WarmReport(node: "http://127.0.0.1:8080", list: list)
        for url in list.urls {
            report.add(WarmOutcome(.failed, "status 404"), url: url.text, bytes: 0)
            #expect(WarmProgress.bar(report, seconds: 2, columns: columns).count < columns)
        }
    }
}
