import EdgeHTTP
import EdgePolicy
import Testing

@Suite struct `Invalidation by unsafe methods` {
    private func targets(
        _ method: Method, _ status: Int, _ fields: [(String, String)], authority: String = "www.example",
        path: String = "/a/b/c", query: String? = "q=1"
    ) -> [String] {
        let found = Invalidation.targets(
            requestMethod: method, scheme: "http", authority: Array(authority.utf8)[...],
            path: Array(path.utf8)[...],
            query: query.map { Array($0.utf8)[...] }, status: status, response: FieldSection(fields))
        return found.map { target in
            var key: [UInt8] = []
            CacheKey.append(
                scheme: target.scheme, authority: target.authority[...], path: target.path[...],
                query: target.query?[...], rule: .all, into: &key)
            return String(decoding: key, as: UTF8.self)
        }
    }

    @Test(arguments: [
        (Method.post, 200, true), (.put, 201, true), (.delete, 204, true), (.patch, 303, true),
        (.other, 200, true),
        (.post, 399, true), (.get, 200, false), (.head, 200, false), (.options, 200, false),
        (.trace, 200, false),
        (.post, 400, false), (.post, 500, false), (.delete, 404, false), (.post, 199, false),
        (.connect, 200, false), (.propfind, 207, false), (.report, 207, false), (.search, 207, false),
        (.query, 200, false), (.other, 302, true), (.other, 404, false),
    ])
    func `a successful unsafe request invalidates its target`(method: Method, status: Int, expected: Bool) {
        let found = targets(method, status, [("Location", "/x")])
        #expect(found == (expected ? ["http://www.example/a/b/c?q=1", "http://www.example/x"] : []))
    }

    @Test(arguments: [
        ("d", "/a/b/d"), ("/d?x", "/d?x"), ("?y", "/a/b/c?y"), ("../d", "/a/d"), ("../../../d", "/d"),
        ("./", "/a/b/"),
        ("..", "/a/"), ("d/../e", "/a/b/e"), ("/x/./y/../z", "/x/z"), ("//WWW.example:80/d", "/d"),
        ("HTTP://www.Example/d", "/d"), ("http://www.example", "/"), ("http://www.example?x", "/?x"),
        ("d#frag", "/a/b/d"),
        ("/d%2f", "/d%2f"), ("/%7Ed", "/%7Ed"), ("/a//b", "/a//b"), ("./x:y", "/a/b/x:y"),
    ])
    func `a same-origin Location is resolved as RFC 3986 says`(reference: String, expected: String) {
        for name in ["Location", "Content-Location"] {
            #expect(
                targets(.post, 201, [(name, reference)]) == [
                    "http://www.example/a/b/c?q=1", "http://www.example" + expected,
                ])
        }
    }

    @Test(arguments: [
        "", "#f", "https://www.example/d", "http://other.example/d", "//other.example/d",
        "http://www.example:81/d",
        "http://user@www.example/d", "http://www.example.evil/d", "/d d", "/d\u{7F}", "/é", "http:d",
        "1http://x/",
        "javascript:alert(1)", "http://", "data:,x", "\\\\other\\d", "/<d>", "http://www.example@evil/d", ":",
        "x;y=:z",
    ])
    func `what leads elsewhere, or nowhere, invalidates the target alone`(reference: String) {
        let only = ["http://www.example/a/b/c?q=1"]
        #expect(targets(.post, 200, [("Location", reference), ("Content-Location", reference)]) == only)
    }

    @Test func `every target is named once`() {
        #expect(
            targets(.put, 200, [("Location", "/d"), ("Content-Location", "/d"), ("Location", "c?q=1")]).count
                == 2)
        #expect(
            targets(.put, 200, [], authority: "WWW.Example:80", query: nil) == ["http://www.example/a/b/c"])
    }
}

@Suite struct `Surrogate keys` {
    @Test(arguments: [
        ([("Surrogate-Key", "a b  c\td")], ["a", "b", "c", "d"]),
        ([("Cache-Tag", "a, b ,,c d")], ["a", "b", "c d"]),
        ([("Surrogate-Key", "a,b"), ("Cache-Tag", "a,b")], ["a,b", "a", "b"]), ([("Surrogate-Key", "")], []),
        ([("Surrogate-Key", "x x"), ("surrogate-key", "x y")], ["x", "y"]), ([("Cache-Tag", " , ,")], []),
        ([("Cache-Tag", "A,a")], ["A", "a"]), ([("Tag", "a")], []), ([("Cache-Tag", "é")], ["é"]),
    ])
    func `are separated by spaces, Cache-Tag by commas`(fields: [(String, String)], expected: [String]) {
        #expect(
            SurrogateKey.tags(FieldSection(fields)).map { String(decoding: $0, as: UTF8.self) } == expected)
    }
}
