import EdgeHTTP
import Testing

@Suite struct `Entity-tags` {
    private func octets(_ text: String) -> ArraySlice<UInt8> { Array(text.utf8)[...] }

    @Test(arguments: [
        (#""abc""#, false, "abc"), (#"W/"abc""#, true, "abc"), (#"  "abc" "#, false, "abc"),
        (#""""#, false, ""),
        (#""a,b""#, false, "a,b"), (#""a\"# + #"""#, false, #"a\"#), (#""über""#, false, "über"),
        (#"W/"""#, true, ""),
    ])
    func `a valid one is read`(text: String, isWeak: Bool, opaque: String) throws {
        let tag = try #require(EntityTag(octets(text)))
        #expect(tag.isWeak == isWeak)
        #expect(tag.opaque.elementsEqual(opaque.utf8))
    }

    @Test(arguments: [
        "", "abc", #"""#, #""abc"#, #"abc""#, #"w/"abc""#, #"W\"abc""#, #"W"abc""#, #"W/abc"#, #"W/ "abc""#,
        #""a b""#, #""a"b""#, #""a" "b""#, #""a","b""#, "*", "\"a\u{7F}\"", "W/", "W",
    ])
    func `a malformed one is none`(text: String) {
        #expect(EntityTag(octets(text)) == nil)
    }

    // RFC 9110 8.8.3.2, the table there.
    @Test(arguments: [
        (#"W/"1""#, #"W/"1""#, false, true), (#"W/"1""#, #"W/"2""#, false, false),
        (#"W/"1""#, #""1""#, false, true),
        (#""1""#, #""1""#, true, true), (#""1""#, #""2""#, false, false), (#""a""#, #""A""#, false, false),
    ])
    func `comparison is strong or weak`(left: String, right: String, strong: Bool, weak: Bool) throws {
        let first = try #require(EntityTag(octets(left)))
        let second = try #require(EntityTag(octets(right)))
        #expect(first.stronglyMatches(second) == strong)
        #expect(second.stronglyMatches(first) == strong)
        #expect(first.weaklyMatches(second) == weak)
    }

    @Test(arguments: [
        (#""a", "b""#, ["a", "b"]), (#""a","b",W/"c""#, ["a", "b", "c"]), (#", ,"a",,"#, ["a"]),
        (#"b, "a""#, ["a"]), (#""a" "b", "c""#, ["c"]), (#""a,b", "c""#, ["a,b", "c"]),
        (#""open, "c""#, ["c"]),
        (#"*, "a""#, ["a"]), ("", []), (",,,", []), (#"w/"a", "b""#, ["b"]),
    ])
    func `a list gives its valid members`(text: String, expected: [String]) {
        let list = EntityTagList(lines: [octets(text)])
        guard case .tags(let tags) = list else {
            Issue.record("a list became *")
            return
        }
        #expect(tags.map { String(decoding: $0.opaque, as: UTF8.self) } == expected)
    }

    @Test func `a star alone is any, and two lines make one list`() throws {
        #expect(EntityTagList(lines: [octets(" * ")]) == .any)
        #expect(EntityTagList(lines: [octets("*"), octets("*")]) == .tags([]))
        let list = EntityTagList(lines: [octets(#""a""#), octets(#"W/"b""#)])
        let weak = try #require(EntityTag(octets(#""b""#)))
        #expect(list.weaklyContains(weak))
        #expect(!list.stronglyContains(weak))
        #expect(list.stronglyContains(try #require(EntityTag(octets(#""a""#)))))
    }
}
