import EdgeHTTP
import EdgePrimitives
import Testing

@Suite struct StructuredDictionaryTests {
    typealias BareItem = StructuredDictionary.BareItem

    private func parse(_ text: String) -> StructuredDictionary? {
        StructuredDictionary(Array(text.utf8)[...])
    }

    @Test(
        arguments: [
            ("a=1", .integer(1)), ("a=-0", .integer(0)), ("a=-42", .integer(-42)), ("a=0010", .integer(10)),
            ("a=999999999999999", .integer(999_999_999_999_999)), ("a=1.5", .decimal(1500)),
            ("a=-0.125", .decimal(-125)), ("a=123456789012.1", .decimal(123_456_789_012_100)),
            ("a=\"x \\\" \\\\\"", .string(Array("x \" \\".utf8))), ("a=\"\"", .string([])),
            ("a=tok:en/*", .token(Array("tok:en/*".utf8))), ("a=*", .token(Array("*".utf8))),
            ("a=:aGVsbG8=:", .byteSequence(Array("hello".utf8))),
            ("a=:aGVsbG8:", .byteSequence(Array("hello".utf8))),
            ("a=::", .byteSequence([])), ("a=?1", .boolean(true)), ("a=?0", .boolean(false)),
            ("a", .boolean(true)),
            ("a=@1659578233", .date(1_659_578_233)), ("a=@-1", .date(-1)),
            ("a=%\"f%c3%bc\"", .displayString(Array("fü".utf8))), ("  a=1  ", .integer(1)),
            ("a=1 ,\t b=2", .integer(1)), ("a=2, a=1", .integer(1)), ("a=1;x;y=2", .integer(1)),
            ("a;x, b", .boolean(true)),
        ] as [(String, BareItem)])
    func `reads items`(_ text: String, _ item: BareItem) {
        #expect(parse(text)?.item("a") == item)
    }

    @Test(arguments: [
        "A=1", "MaX-aGe=3600", "a=", "a=1,", "a=1, ", "a=1 b=2", "a =1", "a= 1", ",a", "1=1", "a=1\t",
        "a=1, &&&&&",
        "a=--1", "a=-", "a=1.", "a=.5", "a=1.2345", "a=1234567890123456", "a=1234567890123.1", "a=\"x",
        "a=\"\\n\"",
        "a=\"\u{7F}\"", "a=\"ü\"", "a=:aGVsbG8", "a=:a:", "a=:aGV!:", "a=:aG=VsbG8=:", "a=?2", "a=?",
        "a=@1.5", "a=@",
        "a=%\"%C3\"", "a=%\"%c3\"", "a=%x", "a=(1", "a=(1 2", "a=(1,2)", "a=(1\t2)", "a=1;", "a=1;X",
        "a=1;x=",
        "a=1 ;x", "a=&", "a=ü", "-a=1",
    ])
    func `refuses what is not a Dictionary`(_ text: String) {
        #expect(parse(text) == nil)
    }

    @Test func `reads inner lists and parameters`() throws {
        let dictionary = try #require(parse("a=(  1 \"b\";q=0.5  c );p;p=2, b=(), c;z=:AA==:"))
        #expect(dictionary.members.count == 3)
        let list = try #require(dictionary.member("a"))
        guard case .innerList(let items) = list.value else {
            Issue.record("a is no inner list")
            return
        }
        #expect(items.map(\.value) == [.integer(1), .string(Array("b".utf8)), .token(Array("c".utf8))])
        #expect(items[1].parameters.map(\.value) == [.decimal(500)])
        #expect(list.parameters.map(\.value) == [.integer(2)])
        #expect(dictionary.member("b")?.value == .innerList([]))
        #expect(dictionary.item("a") == nil)
        #expect(dictionary.member("c")?.parameters.map(\.value) == [.byteSequence([0])])
    }

    @Test func `a repeated key keeps its place and takes the last value`() throws {
        let dictionary = try #require(parse("a=1, b=2, a=3"))
        #expect(dictionary.members.map(\.key) == [Array("a".utf8), Array("b".utf8)])
        #expect(dictionary.item("a") == .integer(3))
    }

    @Test func `joins lines, and is empty without content`() {
        let lines = ["a=1", "b=2"].map { Array($0.utf8)[...] }
        #expect(StructuredDictionary(lines)?.item("b") == .integer(2))
        #expect(parse("")?.isEmpty == true)
        #expect(parse("   ")?.isEmpty == true)
        #expect(StructuredDictionary([ArraySlice<UInt8>]())?.isEmpty == true)
    }

    @Test func `no octets can trip it or make it disagree with itself`() {
        var generator = SeededGenerator(seed: 9651)
        let alphabet = Array("a1-=;,\"\\:?@%()* .&\t".utf8)
        var accepted = 0
        for _ in 0..<20_000 {
            let length = Int.random(in: 0...9, using: &generator)
            let text = (0..<length).map { _ in alphabet.randomElement(using: &generator) ?? 0 }
            guard let dictionary = StructuredDictionary(text[...]) else { continue }
            accepted += 1
            // Spaces around change nothing, and a comma at the end spoils all but an empty one.
            #expect(StructuredDictionary((Array("  ".utf8) + text + [Octet.space])[...]) == dictionary)
            #expect(StructuredDictionary((text + [Octet.comma])[...]) == nil)
        }
        #expect(accepted > 100)
    }

    @Test(arguments: ["a=@1", "a=%\"b\"", "a=1;b=@1", "a=(@1)"])
    func `a field of RFC 8941 has none of the types that came later`(text: String) {
        let bytes = Array(text.utf8)[...]
        #expect(StructuredDictionary(bytes) != nil)
        #expect(StructuredDictionary(bytes, takesNewTypes: false) == nil)
    }

    @Test func `64 members and parameters are kept, and what follows must still be well-formed`() throws {
        let members = (0..<64).map { "a\($0)" }.joined(separator: ",")
        let parameters = (0..<70).map { ";p\($0)" }.joined()
        let kept = try #require(StructuredDictionary(Array((members).utf8)[...]))
        #expect(kept.members.count == 64 && !kept.isTooLong)
        let longer = try #require(StructuredDictionary(Array((members + ",b=1").utf8)[...]))
        #expect(longer.isTooLong)
        #expect(StructuredDictionary(Array((members + ",b=").utf8)[...]) == nil)
        let one = try #require(StructuredDictionary(Array(("a" + parameters).utf8)[...]))
        #expect(one.members.first?.parameters.count == 64 && !one.isTooLong)
    }
}
