import EdgeHTTP
import Testing

/// What a path may mean to those who read it.
@Suite struct `Path readings` {
    private func readings(_ path: String) -> Set<String> {
        Set(PathReadings(Array(path.utf8)[...]).texts.map { String(decoding: $0, as: UTF8.self) })
    }

    @Test(arguments: [
        "/", "/a/b.css", "*", "", "/a.b/c", "/a/b-c~d_e!$&'()+,=:@f", "/a..b/c...d", "/x.y/", "/naïve",
    ])
    func `a path without anything to read has one reading`(path: String) {
        #expect(PathReadings.isPlain(Array(path.utf8)[...]))
        #expect(readings(path) == [path])
    }

    @Test(arguments: ["/a%20b", "/a\\b", "/a;b", "//a", "/a//", "/./a", "/.well-known/x", "/a/..b"])
    func `any other is looked at`(path: String) {
        #expect(!PathReadings.isPlain(Array(path.utf8)[...]))
        #expect(readings(path).contains(path))
    }

    @Test(
        arguments: [
            ("/.well-known/x", []), ("/a/..b", []), ("/a%zz%2", []), ("/a%20b", ["/a b"]),
            ("/@scope%2fname", ["/@scope/name"]), ("/%2561", ["/%61", "/a"]),
            ("/%252561", ["/%2561", "/%61"]),
            ("/a\\b", ["/a/b"]), ("/a//b///c", ["/a/b/c"]), ("/a/./b/.", ["/a/b/"]), ("/a/b/../c", ["/a/c"]),
            ("/a/..", ["/"]), ("/../../a", ["/a"]), ("/a;v=1/b;c", ["/a/b"]), ("/a%3fb", ["/a?b", "/a"]),
            ("/a%23b", ["/a#b", "/a"]), ("/a%00b", ["/a\0b", "/a"]),
        ] as [(String, [String])])
    func `each thing that a reader may do is one more`(path: String, others: [String]) {
        #expect(readings(path) == Set([path] + others))
    }

    @Test(arguments: [
        ("/assets/..%2faccount", "/account"), ("/assets/%2e%2e/account", "/account"),
        ("/assets/..%5caccount", "/account"), ("/assets/..;/account", "/account"),
        ("/assets/%2e%2e;x=/account", "/account"), ("/assets/..%252faccount", "/account"),
        ("/assets/%252e%252e%255caccount", "/account"), ("/assets/..%3b/account", "/account"),
        ("/assets//../../account", "/account"), ("/%61pi/x", "/api/x"), ("/x/..\\api/x", "/api/x"),
        ("/account%3f/assets/x.css", "/account"), ("/account%253f/x.css", "/account"),
        ("/account;/x.css", "/account/x.css"), ("/account%00.css", "/account"),
        // Dot segments first, then the octets.
        ("/b%2fc/../%61pi/x", "/api/x"),
        // Path parameters first, then the octets.
        ("/a;b%2fc/api", "/a/api"),
    ])
    func `readers may do several of them`(path: String, meant: String) {
        #expect(readings(path).contains(meant), "\(readings(path).sorted())")
    }

    @Test func `the path itself comes first`() {
        for path in ["/a", "/%61/..;/b"] {
            #expect(PathReadings(Array(path.utf8)[...]).texts.first == Array(path.utf8))
        }
    }

    @Test func `a path that nobody could read is said to be one`() {
        let hostile = "/" + String(repeating: "%252e%2e;a/%5c//..%3b/", count: 300)
        #expect(PathReadings(Array(hostile.utf8)[...]).isTooMany)
        let long = "/" + String(repeating: "%20a", count: 2000)
        #expect(!PathReadings(Array(long.utf8)[...]).isTooMany)
    }
}
