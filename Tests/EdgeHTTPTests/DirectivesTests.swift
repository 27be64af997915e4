import EdgeHTTP
import EdgePrimitives
import Testing

@Suite struct DirectivesTests {
    private func directives(_ lines: String...) -> Directives {
        Directives(lines.map { Array($0.utf8)[...] })
    }

    @Test(
        arguments: [
            ("max-age=3600", .seconds(3600)), ("MaX-aGe=3600", .seconds(3600)),
            ("max-age=003600", .seconds(3600)),
            ("max-age=\"3600\"", .seconds(3600)), ("foobar, max-age=3600", .seconds(3600)),
            (" ,, max-age=3600 ,", .seconds(3600)), ("max-age=0", .seconds(0)),
            ("max-age=1800, max-age=1", .seconds(1800)), ("max-age=1, max-age=1800", .seconds(1)),
            ("max-age=2147483647", .seconds(2_147_483_647)), ("max-age=2147483648", .seconds(2_147_483_648)),
            ("max-age=2147483649", .seconds(2_147_483_648)), ("max-age=99999999999", .seconds(2_147_483_648)),
            ("max-age=99999999999999999999999999999999", .seconds(2_147_483_648)),
            ("extension=\"max-age=3600\", max-age=1", .seconds(1)),
            ("max-age=1, extension=\"max-age=3600\"", .seconds(1)), ("extension=\"max-age=3600\"", .absent),
            ("extension=\"a\\\", max-age=3600\"", .absent), ("x-max-age=3600", .absent), ("", .absent),
            ("max-age", .valueless), ("max-age=", .invalid), ("max-age=-3600", .invalid),
            ("max-age=3600.0", .invalid),
            ("max-age='3600'", .invalid), ("max-age=a3600", .invalid), ("max-age=3600a", .invalid),
            ("max-age =3600", .invalid), ("max-age= 3600", .invalid), ("max-age=3600; no-store", .invalid),
            ("max-age=\"3600\"x", .invalid), ("max-age=\"\"", .invalid),
        ] as [(String, Directives.Delta)])
    func `reads delta-seconds`(_ line: String, _ delta: Directives.Delta) {
        #expect(directives(line).delta("max-age") == delta)
    }

    @Test(arguments: [
        "no-store", "No-StOrE", "max-age=1,no-store", "no-store=1", "no-store=\"x\"", "no-store; max-age=5",
        "a b, no-store", "=, no-store", "a=\"unclosed, no-store", "@@, no-store", "no-store\t",
    ])
    func `finds a directive among other things`(_ line: String) {
        #expect(directives(line).contains("no-store"))
    }

    @Test(arguments: [
        "", "no-stor", "no-stores", "a=no-store", "a=\"no-store\"", "x; no-store", "a=\"b, no-store\"",
    ])
    func `does not find one that is not there`(_ line: String) {
        #expect(!directives(line).contains("no-store"))
    }

    @Test(arguments: [
        ("public", true), ("Public ", true), ("a, public", true), ("public; max-age=30", false),
        ("public=1", false), ("public=", false), ("public x", false), ("public\"\"", false),
        ("x=\"public\"", false), ("public;, public", true), ("@public", false),
    ])
    func `a permission counts only where it is written as one`(line: String, isPermitted: Bool) {
        #expect(directives(line).permits("public") == isPermitted)
    }

    @Test(arguments: [
        "no-store", "no-store;", "public; no-store", "max-age=60;no-store", "a b NO-STORE", "@no-store",
        "=no-store", "x='a' ;no-store=1", "x=\"open; no-store", "x=\"a\";no-store", "a = no-store",
    ])
    func `a restriction counts wherever it stands outside of quotes`(line: String) {
        #expect(directives(line).restricts("no-store"))
        #expect(!directives(line).restricts("private"))
    }

    @Test(arguments: [
        "", "x-no-store", "no-stores", "a=no-store", "a=\"no-store\"", "a; b=\"no-store\"", "a;no_store",
    ])
    func `what only looks like a restriction is none`(line: String) {
        #expect(!directives(line).restricts("no-store"))
    }

    @Test(arguments: ["public; max-age=30", "public max-age=30", "@max-age=30"])
    func `a lifetime in what cannot be read is invalid`(line: String) {
        #expect(directives(line).delta("max-age") == .invalid)
        #expect(directives(line, "max-age=5").delta("max-age") == .seconds(5))
    }

    @Test func `so many members are read as are asked for`() {
        let lines = ["a, b,,@, c", "d"].map { Array($0.utf8)[...] }
        #expect(Directives(lines, limit: 5).members.count == 4)
        #expect(!Directives(lines, limit: 5).isTooLong)
        #expect(Directives(lines, limit: 4).isTooLong)
        #expect(!Directives(lines, limit: 4).contains("d"))
    }

    @Test func `keeps the directives of all lines in order, with their arguments`() {
        let read = directives(
            "no-cache=\"Set-Cookie, A\", Public", "no-cache, private=\"b\\\"c\", ext=tok en")
        #expect(
            read.members.map { String(decoding: $0.name, as: UTF8.self) } == [
                "no-cache", "public", "no-cache", "private", "ext",
            ])
        #expect(read.arguments("no-cache") == [.quoted(Array("Set-Cookie, A".utf8)), .none])
        #expect(read.arguments("private") == [.quoted(Array("b\"c".utf8))])
        #expect(read.arguments("ext") == [.malformed])
        #expect(directives("a=b").arguments("a") == [.token(Array("b".utf8))])
    }

    @Test(arguments: ["", " ", "-1", "+1", "1.0", "1 ", "abc", "7200;foo=bar"])
    func `refuses what is not delta-seconds`(_ text: String) {
        #expect(Directives.deltaSeconds(Array(text.utf8)) == nil)
    }

    @Test func `nothing before it hides no-store but a closed quoted-string`() {
        var generator = SeededGenerator(seed: 9111)
        let alphabet = Array("a=\\, ;\t'@1".utf8)
        for _ in 0..<20_000 {
            let length = Int.random(in: 0...9, using: &generator)
            var text = (0..<length).map { _ in alphabet.randomElement(using: &generator) ?? 0 }
            if Bool.random(using: &generator) {
                text.insert(Octet.quote, at: Int.random(in: 0...length, using: &generator))
            }
            #expect(Directives([(text + Array(",no-store".utf8))[...]]).contains("no-store"))
        }
    }
}
