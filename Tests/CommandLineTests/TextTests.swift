import ArgumentParser
import Foundation
import Testing

@testable import rockpool

/// What the client subcommands print.
struct TextTests {
    static let variant = """
        {"status":200,"vary":{"accept-encoding":"gzip"},"tiers":["memory","disk"],"bodyBytes":1024,"storedBytes":1024,
         "contentType":"text/css","etag":"\\"a\\"","tags":["x"],"storedAt":"2026-11-21T10:11:06.123Z","ageSeconds":60,
         "lifetimeSeconds":3600,"lifetimeSource":"max-age","fresh":true}
        """

    static func explanation(stored: String, note: String = "") throws -> Explanation {
        let text = """
            {"url":"http://www.example.com/a.css","method":"GET","key":"http://www.example.com/a.css",
             "site":"www.example.com","rules":[{"line":12,"path":"/assets/*","sets":["ttl","query"]}],
             "originDown":false,
             "outcome":{"result":"hit","status":200,"reason":"fresh","explanation":"It is fresh.",
                        "cacheStatus":"rockpool; hit; ttl=3540; detail=fresh","contactsOrigin":false},
             "ifOriginDown":{"result":"hit","status":200,"reason":"fresh","explanation":"The same.",
                             "cacheStatus":"rockpool; hit; ttl=3540; detail=fresh","contactsOrigin":false},
             "stored":\(stored),"variants":\(stored == "null" ? "[]" : "[\(stored)]"),"later":{"more":1},
             "lifetime":{"seconds":3600,"source":"max-age","detail":"Cache-Control: max-age=3600 of the response"},
             "notes":[\(note)]}
            """
        return try JSONDecoder().decode(Explanation.self, from: Data(text.utf8))
    }

    @Test func `an explanation tells what, why, from where and for how long`() throws {
        let text = ExplanationText.render(try Self.explanation(stored: Self.variant), width: 100)
        for part in [
            "hit, status 200; the origin is not asked", "It is fresh.", "Were the origin down",
            "line 12  /assets/*",
            "sets ttl, query", "in memory and on disk, 1.0 KiB, text/css", "1h, from max-age",
            "1m; fresh for another 59m", "accept-encoding: gzip", "ETag \"a\"",
        ] {
            #expect(text.contains(part), "\(part) in\n\(text)")
        }
        let nothing = ExplanationText.render(try Self.explanation(stored: "null"), width: 100)
        #expect(nothing.contains("nothing under this key"))
    }

    @Test func `an explanation is wrapped, and sends no control characters`() throws {
        let note = "\"\(String(repeating: "word ", count: 60))\\u001b[2J\""
        let text = ExplanationText.render(try Self.explanation(stored: Self.variant, note: note), width: 80)
        for line in text.split(separator: "\n") { #expect(line.count <= 80) }
        #expect(!text.unicodeScalars.contains("\u{1b}"))
    }

    @Test func `what could move the cursor or hide text is escaped`() {
        #expect(Printable.text("a\u{1b}[2Jb\u{9b}\u{202e}\n") == "a\\x1b[2Jb\\u{9b}\\u{202e}\\x0a")
        #expect(Printable.text("caf\u{e9}") == "caf\u{e9}")
        #expect(Printable.columns("caf\u{e9}") == "caf\\u{e9}")
        #expect(
            Printable.text("a\u{200b}\u{3164}\u{2800}\u{e0041}b") == "a\\u{200b}\\u{3164}\\u{2800}\\u{e0041}b"
        )
        let long = Printable.text(String(repeating: "x", count: 100_000))
        #expect(long.count < Printable.longest + 30 && long.hasSuffix("...(+83616)"))
        #expect(Printable.lines("a\nb\u{1b}") == "a\nb\\x1b")
        #expect(Printable.json("{\"a\":\"\u{9b}\"}\n") == "{\"a\":\"\\u009b\"}\n")
    }

    @Test func `a problem document becomes one line`() {
        let body = Data(
            #"{"type":"about:blank","title":"Bad Request","status":400,"detail":"`url` has no host","field":"url"}"#
                .utf8)
        #expect(
            ProblemDocument.text(status: 400, body: body)
                == "400 Bad Request: `url` has no host (field `url`)")
        #expect(ProblemDocument.text(status: 500, body: Data("oh\n".utf8)) == "status 500: oh")
    }

    @Test func `numbers are written for people`() {
        #expect(Amount.count(1_234_567) == "1,234,567")
        #expect(Amount.size(1_536) == "1.5 KiB")
        #expect(Amount.duration(90_061) == "1d 1h")
        #expect(Amount.duration(3_600) == "1h")
        #expect(Amount.latency(microseconds: 90) == "0.09 ms")
        #expect(Amount.latency(microseconds: 2_500_000) == "2.5 s")
        #expect(Amount.percent(0.99999) == "99.9 %")
    }

    @Test(arguments: [
        [], ["--tag", "a", "--all"], ["--any-query", "--tag", "a"], ["--url", "http://a/", "--host", "a"],
    ])
    func `a purge without exactly one scope is wrong usage`(_ arguments: [String]) {
        do {
            _ = try PurgeCommand.parse(arguments)
            Issue.record("accepted")
        } catch {
            #expect(PurgeCommand.exitCode(for: error) == .validationFailure)
        }
    }
}
