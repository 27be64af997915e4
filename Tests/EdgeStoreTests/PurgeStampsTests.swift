import EdgePrimitives
import Testing

@testable import EdgeStore

/// The stamps of purges against a model that compares with every purge there was.
@Suite struct PurgeStampsTests {
    static func position(_ number: UInt64, epoch: UInt64 = 1) -> PurgePosition {
        PurgePosition(epoch: epoch, number: number)
    }

    static func entry(_ number: UInt64, _ scope: PurgeScope, soft: Bool = false) -> PurgeEntry {
        PurgeEntry(
            position: position(number), time: WallTime(milliseconds: Int64(number) * 1_000),
            purge: Purge(scope: scope, isSoft: soft, value: "", client: ""))
    }

    private static func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    struct Case: Sendable {
        let scope: PurgeScope
        let covered: [String]
        let spared: [String]
    }

    @Test(arguments: [
        Case(
            scope: .url(bytes("//a.example/x?q=1")),
            covered: ["http://a.example/x?q=1", "https://a.example/x?q=1"],
            spared: ["http://a.example/x", "http://a.example/x?q=12", "http://b.example/x?q=1"]),
        Case(
            scope: .anyQuery(bytes("//a.example/x")),
            covered: ["http://a.example/x", "http://a.example/x?", "https://a.example/x?q=1&r=2"],
            spared: ["http://a.example/xy", "http://a.example/", "http://a.example:81/x"]),
        Case(
            scope: .prefix(bytes("//a.example/as")),
            covered: ["http://a.example/as", "https://a.example/assets/1", "http://a.example/as?x"],
            spared: ["http://a.example/a", "http://a.example/AS", "http://b.example/as"]),
        Case(
            scope: .host(bytes("a.example")),
            covered: ["http://a.example/", "https://a.example/x", "http://a.example:8080/x"],
            spared: ["http://b.a.example/", "http://a.example.net/", "http://b/a.example"]),
        Case(
            scope: .host(bytes("a.example:80")), covered: ["http://a.example/", "https://a.example:80/"],
            spared: ["https://a.example/", "http://a.example:8080/"]),
        Case(
            scope: .host(bytes("a.example:8080")), covered: ["http://a.example:8080/x?y"],
            spared: ["http://a.example/"]),
        Case(
            scope: .host(bytes("[::1]")), covered: ["http://[::1]/", "http://[::1]:99/"],
            spared: ["http://[::2]/"]),
        Case(scope: .tag(bytes("t")), covered: [], spared: ["http://a.example/t"]),
        Case(scope: .all, covered: ["http://a.example/", "https://b.example:1/x?y"], spared: []),
    ])
    func `a purge covers the keys that it means`(_ test: Case) {
        let stamps = PurgeStamps()
        stamps.apply([Self.entry(5, test.scope)])
        func verdict(_ key: String, at number: UInt64) -> PurgeVerdict {
            stamps.verdict(pulledAt: Self.position(number), keyText: Self.bytes(key), tags: [])
        }
        for key in test.covered {
            #expect(verdict(key, at: 4) == .hidden, "\(key)")
            #expect(verdict(key, at: 5) == .untouched, "\(key)")
        }
        for key in test.spared { #expect(verdict(key, at: 4) == .untouched, "\(key)") }
    }

    @Test func `tags are compared octet for octet, and unknown ones taken for each`() {
        let stamps = PurgeStamps()
        stamps.apply([Self.entry(1, .tag(Self.bytes("one")))])
        let key = Self.bytes("http://a.example/")
        let verdicts = [["one"], ["two", "one"], ["One"], ["onetwo"], []].map { tags in
            stamps.verdict(pulledAt: Self.position(0), keyText: key, tags: tags.map(Self.bytes))
        }
        #expect(verdicts == [.hidden, .hidden, .untouched, .untouched, .untouched])
        #expect(stamps.verdict(pulledAt: Self.position(0), keyText: key, tags: nil) == .hidden)
        #expect(stamps.verdict(pulledAt: Self.position(1), keyText: key, tags: nil) == .untouched)
    }

    @Test func `what claims to be newer than the log, or is of an older epoch, is hidden`() {
        let stamps = PurgeStamps()
        stamps.begin(at: Self.position(0, epoch: 7))
        let key = Self.bytes("http://a.example/")
        let verdicts = [
            Self.position(99, epoch: 6), Self.position(0, epoch: 7), Self.position(1, epoch: 7),
            Self.position(0, epoch: 8), .zero,
        ].map { stamps.verdict(pulledAt: $0, keyText: key, tags: []) }
        #expect(verdicts == [.hidden, .untouched, .hidden, .hidden, .hidden])
    }

    @Test func `a response remembers that it was looked at, and its first soft purge`() {
        let stamps = PurgeStamps()
        stamps.begin(at: Self.position(0))
        let response = Fixture.whole(1, bodyBytes: 10)
        let pulled = response.freshened(
            metadata: response.metadata, fields: response.fields, head: response.head, secondaryKey: nil,
            pulledAt: Self.position(0))
        #expect(stamps.verdict(of: pulled) == .untouched)
        #expect(pulled.isUntouched(at: stamps.version))
        stamps.apply([Self.entry(3, .tag(Self.bytes("front")), soft: true)])
        #expect(!pulled.isUntouched(at: stamps.version))
        let since = PurgeVerdict.stale(since: WallTime(milliseconds: 3_000))
        #expect(stamps.verdict(of: pulled) == since)
        stamps.apply([Self.entry(4, .tag(Self.bytes("front")), soft: true)])
        #expect(stamps.verdict(of: pulled) == since)
        #expect(!pulled.isUntouched(at: stamps.version))
        stamps.apply([Self.entry(5, .tag(Self.bytes("front")))])
        #expect(stamps.verdict(of: pulled) == .hidden)
    }

    @Test(arguments: [UInt64(1), 2, 3, 4]) func `the stamps agree with a scan of all purges`(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        // Small enough for stamps to be dropped, in half of the runs.
        let capacity = seed % 2 == 0 ? 24 : 1_000
        let stamps = PurgeStamps(capacity: capacity)
        var purges: [PurgeEntry] = []
        let keys = (0..<40).map {
            "http://\($0 % 3).example/\($0 % 5)/\($0)" + ($0 % 4 == 0 ? "?q=\($0)" : "")
        }
        var responses: [(key: String, tags: [String], position: UInt64)] = []
        var hiddenByDrop = 0
        for number in UInt64(1)...600 {
            let key = keys.randomElement(using: &random) ?? ""
            let plain = Self.bytes(String(key.dropFirst(5)))
            let scope: PurgeScope =
                switch UInt8.random(in: 0..<40, using: &random) {
                case 0..<10: .url(plain)
                case 10..<15: .anyQuery(Array(plain.prefix { $0 != 63 }))
                case 15..<25: .prefix(Array(plain.prefix(Int.random(in: 2...plain.count, using: &random))))
                case 25..<28: .host(Self.bytes("\(Int.random(in: 0..<3, using: &random)).example"))
                case 28: .all
                default: .tag(Self.bytes("t\(Int.random(in: 0..<20, using: &random))"))
                }
            purges.append(Self.entry(number, scope, soft: Bool.random(using: &random)))
            stamps.apply([purges[purges.count - 1]])
            responses.append((key, ["t\(Int.random(in: 0..<20, using: &random))"], number))
            #expect(stamps.count <= capacity)
            for response in responses.suffix(60) {
                let found = stamps.verdict(
                    pulledAt: Self.position(response.position), keyText: Self.bytes(response.key),
                    tags: response.tags.map(Self.bytes))
                let covering = purges[Int(response.position)...].filter {
                    Self.covers($0, response.key, response.tags)
                }
                if covering.contains(where: { !$0.purge.isSoft }) {
                    #expect(found == .hidden)
                } else if found == .hidden {
                    // Only for want of room, and only what is older than what was dropped.
                    hiddenByDrop += 1
                    #expect(capacity < 600)
                } else if covering.isEmpty {
                    #expect(found == .untouched)
                } else {
                    #expect(found != .untouched)
                }
            }
        }
        #expect((hiddenByDrop > 0) == (capacity < 600))
    }

    private static func covers(_ entry: PurgeEntry, _ key: String, _ tags: [String]) -> Bool {
        let plain = bytes(String(key.dropFirst(5)))
        return switch entry.purge.scope {
        case .url(let url): plain == url
        case .anyQuery(let base): Array(plain.prefix { $0 != 63 }) == base
        case .prefix(let prefix): plain.starts(with: prefix)
        case .host(let host): Array(plain.dropFirst(2).prefix { $0 != 47 }) == host
        case .tag(let tag): tags.map(bytes).contains(tag)
        case .all: true
        }
    }

    @Test func `stamps that nothing stored is older than are forgotten`() {
        let stamps = PurgeStamps()
        for number in UInt64(1)...10 {
            stamps.apply([Self.entry(number, .prefix(Self.bytes("//\(number)")))])
        }
        stamps.apply([Self.entry(11, .prefix(Self.bytes("//3")))])
        stamps.forget(before: Self.position(6))
        #expect(stamps.count == 5)
        let key = Self.bytes("http://3.example/")
        #expect(stamps.verdict(pulledAt: Self.position(6), keyText: key, tags: []) == .hidden)
        let other = Self.bytes("http://8.example/")
        #expect(stamps.verdict(pulledAt: Self.position(7), keyText: other, tags: []) == .hidden)
        #expect(stamps.verdict(pulledAt: Self.position(8), keyText: other, tags: []) == .untouched)
    }

    @Test func `renewing one stamp for ever holds no memory`() {
        let stamps = PurgeStamps()
        for number in UInt64(1)...20_000 { stamps.apply([Self.entry(number, .tag(Self.bytes("t")))]) }
        #expect(stamps.count == 1)
        #expect(stamps.orderCount <= 2 + 4_096 + 2)
    }
}
