import EdgeAdmin
import EdgeNode
import EdgePrimitives
import EdgeTesting
import Testing

/// Orders that are done, and what the log and `/purges` keep of them.
@Suite(.wholeNodes) struct PurgeTests {
    static let accepted = [
        #"{"url":"http://www.example.com/a.css"}"#,
        #"{"url":"HTTPS://www.example.com/?a=b","anyQuery":true,"soft":true}"#,
        #"{"url":"http://a.test","anyQuery":false,"soft":false}"#,
        #"{"prefix":"http://www.example.com/assets/"}"#,
        #"{"host":"www.example.com"}"#, #"{"host":"www.example.com:8080","soft":true}"#,
        #"{"host":"[::1]:80"}"#,
        #"{"tag":"product-1"}"#, #"{"tag":"\u00fc\"\\"}"#, #"{"all":true}"#, #"{"soft":true,"all":true}"#,
        " \r\n\t{ \"tag\" :\t\"a\" }\n",
    ]

    @Test func `every scope is answered with its record, and listed newest first`() async throws {
        try await withAdmin { admin in
            var receipts: [JSONValue] = []
            for body in Self.accepted {
                let answer = try await admin.ask("POST", "/purge", body: body)
                #expect(answer.status == 200, "\(body): \(answer)")
                let receipt = try JSONValue(parsing: answer.text)
                let asked = try JSONValue(parsing: body)
                let scope = try #require(receipt["scope"]?.text)
                #expect(scope == "all" ? receipt["value"] == nil : receipt["value"] == asked[scope])
                #expect(receipt["soft"] == asked["soft"] ?? .bool(false))
                #expect(receipt["anyQuery"] == (asked["anyQuery"] == .bool(true) ? .bool(true) : nil))
                #expect(receipt["client"] == nil)
                receipts.append(receipt)
            }
            let listing = try JSONValue(parsing: try await admin.ask("GET", "/purges").text)
            let listed = try #require(listing["purges"]?.items)
            #expect(listed.map { $0["id"] } == receipts.reversed().map { $0["id"] })
            #expect(listed.allSatisfy { $0["client"] == .string("127.0.0.1") })
            let status = try JSONValue(parsing: try await admin.ask("GET", "/status").text)
            #expect(status["purges"]?["total"] == .number("\(Self.accepted.count)"))
            #expect(status["purges"]?["recent"]?.items?.first?["id"] == listed.first?["id"])
        }
    }

    @Test func `the log has every order, done or not, in one line each`() async throws {
        try await withAdmin(reload: {
            .failure(AdminProblem(errors: ["a.yaml:1:1: no", "a.yaml:2:1: nor this"]))
        }) {
            admin in
            _ = try await admin.ask(
                "POST", "/purge", body: #"{"url":"http://a.test/\u202e\u0085x","soft":true,"anyQuery":true}"#)
            _ = try await admin.ask("POST", "/purge", body: #"{"tag":"a\nnotice: forged"}"#)
            _ = try await admin.ask("POST", "/purge", body: #"{"a\nnotice: forged":1}"#)
            _ = try await admin.ask("POST", "/reload")
            _ = try await admin.ask("POST", "/drain")
            let lines = admin.log.lines
            try #require(lines.count == 5)
            #expect(lines.allSatisfy { $0.hasPrefix("notice: ") && !$0.contains("\n") })
            #expect(lines.allSatisfy { $0.contains(" client=127.0.0.1 ") })
            // U+0085 is white space to a URL, so this one is refused as well.
            #expect(lines[0].contains(#"value="http://a.test/\u{202e}\u{85}x" anyQuery=true soft=true "#))
            #expect(lines[0].contains("white space"))
            #expect(lines[1].contains(#"scope=tag value="a\u{a}notice: forged" soft=false "#))
            #expect(lines[2].contains(#"a\u{a}notice: forged"#))
            #expect(lines[3].contains("a.yaml:2:1: nor this"))
            #expect(lines[4] == "notice: drain: client=127.0.0.1 outcome=done")
        }
    }

    @Test func `a purge by the method PURGE is in the same log`() async throws {
        let network = try NetworkRange("127.0.0.1")
        try await withAdmin(configure: { $0.sites[0].purgeFrom = [network] }) { admin in
            let answer = try await admin.node.fetch("PURGE", "/a")
            #expect(answer.status == 200)
            let record = try #require(admin.node.node.purgeOverview(limit: 1).recent.first)
            #expect(
                admin.log.lines == [
                    "notice: purge \(record.id): scope=url value=\"\(record.value ?? "")\" soft=false "
                        + "client=127.0.0.1 outcome=done"
                ])
        }
    }

    @Test func `what is done is in the log with its number`() async throws {
        try await withAdmin { admin in
            let body = #"{"tag":"a\"\u202eb","soft":true}"#
            let id = try #require(
                try JSONValue(parsing: try await admin.ask("POST", "/purge", body: body).text)["id"]?.text)
            #expect(
                admin.log.lines == [
                    #"notice: purge \#(id): scope=tag value="a\"\u{202e}b" soft=true client=127.0.0.1 outcome=done"#
                ])
        }
    }

    @Test func `a reload that fails says every error`() async throws {
        try await withAdmin(reload: {
            .failure(AdminProblem(errors: ["a.yaml:1:1: no", "a.yaml:2:1: nor this"]))
        }) {
            admin in
            let answer = try await admin.ask("POST", "/reload")
            #expect(answer.status == 400)
            let problem = try JSONValue(parsing: answer.text)
            #expect(
                problem["errors"] == .array([.string("a.yaml:1:1: no"), .string("a.yaml:2:1: nor this")]))
        }
    }

    @Test func `a reload names the keys that wait for a restart, in its answer and in the log`() async throws
    {
        try await withAdmin(reload: {
            .success(ReloadReport(waitingForRestart: ["listen", "cache.directory"]))
        }) { admin in
            let answer = try await admin.ask("POST", "/reload")
            #expect(answer.status == 200)
            #expect(answer.text == #"{"reloaded":true,"waitingForRestart":["listen","cache.directory"]}"#)
            #expect(
                admin.log.lines == [
                    "notice: reload: client=127.0.0.1 outcome=done waitingForRestart=listen,cache.directory"
                ])
        }
        try await withAdmin { admin in
            let answer = try await admin.ask("POST", "/reload")
            #expect(answer.text == #"{"reloaded":true,"waitingForRestart":[]}"#)
        }
    }

    @Test func `another token counts from the next request on, and the one before no more`() async throws {
        try await withAdmin { admin in
            try await expect(200) { try await admin.ask("GET", "/status") }
            admin.current.replace(with: AdminToken("another-token-of-some-length"))
            try await expect(401) { try await admin.ask("GET", "/status") }
            try await expect(200) {
                try await admin.ask("GET", "/status", token: "another-token-of-some-length")
            }
        }
    }

    @Test func `the status says where clients connect`() async throws {
        try await withAdmin { admin in
            admin.node.node.listeners = [
                BoundListener(address: ListenAddress(host: "::1", port: 81), isTLS: false),
                BoundListener(address: ListenAddress(host: "192.0.2.1", port: 443), isTLS: true),
            ]
            let status = try JSONValue(parsing: try await admin.ask("GET", "/status").text)
            let listeners = try #require(status["listeners"]?.items)
            #expect(listeners.map { $0["address"] } == [.string("[::1]:81"), .string("192.0.2.1:443")])
            #expect(listeners.map { $0["tls"] } == [.bool(false), .bool(true)])
        }
    }

    @Test func `an order to drain is passed on`() async throws {
        try await withAdmin { admin in
            let answer = try await admin.ask("POST", "/drain")
            #expect(answer.status == 202)
            #expect(answer.text == #"{"draining":true}"#)
            #expect(admin.drains.count == 1)
            try await expect(401) { try await admin.ask("POST", "/drain", token: nil) }
            #expect(admin.drains.count == 1)
        }
    }
}
