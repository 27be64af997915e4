import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import Glibc
import Testing

/// One text that a stranger sends, grown by repetition, and what reads it.
struct GrowingText: Sendable, CustomTestStringConvertible {
    let name: String
    var head = ""
    let unit: String
    var tail = ""
    let read: @Sendable ([UInt8]) -> Void

    var testDescription: String { name }

    func text(_ bytes: Int) -> [UInt8] {
        let count = max(1, (bytes - head.utf8.count - tail.utf8.count) / unit.utf8.count)
        return Array((head + String(repeating: unit, count: count) + tail).utf8)
    }

    /// A section with the text in that field.
    static func field(
        _ name: String, of field: String, head: String = "", _ unit: String, tail: String = "",
        and others: [(String, String)] = [], _ read: @escaping @Sendable (FieldSection) -> Void
    ) -> GrowingText {
        GrowingText(name: name, head: head, unit: unit, tail: tail) { text in
            var section = FieldSection(others)
            section.append(name: field.utf8, value: text)
            read(section)
        }
    }

    /// A head with a Date and what it says, asked whether it may be stored.
    static func stored(
        _ name: String, of field: String, head: String = "", _ unit: String, tail: String = ""
    ) -> GrowingText {
        Self.field(name, of: field, head: head, unit, tail: tail) { fields in
            let response = ResponseHead(status: 200, fields: fields)
            _ = Storability.decide(
                request: RequestTraits(method: .get), response: response, rules: CachingRules(),
                requestTime: ResponseFixture.now, responseTime: ResponseFixture.now)
            _ = Storability.fieldsToDrop(response: response)
            _ = ResponseFields.forStorage(fields, status: 200, receivedAt: ResponseFixture.now)
            _ = SurrogateKey.tags(fields)
        }
    }

    /// A field that Vary names: as the stored request's, and against 64 variants.
    static func selecting(_ field: String, _ unit: String) -> GrowingText {
        Self.field("Vary: \(field): \(unit)", of: field, unit) { fields in
            guard let rule = VaryRule.parse(FieldSection([("Vary", field)])) else { return }
            _ = SecondaryKey(rule: rule, request: fields)
            let request = FieldValues(fields)
            for key in variants(rule, field) { _ = key.matches(request) }
        }
    }

    private static func variants(_ rule: VaryRule, _ field: String) -> [SecondaryKey] {
        (0..<64).map { number in
            let value = "gzip;q=0.\(100 + number), br"
            return SecondaryKey(
                rule: rule, request: FieldSection([(field, value)]), response: FieldSection())
        }
    }
}

/// Every list that comes from outside is read in time that grows with its length and no faster.
@Suite(.serialized) struct `Time against length` {
    static let texts = selecting + responses + requests + ways + others

    private static let selecting: [GrowingText] = [
        .selecting("Accept-Encoding", "a;q=0.5,"), .selecting("Accept-Encoding", ","),
        .selecting("Accept-Language", "a-b;q=0.1,"), .selecting("Accept", "a/b;c=\"d\\\"\","),
        .selecting("Cookie", "a=b; "), .selecting("X-List", "\" , "),
    ]

    private static let responses: [GrowingText] = [
        .stored("tags", of: "Surrogate-Key", "a b "), .stored("tags", of: "Cache-Tag", "a,,b ,"),
        .stored("open quotes", of: "Cache-Control", head: "a=", "\"\\"),
        .stored("escapes", of: "Cache-Control", head: "a=\"", "\\\""),
        .stored("directives", of: "Cache-Control", "a,"),
        .stored("spoilt", of: "Cache-Control", head: "a", "; no-cach"),
        .stored("names", of: "Cache-Control", head: "no-cache=\"", "a,", tail: "\""),
        .stored("members", of: "CDN-Cache-Control", "a,", tail: "a"),
        .stored("parameters", of: "CDN-Cache-Control", head: "a", ";b"),
        .stored("items", of: "CDN-Cache-Control", head: "a=(", "1 ", tail: ")"),
        .stored("strings", of: "CDN-Cache-Control", head: "a=(", "\"\\\"\" ", tail: ")"),
        .stored("octets", of: "CDN-Cache-Control", head: "a=:", "aaaa", tail: ":"),
        .stored("names", of: "Vary", "a,"), .stored("spaces", of: "Vary", " ,"),
        .stored("codings", of: "Content-Encoding", "gzip,"),
        .stored("ages", of: "Age", ","), .stored("options", of: "Connection", "ab,"),
        .stored("dates", of: "Expires", "Mon, "),
    ]

    private static let requests: [GrowingText] = [
        .field("options", of: "Connection", "ab,", and: (0..<127).map { ("X-\($0)", "1") }) {
            var fields = $0
            HopByHop.strip(&fields)
        },
        .field("the same option", of: "Connection", "x,", and: (0..<127).map { _ in ("x", "1") }) {
            var fields = $0
            HopByHop.strip(&fields)
        },
        .field("honoured", of: "Cache-Control", "a,") {
            for name in [FieldName.cacheControl, .pragma] { _ = Directives($0.all(name)).members }
        },
        .field("counted", of: "Accept", "a;b=\"\\\",") {
            var fields = $0
            CountedLists.trim(&fields, method: .get)
        },
        .field("counted", of: "Accept-Charset", "a, ") {
            var fields = $0
            CountedLists.trim(&fields, method: .get)
        },
        .field("tags", of: "If-None-Match", "\"a\",") { validate($0) },
        .field("spaced tags", of: "If-None-Match", head: "\"a\" ", "  ") { validate($0) },
        .field("open tags", of: "If-None-Match", "\",") { validate($0) },
        .field("no tags", of: "If-None-Match", "W/\"\u{7F},") { validate($0) },
        .field("ranges", of: "Range", head: "bytes=", "1-2,") { plan($0) },
        .field("empty ranges", of: "Range", head: "bytes=", " ,") { plan($0) },
        .field("digits", of: "Range", head: "bytes=", "1", tail: "-") { plan($0) },
    ]

    private static func forward(_ fields: FieldSection) {
        var head = RequestHead()
        head.fields = fields
        _ = ForwardedFields.isLoop(head: head, nodeID: Array("node".utf8))
        let context = ForwardContext(
            nodeID: Array("node".utf8), clientAddress: Array("192.0.2.1".utf8), scheme: "http",
            host: Array("a.test".utf8), trusted: true, isCacheable: false)
        _ = ForwardedFields.rewriteRequest(head: head, context: context)
    }

    private static let ways: [GrowingText] = [
        .field("nodes", of: "CDN-Loop", "a;b=\"\\\",\",") { forward($0) },
        .field("open quotes", of: "CDN-Loop", "\"\\") { forward($0) },
        .field("hops", of: "Via", "1.1 a,") { forward($0) },
        .field("elements", of: "Forwarded", "for=a;host=\"b\",") { forward($0) },
        .field("addresses", of: "X-Forwarded-For", "::1,") { forward($0) },
    ]

    private static let others: [GrowingText] = [
        GrowingText(name: "Content-Location", head: "/", unit: "../") { text in
            for status in [200, 302] {
                _ = Invalidation.targets(
                    requestMethod: .post, scheme: "http", authority: Array("a.test".utf8)[...],
                    path: text[...], query: nil, status: status,
                    response: FieldSection([("Location", String(decoding: text, as: UTF8.self))]))
            }
        },
        GrowingText(name: "path: escapes", head: "/", unit: "%252e") { _ = PathReadings($0[...]) },
        GrowingText(name: "path: everything", head: "/", unit: "%2e%5c;a//../b/") {
            _ = PathReadings($0[...])
        },
        GrowingText(name: "path: dots", head: "/", unit: "a/../b;/") { _ = PathReadings($0[...]) },
        GrowingText(name: "Host", head: "[", unit: ":", tail: "]") { _ = AuthorityReader.isValid($0) },
        GrowingText(name: "Host", unit: "%41") { _ = AuthorityReader.isValid($0) },
        GrowingText(name: "HTTP-date", unit: "1 ") { _ = HTTPDate.parse($0[...]) },
        GrowingText(name: "Content-Range", head: "bytes ", unit: "1-", tail: "/") {
            _ = ContentRange.parse($0[...])
        },
    ]

    private static func validate(_ fields: FieldSection) {
        let stored = FieldSection([("ETag", "\"x\"")])
        _ = Preconditions.evaluate(request: fields, method: .get, status: 200, stored: stored)
        var sent = fields
        CountedLists.trim(&sent, method: .get)
    }

    private static func plan(_ fields: FieldSection) {
        _ = RangePlan(
            request: fields, method: .get, status: 200, stored: FieldSection(), length: 1 << 40)
        _ = RangeAsk(missOf: fields)
        var sent = fields
        CountedLists.trim(&sent, method: .get)
    }

    /// The least of several measurements of this thread's CPU time, in nanoseconds: what else the machine
    /// does only ever adds to one.
    private static func cost(_ text: GrowingText, bytes: Int) -> Int {
        let input = text.text(bytes)
        return (0..<5).map { _ in
            let start = threadNanoseconds()
            text.read(input)
            return threadNanoseconds() - start
        }.min() ?? 0
    }

    private static func threadNanoseconds() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return time.tv_sec * 1_000_000_000 + time.tv_nsec
    }

    @Test(arguments: texts)
    func `eight times the text takes no more than eight times the time, and some`(text: GrowingText) {
        let short = Self.cost(text, bytes: 4 << 10)
        let long = Self.cost(text, bytes: 32 << 10)
        // Eight times as much would be 64 times the time, were it the square. What is done once whatever the
        // text takes some microseconds, in which the clock is coarse.
        #expect(long <= short * 20 + 300_000, "\(short) ns for 4 KiB, \(long) ns for 32 KiB")
    }

    @Test(arguments: texts)
    func `the worst that a head may hold is read in no time`(text: GrowingText) {
        // A tenth of that and less where the compiler has optimised.
        #expect(Self.cost(text, bytes: 16 << 10) < 100_000_000)
    }
}
