import EdgeHTTP
import EdgePolicy
import Testing

private let day1 = "Wed, 01 Jan 2020 00:00:00 GMT"
private let day2 = "Thu, 02 Jan 2020 00:00:00 GMT"

@Suite struct `Validation with the origin` {
    private func values(_ fields: FieldSection, _ name: String) -> [String] {
        fields.all(named: Array(name.utf8)).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test(arguments: [
        ([("ETag", #""a""#)], ["If-None-Match: \"a\""]), ([("ETag", #"W/"a""#)], [#"If-None-Match: W/"a""#]),
        (
            [("ETag", #""a""#), ("Last-Modified", day1)],
            [#"If-None-Match: "a""#, "If-Modified-Since: " + day1]
        ),
        ([("Last-Modified", day1)], ["If-Modified-Since: " + day1]),
        ([("ETag", "abc")], ["If-None-Match: abc"]),
        ([], []), ([("ETag", "*")], []), ([("ETag", "a,b")], []), ([("ETag", #""a", "b""#)], []),
        ([("ETag", "")], []),
        ([("ETag", #""a""#), ("ETag", #""b""#)], []), ([("Last-Modified", "yesterday")], []),
        ([("Last-Modified", day1), ("Last-Modified", day2)], []), ([("ETag", #""a"#)], []),
    ])
    func `a revalidation carries the stored validators octet for octet`(
        stored: [(String, String)], expected: [String]
    ) {
        let conditions = Validation.conditionalFields(for: FieldSection(stored))
        #expect(conditions.map { "\($0.0.wireName): " + String(decoding: $0.1, as: UTF8.self) } == expected)
    }

    @Test(arguments: [
        ([("ETag", #""a""#)], [("ETag", #""a""#)], true), ([("ETag", #""a""#)], [("ETag", #""b""#)], false),
        ([("ETag", #"W/"a""#)], [("ETag", #"W/"a""#)], true),
        ([("ETag", #"W/"a""#)], [("ETag", #""a""#)], true),
        ([("ETag", #""a""#)], [("ETag", #"W/"a""#)], true),
        ([("ETag", #"W/"a""#)], [("ETag", #""b""#)], false),
        ([("ETag", "abc")], [("ETag", "abc")], true), ([("ETag", "abc")], [("ETag", #""abc""#)], false),
        ([("Last-Modified", day1)], [("Last-Modified", day1)], true),
        ([("Last-Modified", day1)], [("Last-Modified", day2)], false),
        ([("Last-Modified", day1)], [("ETag", #""a""#), ("Last-Modified", day1)], false),
        ([("Last-Modified", day1)], [("ETag", #"W/"a""#), ("Last-Modified", day1)], true),
        ([("ETag", #""a""#), ("Last-Modified", day1)], [("Last-Modified", day1)], true),
        ([("ETag", #""a""#), ("Last-Modified", day1)], [("Last-Modified", day2)], false),
        ([("ETag", #""a""#), ("Last-Modified", day1)], [("ETag", #""a""#), ("Last-Modified", day2)], true),
        ([("ETag", #""a""#)], [("Last-Modified", day2)], true), ([("ETag", #""a""#)], [], true),
        ([("ETag", #""a""#)], [("ETag", #""a""#), ("ETag", #""b""#)], false),
    ])
    func `a 304 whose validators differ freshens nothing`(
        stored: [(String, String)], received: [(String, String)], expected: Bool
    ) {
        let selects = Validation.notModifiedSelects(
            stored: FieldSection(stored), notModified: FieldSection(received))
        #expect(selects == expected)
    }

    @Test(arguments: [
        "Test-Header", "X-Test-Header", "Content-Foo", "Cache-Control", "Content-Security-Policy",
        "Content-Type",
        "Expires", "Set-Cookie", "X-Frame-Options", "Content-Location", "Date", "Vary",
    ])
    func `a field of the 304 replaces all lines of its name`(name: String) {
        let stored = FieldSection([(name, "A1"), ("Kept", "1"), (name.lowercased(), "A2")])
        let fresh = Validation.freshen(stored: stored, from: FieldSection([(name, "B1"), (name, "B2")]))
        #expect(values(fresh, name) == ["B1", "B2"])
        #expect(values(fresh, "kept") == ["1"])
    }

    @Test(arguments: [
        "Content-Length", "Content-Encoding", "Content-Range", "Age", "Surrogate-Key", "Cache-Tag", "Alt-Svc",
        "Transfer-Encoding", "Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "TE", "Upgrade",
        "Connection",
        "Listed", "Trailer",
    ])
    func `what belongs to the stored content or to a connection is not taken`(name: String) {
        let stored = FieldSection([("A", "1")])
        let received = FieldSection([("Connection", "close, listed"), (name, "x")])
        #expect(Validation.freshen(stored: stored, from: received).count == 1)
        let coded = FieldSection([("Content-Encoding", "gzip")])
        #expect(values(Validation.freshen(stored: coded, from: received), "Content-Encoding") == ["gzip"])
    }

    @Test func `a weak stored entity-tag stays weak`() {
        let fresh = Validation.freshen(
            stored: FieldSection([("ETag", #"W/"a""#)]), from: FieldSection([("ETag", #""a""#)]))
        #expect(values(fresh, "ETag") == [#"W/"a""#])
    }

    @Test(arguments: [
        ([("ETag", #""a""#)], [("ETag", #""a""#)], 200, HeadUpdate.freshen),
        ([("ETag", #""a""#)], [("ETag", #""b""#)], 200, .invalidate),
        ([], [("ETag", #""b""#)], 200, .invalidate),
        ([("ETag", #""a""#)], [("ETag", #"W/"a""#)], 200, .invalidate), ([], [], 200, .none),
        ([("Last-Modified", day1)], [("Last-Modified", day1)], 200, .freshen),
        ([("Last-Modified", day1)], [("Last-Modified", day2)], 200, .invalidate),
        ([], [("Last-Modified", day2)], 200, .invalidate), ([], [("Content-Length", "36")], 200, .none),
        ([], [("Content-Length", "37")], 200, .invalidate), ([], [("Content-Length", "x")], 200, .invalidate),
        ([("ETag", #""a""#)], [("ETag", #""a""#), ("Content-Length", "36")], 200, .freshen),
        ([("ETag", #""a""#)], [("ETag", #""a""#), ("Content-Length", "10")], 200, .invalidate),
        ([("ETag", #""a""#)], [("ETag", #""b""#)], 404, .none),
        ([("ETag", #""a""#)], [("ETag", #""b""#)], 410, .none),
        ([], [("Content-Length", "99999999999999999999")], 200, .invalidate),
    ])
    func `HEAD freshens what it proves and invalidates what it disproves`(
        stored: [(String, String)], head: [(String, String)], status: Int, expected: HeadUpdate
    ) {
        let update = Validation.headUpdates(
            stored: FieldSection(stored), storedLength: 36, head: FieldSection(head), status: status)
        #expect(update == expected)
    }
}
