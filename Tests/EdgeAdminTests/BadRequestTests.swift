import EdgeAdmin
import EdgeTesting
import Testing

/// What is refused before the node is asked, and which field the problem names.
@Suite(.wholeNodes) struct BadRequestTests {
    private static let longURL = "http://a.test/" + String(repeating: "x", count: 8_192)

    static let purges: [(String, String?)] = [
        // Not JSON.
        ("", nil), (" ", nil), ("{", nil), ("{}x", nil), ("url=http://a.test/", nil), (#"{"tag":"a",}"#, nil),
        (#"{'tag':'a'}"#, nil), (#"{"tag":"a"} {"tag":"b"}"#, nil), (#"{"tag":"a\x"}"#, nil),
        ("\u{FEFF}{}", nil),
        (#"{"tag":"\ud800"}"#, nil), ("{\"tag\":\"a\u{1}\"}", nil), (#"{"all":True}"#, nil),
        (#"{"all":01}"#, nil),
        (String(repeating: "[", count: 60_000), nil), (#"{"tag":NaN}"#, nil), ("// a\n{}", nil),
        // Not an object.
        ("[]", nil), ("null", nil), ("true", nil), ("1", nil), (#""tag""#, nil), (#"[{"tag":"a"}]"#, nil),
        // No scope, or two.
        ("{}", nil), (#"{"soft":true}"#, nil), (#"{"url":"http://a.test/","tag":"a"}"#, "tag"),
        (#"{"all":true,"host":"a.test"}"#, "host"), (#"{"tag":"a","all":false}"#, "all"),
        // The same name twice, in whatever spelling.
        (#"{"tag":"a","tag":"a"}"#, "tag"), (#"{"tag":"a","t\u0061g":"b"}"#, "tag"),
        (#"{"tag":"a","soft":true,"soft":false}"#, "soft"),
        // Unknown fields.
        (#"{"tag":"a","Soft":true}"#, "Soft"), (#"{"tags":["a"]}"#, "tags"), (#"{"tag":"a","":1}"#, ""),
        (#"{"URL":"http://a.test/"}"#, "URL"), (#"{"tag":"a","dryRun":true}"#, "dryRun"),
        // Wrong types.
        (#"{"tag":1}"#, "tag"), (#"{"tag":null}"#, "tag"), (#"{"tag":["a"]}"#, "tag"),
        (#"{"tag":true}"#, "tag"),
        (#"{"tag":{}}"#, "tag"), (#"{"url":1}"#, "url"), (#"{"host":["a.test"]}"#, "host"),
        (#"{"prefix":null}"#, "prefix"),
        (#"{"all":1}"#, "all"), (#"{"all":"true"}"#, "all"), (#"{"all":null}"#, "all"),
        (#"{"all":1.0}"#, "all"),
        (#"{"all":false}"#, "all"), (#"{"all":true,"soft":1}"#, "soft"), (#"{"all":true,"soft":0}"#, "soft"),
        (#"{"tag":"a","soft":"true"}"#, "soft"), (#"{"tag":"a","soft":null}"#, "soft"),
        (#"{"url":"http://a.test/","anyQuery":1}"#, "anyQuery"),
        (#"{"url":"http://a.test/","anyQuery":"yes"}"#, "anyQuery"),
        // anyQuery where it says nothing.
        (#"{"tag":"a","anyQuery":true}"#, "anyQuery"),
        (#"{"prefix":"http://a.test/","anyQuery":false}"#, "anyQuery"),
        (#"{"all":true,"anyQuery":true}"#, "anyQuery"), (#"{"host":"a.test","anyQuery":true}"#, "anyQuery"),
        // Empty, too long, not a URL, not a host, not a tag.
        (#"{"url":""}"#, "url"), (#"{"prefix":""}"#, "prefix"), (#"{"host":""}"#, "host"),
        (#"{"tag":""}"#, "tag"),
        (#"{"url":"\#(longURL)"}"#, "url"), (#"{"prefix":"\#(longURL)"}"#, "prefix"),
        (#"{"host":"\#(String(repeating: "a", count: 260))"}"#, "host"),
        (#"{"tag":"\#(String(repeating: "a", count: 1_025))"}"#, "tag"),
        (#"{"url":"/a.css"}"#, "url"), (#"{"url":"www.example.com/a"}"#, "url"),
        (#"{"url":"//a.test/"}"#, "url"),
        (#"{"url":"ftp://a.test/"}"#, "url"), (#"{"url":"http:///a"}"#, "url"),
        (#"{"url":"http://"}"#, "url"),
        (#"{"url":"http://:80/"}"#, "url"), (#"{"url":"http://?a"}"#, "url"),
        (#"{"url":"http://u@a.test/"}"#, "url"),
        (#"{"url":"http://a.test/#b"}"#, "url"), (#"{"url":"http://a.test/ b"}"#, "url"),
        (#"{"url":"http://a.test/\u0000"}"#, "url"), (#"{"url":"http://a.test/\r\nX: y"}"#, "url"),
        (#"{"url":" http://a.test/"}"#, "url"), (#"{"prefix":"/assets/"}"#, "prefix"),
        (#"{"prefix":"http://a.test/\u007f"}"#, "prefix"),
        (#"{"host":"http://a.test"}"#, "host"), (#"{"host":"a.test/"}"#, "host"),
        (#"{"host":"a test"}"#, "host"),
        (#"{"host":":80"}"#, "host"), (#"{"host":"u@a.test"}"#, "host"), (#"{"host":"a.test\n"}"#, "host"),
        (#"{"tag":"a b"}"#, "tag"), (#"{"tag":"a,b"}"#, "tag"), (#"{"tag":"a\u0009b"}"#, "tag"),
        (#"{"tag":"a\u0000"}"#, "tag"), (#"{"tag":"a\u00a0b"}"#, "tag"), (#"{"tag":"a\u2028b"}"#, "tag"),
    ]

    static let targets: [(String, String?)] = [
        ("/explain", "url"), ("/explain?", "url"), ("/explain?url", "url"), ("/explain?url=", "url"),
        ("/explain?url=%2Fa", "url"), ("/explain?url=http%3A%2F%2F", "url"), ("/explain?url=a.test", "url"),
        ("/explain?url=http://a.test/&url=http://a.test/", "url"),
        ("/explain?url=http://a.test/%4", "url"), ("/explain?url=http://a.test/%", "url"),
        ("/explain?url=http://a.test/%GG", "url"), ("/explain?url=http://a.test/%+1", "url"),
        ("/explain?url=http://a.test/%ff", "url"), ("/explain?url=http://a.test/%C0%AF", "url"),
        ("/explain?url=http://a.test/%00", "url"), ("/explain?url=http://a.test/%0d%0a", "url"),
        ("/explain?url=http://a.test/%20b", "url"), ("/explain?url=http://a.test/%23b", "url"),
        ("/explain?url=http://a.test/" + String(repeating: "x", count: 8_192), "url"),
        ("/explain?url=http://a.test/&header=Accept", "header"),
        ("/explain?url=http://a.test/&header", "header"),
        ("/explain?url=http://a.test/&header=:a", "header"),
        ("/explain?url=http://a.test/&header=a%20b:c", "header"),
        ("/explain?url=http://a.test/&header=A:%0db", "header"),
        ("/explain?url=http://a.test/&header=A:%00", "header"),
        ("/explain?url=http://a.test/&header=A:b&header=c", "header"),
        ("/explain?url=http://a.test/" + String(repeating: "&header=A:b", count: 65), "header"),
        ("/explain?url=http://a.test/&originDown", "originDown"),
        ("/explain?url=http://a.test/&originDown=", "originDown"),
        ("/explain?url=http://a.test/&originDown=1", "originDown"),
        ("/explain?url=http://a.test/&originDown=True", "originDown"),
        ("/explain?url=http://a.test/&originDown=true&originDown=true", "originDown"),
        ("/explain?url=http://a.test/&method=POST", "method"),
        ("/explain?url=http://a.test/&method=get", "method"),
        ("/explain?url=http://a.test/&method=GET&method=GET", "method"),
        ("/explain?url=http://a.test/&x=1", "x"), ("/explain?URL=http://a.test/", "URL"),
        ("/explain?%2", "%2"),
        ("/objects", "url"), ("/objects?url=http://a.test/&url=http://b.test/", "url"),
        ("/objects?url=http://a.test/&header=A:b", "header"), ("/objects?url=a", "url"),
        ("/purges?limit=5", "limit"),
    ]

    private static func expectProblem(
        _ answer: ClientResponse, _ status: Int, _ field: String?, _ what: String
    ) throws {
        #expect(answer.status == status, "\(what.prefix(200)): \(answer)")
        #expect(answer.fields["Content-Type"] == "application/problem+json", "\(what.prefix(200))")
        let problem = try JSONValue(parsing: answer.text)
        #expect(problem["field"]?.text == field, "\(what.prefix(200)): \(answer.text)")
        #expect(problem["status"] == .number("\(status)"))
        #expect(problem["detail"]?.text?.isEmpty == false)
    }

    @Test func `no bad purge purges anything, and its problem names the field`() async throws {
        try await withAdmin { admin in
            for (body, field) in Self.purges {
                try Self.expectProblem(try await admin.ask("POST", "/purge", body: body), 400, field, body)
            }
            #expect(admin.purgeCount == 0)
            #expect(admin.log.lines.count == Self.purges.count)
        }
    }

    @Test func `bodies that are not UTF-8 are not JSON`() async throws {
        try await withAdmin { admin in
            for bytes: [UInt8] in [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80]] {
                let client = try RawClient(port: admin.port)
                defer { client.close() }
                let body = Array(#"{"tag":""#.utf8) + bytes + Array(#""}"#.utf8)
                let fields = TestAdmin.authorization() + ["Content-Length: \(body.count)"]
                try await client.send(Array(RawClient.request("POST", "/purge", fields).utf8) + body)
                try Self.expectProblem(try await client.response(), 400, nil, "\(bytes)")
            }
            #expect(admin.purgeCount == 0)
        }
    }

    @Test func `where the JSON breaks is in the problem`() async throws {
        try await withAdmin { admin in
            let answer = try await admin.ask(
                "POST", "/purge", body: "{\n  \"tag\": \"a\"\n  \"soft\": true\n}")
            #expect(answer.text.contains("line 3, column 3"))
        }
    }

    @Test func `bad parameters are named`() async throws {
        try await withAdmin { admin in
            for (target, field) in Self.targets {
                try Self.expectProblem(try await admin.ask("GET", target), 400, field, target)
            }
        }
    }

    @Test(arguments: ["/purge", "/reload", "/drain"])
    func `orders take no parameters`(_ path: String) async throws {
        try await withAdmin { admin in
            let answer = try await admin.ask("POST", path + "?dryRun=true", body: #"{"all":true}"#)
            try Self.expectProblem(answer, 400, "dryRun", path)
            #expect(admin.purgeCount == 0)
            #expect(admin.drains.count == 0)
        }
    }

    @Test(arguments: [
        ("text/plain", 415), ("application/x-www-form-urlencoded", 415), ("application/jsonx", 415),
        ("*/*", 415),
        ("multipart/form-data; boundary=x", 415), ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("Application/JSON ;charset=utf-8", 200),
    ])
    func `the content type is JSON or not there`(_ type: String, _ status: Int) async throws {
        try await withAdmin { admin in
            let body = #"{"tag":"a"}"#
            try await expect(status) {
                try await admin.ask("POST", "/purge", ["Content-Type: \(type)"], body: body)
            }
            #expect(admin.purgeCount == (status == 200 ? 1 : 0))
        }
    }
}
