import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import Testing

@Suite struct `Fields between client and origin` {
    private func text(_ fields: FieldSection) -> [String] {
        fields.lines.map { line in
            String(decoding: fields.nameBytes(line), as: UTF8.self) + ": "
                + String(decoding: fields.value(line), as: UTF8.self)
        }
    }

    private func head(_ fields: [(String, String)], host: String = "www.example:8080") -> RequestHead {
        var bytes = Array("GET /p?q HTTP/1.1\r\nHost: \(host)\r\n".utf8)
        FieldSection(fields).serialise(into: &bytes)
        bytes += Array("\r\n".utf8)
        var head = RequestHead()
        var parser = RequestParser()
        let outcome = bytes.withUnsafeBytes { parser.parse($0, into: &head) }
        #expect(outcome == .complete(consumed: bytes.count))
        return head
    }

    private func context(cacheable: Bool = true, trusted: Bool = false) -> ForwardContext {
        ForwardContext(
            nodeID: Array("fra-1".utf8), clientAddress: Array("192.0.2.1".utf8), scheme: "https",
            host: Array("origin.example".utf8), trusted: trusted, isCacheable: cacheable)
    }

    private let own = [
        "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: www.example:8080",
        #"Forwarded: for=192.0.2.1;host="www.example:8080";proto=https"#, "Via: 1.1 rockpool",
        "CDN-Loop: fra-1",
    ]

    @Test func `a plain request gains Host, the forwarding fields, Via and CDN-Loop`() {
        let fields = ForwardedFields.rewriteRequest(
            head: head([("Accept", "*/*"), ("Test-ID", "x"), ("Req-Num", "1"), ("Authorization", "b")]),
            context: context())
        #expect(
            text(fields) == [
                "Host: origin.example", "Accept: */*", "Test-ID: x", "Req-Num: 1", "Authorization: b",
            ] + own)
    }

    @Test(arguments: [
        "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "TE", "Upgrade", "Expect",
        "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix",
        "Proxy", "X-Real-IP", "x_real_ip", "True-Client-IP", "CF-Connecting-IP", "Fastly-Client-IP",
        "X-Client-IP", "X-Cluster-Client-IP", "HTTP_X_FORWARDED_FOR", "X-Forwarded", "Client-IP",
        "Forwarded", "X_Forwarded_For", "X-Forwarded_Host", "Content_Length", "Transfer_Encoding", "Trailer",
    ])
    func `never from an untrusted client`(name: String) {
        for cacheable in [true, false] {
            let value = name == "Expect" ? "100-continue" : "evil"
            let fields = ForwardedFields.rewriteRequest(
                head: head([(name, value)]), context: context(cacheable: cacheable))
            #expect(text(fields) == ["Host: origin.example"] + own)
        }
    }

    @Test(arguments: [
        "Range", "If-Range", "If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since",
        "X-Original-URL",
        "X-Rewrite-URL", "x_rewrite_url", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override",
        "X-Host", "X-Forward-Host", "X-Scheme", "X-Original-Host", "X-HTTP-Path-Override",
        "X-Middleware-Subrequest", "X-Envoy-Original-Path", "X-Amz-Acl", "x_amz_acl", "X-Goog-Meta-A",
        "X-MS-Version",
    ])
    func `dropped from cacheable pulls, passed on otherwise`(name: String) {
        let request = head([(name, "x")])
        #expect(
            text(ForwardedFields.rewriteRequest(head: request, context: context())) == [
                "Host: origin.example"
            ] + own)
        let passed = ForwardedFields.rewriteRequest(head: request, context: context(cacheable: false))
        #expect(text(passed) == ["Host: origin.example", "\(name): x"] + own)
    }

    @Test func `the content of a cacheable request does not go on`() {
        let fields = ForwardedFields.rewriteRequest(head: head([("Content-Length", "5")]), context: context())
        #expect(!fields.contains(.contentLength))
        let passed = ForwardedFields.rewriteRequest(
            head: head([("Content-Length", "5")]), context: context(cacheable: false))
        #expect(passed.contains(.contentLength))
    }

    @Test func `a trusted proxy's fields are extended, but shape nothing that is stored`() {
        let request = head([
            ("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-For", "203.0.113.8"),
            ("X-Forwarded-Host", "real.example"),
            ("Forwarded", "for=203.0.113.9"), ("Via", "1.1 front"), ("CDN-Loop", "a; x=\"1\""),
            ("X-Forwarded-Port", "444"),
        ])
        let passed = ForwardedFields.rewriteRequest(
            head: request, context: context(cacheable: false, trusted: true))
        #expect(
            text(passed) == [
                "Host: origin.example", "X-Forwarded-Port: 444",
                "X-Forwarded-For: 203.0.113.9, 203.0.113.8, 192.0.2.1", "X-Forwarded-Proto: https",
                "X-Forwarded-Host: real.example",
                #"Forwarded: for=203.0.113.9, for=192.0.2.1;host="www.example:8080";proto=https"#,
                "Via: 1.1 front, 1.1 rockpool", "CDN-Loop: a; x=\"1\", fra-1",
            ])
        let pulled = ForwardedFields.rewriteRequest(head: request, context: context(trusted: true))
        #expect(text(pulled).contains("X-Forwarded-Host: www.example:8080"))
        #expect(text(pulled).contains(own[3]))
        #expect(!text(pulled).contains("X-Forwarded-Port: 444"))
    }

    @Test func `an IPv6 client stands in brackets and quotes`() {
        var context = context()
        context.clientAddress = Array("2001:db8::1".utf8)
        let fields = ForwardedFields.rewriteRequest(head: head([], host: "h"), context: context)
        #expect(text(fields).contains(#"Forwarded: for="[2001:db8::1]";host=h;proto=https"#))
        #expect(text(fields).contains("X-Forwarded-For: 2001:db8::1"))
    }

    @Test func `edits, cookies, conditions and the origin's own fields`() {
        var context = context()
        context.cookies = .strip
        context.set = [(Array("A".utf8), Array("set".utf8))]
        context.remove = [Array("b".utf8)]
        context.originFields = [(Array("X-Edge-Secret".utf8), Array("s3cret".utf8))]
        context.conditions = [(.ifNoneMatch, Array(#""v""#.utf8))]
        let request = head([
            ("a", "1"), ("A", "2"), ("B", "3"), ("Cookie", "c=d"), ("x-edge-secret", "guess"),
            ("If-None-Match", "*"),
        ])
        let fields = ForwardedFields.rewriteRequest(head: request, context: context)
        #expect(
            text(fields) == ["Host: origin.example"] + own + [
                #"If-None-Match: "v""#, "A: set", "X-Edge-Secret: s3cret",
            ])
    }

    @Test(arguments: [
        (["fra-1"], true), (["a, fra-1"], true), (["a", "b ,fra-1 ; v=1"], true), (["fra-10"], false),
        ([], false),
        (["a; x=\"fra-1\""], false), (["a; x=\", fra-1\""], false), (["a; x=\"\\\", fra-1\", fra-1"], true),
        ([",,fra-1,,"], true), (["fra-1.example"], false), (["\"fra-1\""], false), (["a fra-1"], false),
    ])
    func `only our own id is a loop`(lines: [String], expected: Bool) {
        let request = head(lines.map { ("CDN-Loop", $0) })
        #expect(ForwardedFields.isLoop(head: request, nodeID: Array("fra-1".utf8)) == expected)
    }

    @Test func `Connection cannot strip what is end-to-end`() {
        let protected = [
            "Host", "Content-Length", "Cache-Control", "Authorization", "Cookie", "Date", "Age", "ETag",
            "Expires", "Vary",
            "Content-Type", "Content-Encoding", "Content-Range", "CDN-Loop", "Via", "Set-Cookie", "Range",
        ]
        var fields = FieldSection(
            [
                ("Connection", (protected + ["a", "B", "close", "bad name"]).joined(separator: ",")),
                ("connection", "d"),
            ]
                + protected.map { ($0, "1") } + [("A", "1"), ("b", "2"), ("C", "3"), ("D", "4")])
        HopByHop.strip(&fields)
        #expect(text(fields) == protected.map { $0 + ": 1" } + ["C: 3"])
    }

    @Test func `a stored response loses what is not for later`() {
        let received = FieldSection([
            ("Connection", "a, b"), ("a", "1"), ("b", "2"), ("c", "3"), ("Keep-Alive", "x"), ("TE", "x"),
            ("Upgrade", "x"),
            ("Proxy-Authenticate", "x"), ("Proxy-Authentication-Info", "x"), ("Proxy-Authorization", "x"),
            ("Proxy-Connection", "x"), ("Transfer-Encoding", "chunked"), ("Alt-Svc", "x"),
            ("Surrogate-Key", "x"),
            ("Cache-Tag", "x"), ("Surrogate-Control", "x"), ("Age", "30"), ("Trailer", "x"),
            ("Content-Length", "3"),
            ("CDN-Cache-Control", "max-age=1"), ("Set-Cookie", "a=b"), ("Set-Cookie", "c=d"),
            ("Content-Range", "odd"),
        ])
        let time = WallTime(seconds: 1_577_836_800)
        let stored = ResponseFields.forStorage(
            received, drop: [Array("set-cookie".utf8)], status: 200, receivedAt: time)
        #expect(
            text(stored) == [
                "c: 3", "CDN-Cache-Control: max-age=1", "Content-Range: odd",
                "Date: Wed, 01 Jan 2020 00:00:00 GMT",
            ])
        let passed = ResponseFields.forClient(received, status: 200, receivedAt: time)
        #expect(
            text(passed) == [
                "c: 3", "Age: 30", "Trailer: x", "CDN-Cache-Control: max-age=1", "Set-Cookie: a=b",
                "Set-Cookie: c=d",
                "Content-Range: odd", "Date: Wed, 01 Jan 2020 00:00:00 GMT",
            ])
        let answer = ResponseFields.forClient(received, status: 200, receivedAt: time, keepsLength: true)
        #expect(answer.contains(.contentLength))
        #expect(!ResponseFields.forClient(received, status: 103, receivedAt: time).contains(.date))
    }

    @Test func `a Date that came is left as it is`() {
        let fields = FieldSection([("Date", "whenever")])
        let stored = ResponseFields.forStorage(fields, status: 200, receivedAt: WallTime(seconds: 0))
        #expect(text(stored) == ["Date: whenever"])
    }

    @Test func `response edits cannot touch the framing`() {
        func octets(_ text: String) -> [UInt8] { Array(text.utf8) }
        var fields = FieldSection([
            ("Server", "x"), ("X-A", "1"), ("x-a", "2"), ("Cache-Control", "s-maxage=9"), ("Expires", "0"),
            ("Pragma", "no-cache"), ("Content-Length", "3"),
        ])
        ResponseFields.apply(
            set: [
                (octets("X-A"), octets("new")), (octets("Content-Length"), octets("9")),
                (octets("connection"), []),
            ],
            remove: [octets("server"), octets("content-length")], clientCacheControl: octets("max-age=60"),
            to: &fields)
        #expect(text(fields) == ["Content-Length: 3", "X-A: new", "Cache-Control: max-age=60"])
    }

    @Test func `only the configuration writes a name that it uses, in any spelling`() {
        var context = context(cacheable: false)
        context.set = [(Array("X-Edge-Secret".utf8), Array("s3cret".utf8))]
        context.reserved = [Array("x-edge-secret".utf8), Array("x-debug".utf8)]
        let request = head([
            ("X_Edge_Secret", "guess"), ("X-EDGE_Secret", "guess"), ("X_Debug", "1"), ("A_B", "c"),
        ])
        let fields = ForwardedFields.rewriteRequest(head: request, context: context)
        #expect(text(fields) == ["Host: origin.example", "A_B: c"] + own + ["X-Edge-Secret: s3cret"])
    }

    @Test(arguments: [true, false])
    func `the client's address goes in the field that the site names`(isCacheable: Bool) {
        var context = context(cacheable: isCacheable)
        context.clientAddressField = Array("X-Real-IP".utf8)
        let fields = ForwardedFields.rewriteRequest(
            head: head([("X-Real-IP", "10.0.0.1"), ("X_Real_IP", "10.0.0.1")]), context: context)
        #expect(
            text(fields)
                == ["Host: origin.example"] + own[..<4] + ["X-Real-IP: 192.0.2.1"] + own[4...])
    }

    private static let mixed = [
        ("Accept", "a"), ("Accept-Charset", "a"), ("Accept-Language", "de"), ("User-Agent", "u"),
        ("Authorization", "b"), ("Cookie", "c=d"), ("Origin", "o"), ("Referer", "r"),
        ("Access-Control-Request-Method", "PUT"), ("Cache-Control", "no-cache"), ("Pragma", "no-cache"),
        ("X-Requested-With", "XMLHttpRequest"), ("DNT", "1"), ("X-Theme", "dark"), ("X-Host", "evil"),
    ]

    @Test func `a strict site sends what its key or its Vary can hold`() {
        var context = context()
        context.forwarding = .strict(and: [])
        context.conditions = [(.ifNoneMatch, Array("1".utf8))]
        let request = head(Self.mixed)
        let kept = Self.mixed[..<9].map { "\($0.0): \($0.1)" }
        #expect(
            text(ForwardedFields.rewriteRequest(head: request, context: context))
                == ["Host: origin.example"] + kept + own + ["If-None-Match: 1"])
        context.forwarding = .strict(and: ["x-theme", "PRAGMA", "X-Host"])
        #expect(
            text(ForwardedFields.rewriteRequest(head: request, context: context))
                == ["Host: origin.example"] + kept
                + ["Pragma: no-cache", "X-Theme: dark", "X-Host: evil"] + own + ["If-None-Match: 1"])
        context.isCacheable = false
        context.conditions = []
        #expect(
            text(ForwardedFields.rewriteRequest(head: request, context: context))
                == ["Host: origin.example"] + Self.mixed.map { "\($0.0): \($0.1)" } + own)
    }

    @Test func `vendor fields go with a query that signs them`() {
        var context = context()
        context.noteQuery(Array("a=b&x-amz-signature=00".utf8)[...])
        let request = head([("X-Amz-Acl", "private"), ("X-Host", "evil")])
        let fields = ForwardedFields.rewriteRequest(head: request, context: context)
        #expect(text(fields) == ["Host: origin.example", "X-Amz-Acl: private"] + own)
    }

    @Test func `the authority of the key is what the origin is told`() {
        var context = context()
        context.authority = Array("site.test".utf8)
        let fields = ForwardedFields.rewriteRequest(head: head([], host: "SITE.test.:0443"), context: context)
        #expect(text(fields).contains("X-Forwarded-Host: site.test"))
        #expect(text(fields).contains("Forwarded: for=192.0.2.1;host=site.test;proto=https"))
    }

    @Test(arguments: [
        ("AWS4-HMAC-SHA256 Credential=a", true), ("AWS AKID:sig", true), ("SharedKey a:b", true),
        ("SharedKeyLite a:b", true), ("GOOG4-RSA-SHA256 a", true), ("goog1 a", true),
        ("Signature keyId=a", true), ("EG1-HMAC-SHA256 a", true), ("HMAC-SHA256 a", true),
        ("Basic YTpi", false), ("Bearer aws4-x", false), ("Digest username=a", false), ("", false),
        ("Hmacs", false),
    ])
    func `an Authorization that signs fields`(value: String, expected: Bool) {
        #expect(RequestSignature.isPresent(in: head([("Authorization", value)])) == expected)
        #expect(RequestSignature.isPresent(in: head([("Signature-Input", value)])))
    }
}
