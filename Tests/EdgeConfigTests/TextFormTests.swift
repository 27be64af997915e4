import EdgeConfig
import EdgeNode
import Testing

struct TextFormTests {
    @Test(
        arguments: [
            ("512MiB", 512 << 20), ("10GiB", 10 << 30), ("1GB", 1_000_000_000), ("0B", 0), ("3kB", 3000),
            ("3KB", 3000),
            ("1TiB", 1 << 40), ("", nil), ("MiB", nil), ("1", nil), ("1 MiB", nil), ("-1MiB", nil),
            ("1.5GiB", nil),
            ("1mib", nil), ("9223372036854775807B", Int64.max), ("9223372036854775808B", nil),
            ("8388608TiB", nil),
            ("٣MiB", nil),
        ] as [(String, Int64?)])
    func `a size is a whole number with its unit`(_ text: String, _ expected: Int64?) {
        #expect(ByteSize.parse(text) == expected)
    }

    @Test(
        arguments: [
            ("300ms", 300), ("5s", 5_000), ("10m", 600_000), ("24h", 86_400_000), ("7d", 604_800_000),
            ("0s", 0),
            ("5", nil), ("5 s", nil), ("s", nil), ("5S", nil), ("106751991168d", nil),
        ] as [(String, Int64?)])
    func `a duration is a whole number with its unit`(_ text: String, _ expected: Int64?) {
        #expect(DurationText.parse(text) == expected)
    }

    @Test(arguments: [
        ("5 sec", "write 5s"), ("2 Hours", "write 2h"), ("7", "write a unit: 7ms, 7s, 7m, 7h or 7d"),
        ("soon", "write a whole number and a unit, such as 300ms, 5s, 10m, 24h or 7d"),
    ])
    func `a wrong duration is answered with the right one`(_ text: String, _ expected: String) {
        #expect(DurationText.suggestion(for: text) == expected)
    }

    @Test(arguments: [
        ("127.0.0.1:8080", "127.0.0.1:8080"), (":8080", "0.0.0.0:8080"), ("[::1]:0", "[::1]:0"),
        ("edge-1:80", "edge-1:80"),
    ])
    func `an address to listen on is read`(_ text: String, _ expected: String) throws {
        #expect(try ListenAddress.parse(text).description == expected)
    }

    @Test(arguments: [
        "", "8080", "localhost", "a b:80", "[::1]", "::1", "[::1:80", "[x]:80", "a:", "a:65536", "a:-1",
        "http://a:80",
        "1.2.3:80", "256.1.1.1:80",
    ])
    func `what is not an address to listen on is refused with a cure`(_ text: String) {
        let problem = #expect(throws: TextProblem.self) { _ = try ListenAddress.parse(text) }
        #expect(problem?.suggestion.isEmpty == false)
    }

    @Test(arguments: [
        ("http://A.Example", "http://a.example"), ("HTTPS://a.example:443/", "https://a.example:443"),
        ("http://[::1]:3000", "http://[::1]:3000"), ("http://127.0.0.1:1", "http://127.0.0.1:1"),
    ])
    func `the URL of an origin is brought to its normal form`(_ text: String, _ expected: String) throws {
        #expect(try OriginURL.parse(text) == expected)
    }

    @Test(arguments: [
        "", "a.example", "//a.example", "ftp://a", "http://", "http://a/b", "http://a?b", "http://a#b",
        "http://u:p@a",
        "http://a:0", "http://a:65536", "http://a b", "http://[::1", "http://1.2.3.4.5",
    ])
    func `what is not the URL of an origin is refused with a cure`(_ text: String) {
        let problem = #expect(throws: TextProblem.self) { _ = try OriginURL.parse(text) }
        #expect(problem?.suggestion.isEmpty == false)
    }
}
