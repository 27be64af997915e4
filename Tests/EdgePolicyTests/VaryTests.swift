import EdgeHTTP
import EdgePolicy
import Testing

@Suite struct `Vary` {
    private func rule(_ lines: String...) -> VaryRule? {
        VaryRule.parse(FieldSection(lines.map { ("Vary", $0) }))
    }

    private func key(_ vary: String, _ request: [(String, String)]) throws -> SecondaryKey {
        SecondaryKey(rule: try #require(rule(vary)), request: FieldSection(request))
    }

    @Test(arguments: [
        ["*"], ["*, *"], ["*", "*"], [", *"], ["", "*"], ["*, Foo"], ["Foo, *"], ["Foo", " * "],
        ["Foo,,\t*,"],
        ["Foo Bar"], ["\"Foo\""], ["Foo;q=1"],
    ])
    func `a star anywhere, or a member that is no name, fits nothing`(lines: [String]) throws {
        let rule = try #require(VaryRule.parse(FieldSection(lines.map { ("vary", $0) })))
        #expect(rule.isStar)
        let key = SecondaryKey(rule: rule, request: FieldSection([("Foo", "1")]))
        #expect(!key.matches(FieldSection([("Foo", "1")])))
        #expect(key != key)
    }

    @Test func `order, case and repetition of names do not count`() throws {
        #expect(rule("Foo, Bar") == rule("BAR", "foo,Foo"))
        #expect(try #require(rule("Foo, Bar")).names == [Array("bar".utf8), Array("foo".utf8)])
        #expect(VaryRule.parse(FieldSection()) == nil)
        #expect(rule("", " , ") == nil)
    }

    @Test(arguments: [
        ([("Foo", "1")], [("foo", "1")], true), ([("Foo", "1")], [("Foo", "2")], false),
        ([("Foo", "1")], [], false), ([], [("Foo", "1")], false), ([], [], true), ([], [("Foo", "")], false),
        ([("Foo", "1, 2")], [("Foo", "1"), ("Foo", "2")], true),
        ([("Foo", "1,2")], [("Foo", " 1 ,\t2 ")], true),
        ([("Foo", "1,2")], [("Foo", "2,1")], false), ([("Foo", "a b")], [("Foo", "ab")], false),
        ([("Foo", "\"a, b\"")], [("Foo", "\"a,b\"")], false), ([("Foo", "a  b")], [("Foo", "a b")], false),
        ([("Foo", "1,,2")], [("Foo", "1,2")], false), ([("Foo", "A")], [("Foo", "a")], false),
        ([("Foo", "1"), ("Other", "2")], [("Other", "3"), ("Foo", "1")], true),
    ])
    func `an unknown field is compared but for white space around commas`(
        stored: [(String, String)], presented: [(String, String)], expected: Bool
    ) throws {
        #expect(try key("Foo", stored).matches(FieldSection(presented)) == expected)
        #expect((try key("Foo", stored) == key("Foo", presented)) == expected)
    }

    @Test func `all the named fields must match, in any order`() throws {
        let stored = try key("Foo, Bar, Baz", [("Foo", "1"), ("Baz", "789")])
        #expect(stored.matches(FieldSection([("Baz", "789"), ("Foo", "1")])))
        #expect(!stored.matches(FieldSection([("Baz", "789"), ("Foo", "1"), ("Bar", "")])))
        #expect(!stored.matches(FieldSection([("Foo", "1")])))
        #expect(String(decoding: stored.selectionBytes, as: UTF8.self) == "bar\nbaz:789\nfoo:1")
    }

    @Test(arguments: [
        ("Accept-Language", "en, de", "de, en", true), ("Accept-Language", "en, de", "eN, De", true),
        ("Accept-Language", "en, de", " en ,   de", true), ("Accept-Language", "en;q=1.0, de", "de,en", true),
        ("Accept-Language", "en;q=0.5", "en; Q=0.500", true),
        ("Accept-Language", "en;q=0.5,de", "en,de", false),
        ("Accept-Language", "en;q=2", "en", false), ("Accept-Language", "en", "en-GB", false),
        ("Accept-Encoding", "gzip, br", "br,gzip", true), ("Accept-Encoding", "x-gzip", "GZIP;q=1", true),
        ("Accept-Encoding", "gzip;q=0", "gzip", false), ("Accept-Encoding", "", "gzip", false),
        ("Accept-Encoding", "br;q=", "\u{1}", true), ("Accept-Encoding", "gzip, gzip;q=0.1", "gzip", true),
        ("Cookie", "a=b,c", "a=b, c", false), ("User-Agent", "x (a,b)", "x (a, b)", false),
    ])
    func `a field of known meaning is compared by it`(
        name: String, stored: String, presented: String, expected: Bool
    ) throws {
        let first = try key(name, [(name, stored)])
        #expect(first.matches(FieldSection([(name, presented)])) == expected)
        #expect(try key(name, [(name, presented)]).matches(FieldSection([(name, stored)])) == expected)
    }

    @Test(arguments: [
        ("de", "fr;q=0.5, de;q=1.0", true), ("de", "de", true), ("DE", "de;q=0.2", true),
        ("de", "de, fr", false),
        ("de", "fr, de;q=0.9", false), ("de", "*, de;q=0.5", false), ("de", "de;q=0", false),
        ("de", "de;q=x", false),
        ("de, en", "de", false), ("de-CH", "de", false), ("", "de", false),
    ])
    func `the language that a request wants most is taken`(language: String, accept: String, expected: Bool)
        throws
    {
        let stored = SecondaryKey(
            rule: try #require(rule("Accept-Language")),
            request: FieldSection([("Accept-Language", "en, it")]),
            response: FieldSection([("Content-Language", language)]))
        #expect(stored.matches(FieldSection([("Accept-Language", accept)])) == expected)
        #expect(!stored.matches(FieldSection()), "a request without the field did not ask for it")
    }

    @Test(arguments: [
        ("gzip", "gzip", true), ("gzip", "gzip, br;q=0.5", true), ("gzip", "x-gzip;q=0.1", true),
        ("gzip", "gzip, br", true), ("gzip", "zstd, gzip", false), ("gzip", "br", false), ("gzip", "", false),
        ("", "identity", true), ("", "", true), ("", "gzip, identity;q=0.5", false),
        ("", "identity, gzip", false),
        ("gzip, br", "gzip", false), ("gzip", "gzip;;q=1", false),
    ])
    func `the coding that a request wants most is taken`(coding: String, accept: String, expected: Bool)
        throws
    {
        let stored = SecondaryKey(
            rule: try #require(rule("Accept-Encoding")),
            request: FieldSection([("Accept-Encoding", "br, gzip")]),
            response: FieldSection(coding.isEmpty ? [] : [("Content-Encoding", coding)]))
        #expect(stored.matches(FieldSection([("Accept-Encoding", accept)])) == expected)
    }

    @Test func `a key made from its own selecting fields is the same`() throws {
        let vary = try #require(rule("Foo, Accept-Encoding, Cookie, Bar"))
        let request = FieldSection([
            ("Foo", "1"), ("Cookie", "a=b"), ("foo", "2"), ("Accept-Encoding", "br;q=0.5, gzip"),
            ("Cookie", "c=d"),
        ])
        let first = SecondaryKey(rule: vary, request: request)
        let second = SecondaryKey(rule: vary, request: first.selectingFields)
        #expect(first == second)
        #expect(second.matches(request))
        #expect(first.selectingFields.count == 3)
        #expect(
            String(decoding: second.selectionBytes, as: UTF8.self)
                == "accept-encoding:br;q=0.5,gzip\nbar\ncookie:a=b; c=d\nfoo:1,2")
    }

    @Test func `malformed Accept-Encoding values share one variant`() throws {
        let plain = FieldSection([("Content-Type", "text/plain")])
        let stored = SecondaryKey(
            rule: try #require(rule("Accept-Encoding")),
            request: FieldSection([("Accept-Encoding", "gzip;q=zz")]),
            response: plain)
        for number in 0..<50 {
            #expect(stored.matches(FieldSection([("Accept-Encoding", "bogus\(number);q=\(number)x")])))
            #expect(stored.matches(FieldSection([("Accept-Encoding", "unheard-of-\(number)")])))
        }
        #expect(stored.matches(FieldSection([("Accept-Encoding", "")])))
    }

    @Test func `a coding that the request does not hold is never sent`() throws {
        // The origin took a malformed list for gzip.
        let odd = SecondaryKey(
            rule: try #require(rule("Accept-Encoding")),
            request: FieldSection([("Accept-Encoding", "gzip;q=zz")]),
            response: FieldSection([("Content-Encoding", "gzip")]))
        #expect(!odd.matches(FieldSection([("Accept-Encoding", "")])))
        #expect(odd.matches(FieldSection([("Accept-Encoding", "gzip;q=zz")])))
        // A coding of the origin's own: the unknown names count then.
        let own = SecondaryKey(
            rule: try #require(rule("Accept-Encoding")), request: FieldSection([("Accept-Encoding", "own")]),
            response: FieldSection([("Content-Encoding", "own")]))
        #expect(!own.matches(FieldSection([("Accept-Encoding", "other")])))
        #expect(own.matches(FieldSection([("Accept-Encoding", "OWN")])))
    }

    @Test(arguments: [
        ("gzip, br", "BR ,gzip", true), ("gzip, br", "gzip;q=0.123, br;q=0.4", true),
        ("gzip, br", "br;q=0, gzip", true), ("gzip;q=0.5", "x-gzip;q=0.6", true),
        ("gzip, identity;q=0.1", "gzip, identity;q=0.2", true), ("gzip, foo", "gzip;q=0.9, bar;q=0.8", true),
        ("gzip, identity", "gzip;q=0.4, identity;q=0", false), ("gzip, *", "gzip;q=0.4, *;q=0", false),
        ("gzip, *;q=0.3, identity", "gzip, identity;q=0.4, *;q=0", true), ("gzip", "gzip, br", false),
        ("gzip, br", "gzip", false), ("gzip;q=0.1234", "gzip;q=0.9", false), ("gzip", "gzip;q=0.1234", false),
    ])
    func `a response without a coding fits whoever names the same codings and takes identity`(
        stored: String, presented: String, expected: Bool
    ) throws {
        let rule = try #require(self.rule("Accept-Encoding"))
        let request = FieldSection([("Accept-Encoding", stored)])
        let plain = SecondaryKey(rule: rule, request: request, response: FieldSection())
        #expect(plain.matches(FieldSection([("Accept-Encoding", presented)])) == expected)
    }

    @Test func `qualities that strangers make up are one variant of a response without a coding`() throws {
        let rule = try #require(self.rule("Accept-Encoding"))
        func request(_ number: Int) -> FieldValues {
            FieldValues(FieldSection([("Accept-Encoding", "gzip;q=0.\(100 + number), br")]))
        }
        let key = SecondaryKey(rule: rule, request: request(0).fields, response: FieldSection())
        for number in 0..<64 { #expect(key.matches(request(number))) }
        let coded = FieldSection([("Content-Encoding", "gzip")])
        #expect(!SecondaryKey(rule: rule, request: request(0).fields, response: coded).matches(request(1)))
    }

    @Test func `two requests agree by a rule where what it names is the same`() throws {
        let rule = try #require(self.rule("Accept-Encoding, Accept, X-A"))
        let left = FieldValues(FieldSection([("Accept-Encoding", "br, gzip"), ("Accept", "a , b")]))
        let right = FieldValues(FieldSection([("Accept", "a,b"), ("Accept-Encoding", "GZIP,BR;q=1")]))
        #expect(left.agrees(with: right, by: rule))
        #expect(left.agrees(with: left, by: rule))
        #expect(!left.agrees(with: left, by: .star))
        let other = FieldValues(FieldSection([("Accept", "a,b"), ("Accept-Encoding", "br")]))
        #expect(!left.agrees(with: other, by: rule))
        #expect(!other.agrees(with: FieldValues(FieldSection()), by: rule))
    }

    private func fit(
        of response: [(String, String)], to first: [(String, String)], for later: [(String, String)]
    ) -> SecondaryKey.Fit {
        let request = FieldSection(later)
        return SecondaryKey.fit(
            of: FieldSection(response),
            under: SecondaryKey(request: FieldSection(first), response: FieldSection(response)),
            request: FieldValues(request), hasOrigin: request.contains(.origin))
    }

    @Test func `what was made without Origin is for requests without, unless it says for whom it is`() {
        let a = [("Origin", "https://a.test")]
        let b = [("Origin", "https://b.test")]
        let open = [("Access-Control-Allow-Origin", "*")]
        let vary = [("Vary", "Origin")]
        #expect(fit(of: [], to: [], for: []) == .exact)
        #expect(fit(of: [], to: [], for: a) == SecondaryKey.Fit.none)
        #expect(fit(of: open, to: [], for: a) == .near)
        #expect(fit(of: [], to: a, for: b) == .exact)
        #expect(fit(of: [], to: a, for: []) == .near)
        #expect(fit(of: open, to: a, for: b) == .exact)
        #expect(fit(of: vary, to: [], for: a) == SecondaryKey.Fit.none)
        #expect(fit(of: vary + open, to: [], for: a) == SecondaryKey.Fit.none)
        #expect(fit(of: vary, to: a, for: b) == SecondaryKey.Fit.none)
        #expect(fit(of: vary, to: a, for: a) == .exact)
        let language = [("Vary", "Accept-Language")]
        #expect(fit(of: language, to: [], for: a) == SecondaryKey.Fit.none)
        #expect(fit(of: language, to: a, for: b) == .exact)
        #expect(fit(of: language, to: a, for: b + [("Accept-Language", "de")]) == SecondaryKey.Fit.none)
        #expect(fit(of: [("Vary", "*")], to: a, for: a) == SecondaryKey.Fit.none)
    }

    @Test func `two copies, whatever the Origins`() throws {
        let language = FieldSection([("Vary", "Foo")])
        for response in [FieldSection(), language] {
            let a = try #require(
                SecondaryKey(request: FieldSection([("Origin", "a"), ("Foo", "1")]), response: response))
            let b = try #require(
                SecondaryKey(request: FieldSection([("Foo", "1"), ("Origin", "b")]), response: response))
            #expect(a == b)
            #expect(a != SecondaryKey(request: FieldSection([("Foo", "1")]), response: response))
            let again = try #require(SecondaryKey(request: a.selectingFields, response: response))
            #expect(again == a)
            #expect(again.selectionBytes == b.selectionBytes)
        }
        #expect(SecondaryKey(request: FieldSection(), response: FieldSection()) == nil)
    }

    @Test func `a rule says whether what is sent has to be worked out`() throws {
        func isTouched(_ names: String, _ fields: TouchedFields, nominates: Bool = false) -> Bool {
            rule(names)?.isTouched(by: fields, nominates: nominates) ?? false
        }
        let none = TouchedFields()
        for name in [
            "Host", "X-Forwarded-For", "Via", "X-Forwarded-Port", "X-Host", "X-Real-IP", "Range",
            "If-None-Match", "X_Forwarded_For", "Proxy", "TE", "Foo, Forwarded", "x-amz-a",
        ] {
            #expect(isTouched(name, none), "\(name)")
        }
        for name in ["Accept-Encoding", "Cookie", "Origin", "Foo", "X-Requested-With, Accept"] {
            #expect(!isTouched(name, none), "\(name)")
        }
        #expect(isTouched("Foo", none, nominates: true))
        #expect(!isTouched("Accept-Encoding", none, nominates: true))
        let rules = TouchedFields(
            cookies: .strip, reserved: [Array("x-a".utf8), Array("accept".utf8)], forwarding: .all)
        for name in ["Cookie", "X-A", "x_a", "Accept"] { #expect(isTouched(name, rules), "\(name)") }
        for name in ["Accept-Encoding", "X-B", "Origin"] { #expect(!isTouched(name, rules), "\(name)") }
        let strict = TouchedFields(cookies: .keep, reserved: [], forwarding: .strict(and: ["Pragma"]))
        for name in ["Cache-Control", "X-B"] { #expect(isTouched(name, strict), "\(name)") }
        for name in ["Accept-Encoding", "Origin", "Cookie", "User-Agent", "Pragma"] {
            #expect(!isTouched(name, strict), "\(name)")
        }
    }
}
