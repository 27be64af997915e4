import EdgeAdmin
import EdgeNode
import EdgeTesting
import Testing

/// `/openapi.json` against the server that it describes.
@Suite(.wholeNodes) struct OpenAPITests {
    private struct Operation {
        let path: String
        let method: String
        let value: JSONValue
        var name: String { "\(method) \(path)" }
    }

    /// A request that gets a status.
    private struct Provocation {
        let operation: String
        let status: Int
        var query = ""
        var fields: [String] = []
        var body: String?
    }

    private static let url = "http%3A%2F%2Fwww.example.com%2Fa.css"
    private static let large = String(repeating: " ", count: 65_537)

    private static let provocations: [Provocation] =
        [
            Provocation(operation: "POST /purge", status: 200, body: #"{"tag":"product-1"}"#),
            Provocation(operation: "POST /purge", status: 200, body: #"{"all":true,"soft":true}"#),
            Provocation(
                operation: "POST /purge", status: 200,
                body: #"{"url":"http://www.example.com/a.css","anyQuery":true}"#),
            Provocation(operation: "POST /purge", status: 400, body: #"{"tag":1}"#),
            Provocation(operation: "GET /purges", status: 200),
            Provocation(operation: "GET /purges", status: 400, query: "?limit=1"),
            Provocation(operation: "GET /explain", status: 200, query: "?url=\(url)"),
            Provocation(
                operation: "GET /explain", status: 200,
                query:
                    "?url=\(url)&method=HEAD&header=Accept:%20a&header=Accept-Encoding:gzip&originDown=true"),
            Provocation(operation: "GET /explain", status: 400),
            Provocation(operation: "GET /objects", status: 200, query: "?url=\(url)"),
            Provocation(operation: "GET /objects", status: 400),
            Provocation(operation: "GET /status", status: 200),
            Provocation(operation: "GET /metrics", status: 200),
            Provocation(operation: "POST /reload", status: 200),
            Provocation(operation: "POST /reload", status: 400, body: #"{"a":1}"#),
            Provocation(operation: "POST /drain", status: 202, body: "{}"),
            Provocation(operation: "POST /drain", status: 400, query: "?now=1"),
            Provocation(operation: "GET /healthz", status: 200),
            Provocation(operation: "GET /readyz", status: 200),
            Provocation(operation: "GET /openapi.json", status: 200),
        ]
        + ["POST /purge", "POST /reload", "POST /drain"].flatMap {
            [
                Provocation(operation: $0, status: 413, body: large),
                Provocation(operation: $0, status: 415, fields: ["Content-Type: text/plain"], body: "{}"),
            ]
        }

    /// The dashboard page's routes are not part of the API.
    private static let page: Set = ["GET /", "GET /dashboard.css", "GET /dashboard.js"]

    private static func document(_ admin: TestAdmin) async throws -> JSONValue {
        let answer = try await admin.ask("GET", "/openapi.json")
        #expect(answer.fields["Content-Type"] == "application/json")
        return try JSONValue(parsing: answer.text)
    }

    private static func operations(_ document: JSONValue) -> [Operation] {
        (document["paths"]?.members ?? []).flatMap { path in
            path.value.members.map {
                Operation(path: path.name, method: $0.name.uppercased(), value: $0.value)
            }
        }
    }

    /// That the document has the answer's status for this operation, its content type and its body.
    private static func expect(
        _ answer: ClientResponse, _ operation: Operation, _ document: JSONValue, _ location: SourceLocation
    ) throws {
        let schema = Schema(document: document)
        guard let described = operation.value["responses"]?["\(answer.status)"] else {
            Issue.record("\(operation.name) answered \(answer)", sourceLocation: location)
            return
        }
        let response = try schema.resolve(described)
        for field in response["headers"]?.members ?? [] {
            #expect(
                answer.fields[field.name] != nil, "\(operation.name): \(field.name)", sourceLocation: location
            )
        }
        let type = answer.fields["Content-Type"]?.prefix { $0 != ";" }
        guard let type, let content = response["content"]?[String(type)]?["schema"] else {
            Issue.record("\(operation.name): \(type ?? "no") content type", sourceLocation: location)
            return
        }
        let value = type.hasSuffix("json") ? try JSONValue(parsing: answer.text) : .string(answer.text)
        let faults = try schema.faults(value, content)
        #expect(faults.isEmpty, "\(operation.name) \(answer.status)", sourceLocation: location)
        if type == "application/problem+json" {
            #expect(value["status"] == .number("\(answer.status)"), sourceLocation: location)
        }
    }

    @Test func `every operation answers as the document says`() async throws {
        try await withAdmin { admin in
            let document = try await Self.document(admin)
            let operations = Self.operations(document)
            var seen: Set<String> = []
            for operation in operations {
                let location = #_sourceLocation
                for provocation in Self.provocations where provocation.operation == operation.name {
                    let answer = try await admin.ask(
                        operation.method, operation.path + provocation.query, provocation.fields,
                        body: provocation.body)
                    #expect(answer.status == provocation.status, "\(provocation)")
                    try Self.expect(answer, operation, document, location)
                    seen.insert("\(operation.name) \(answer.status)")
                }
                let isOpen = operation.value["security"]?.items?.isEmpty == true
                let stranger = try await admin.ask(operation.method, operation.path, token: nil)
                #expect((stranger.status == 401) == !isOpen, "\(operation.name)")
                if !isOpen {
                    try Self.expect(stranger, operation, document, location)
                    seen.insert("\(operation.name) 401")
                }
            }
            admin.node.node.isDraining = true
            for operation in operations where operation.path == "/readyz" {
                try Self.expect(try await admin.ask("GET", "/readyz"), operation, document, #_sourceLocation)
                seen.insert("GET /readyz 503")
            }
            for _ in 0..<10 { _ = try await admin.ask("GET", "/status", token: "wrong") }
            for operation in operations where operation.value["security"] == nil {
                let answer = try await admin.ask(operation.method, operation.path, token: "wrong")
                #expect(answer.status == 429)
                try Self.expect(answer, operation, document, #_sourceLocation)
                seen.insert("\(operation.name) 429")
            }
            let described = operations.flatMap { operation in
                (operation.value["responses"]?.members ?? []).map { "\(operation.name) \($0.name)" }
            }
            // The ledger's disk would have to fail for it.
            #expect(Set(described).subtracting(seen) == ["POST /purge 503"])
        }
    }

    @Test func `every route is in the document and nothing else is`() async throws {
        try await withAdmin { admin in
            let described = Self.operations(try await Self.document(admin)).map(\.name)
            #expect(Set(described) == Set(admin.service.routes).subtracting(Self.page))
        }
    }

    @Test func `other methods get 405 with Allow, HEAD is there where GET is`() async throws {
        try await withAdmin { admin in
            let operations = Self.operations(try await Self.document(admin))
            for operation in operations {
                for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
                where method != operation.method && (method, operation.method) != ("HEAD", "GET") {
                    let answer = try await admin.ask(method, operation.path)
                    #expect(answer.status == 405, "\(method) \(operation.path)")
                    #expect(answer.fields["Allow"] == (operation.method == "GET" ? "GET, HEAD" : "POST"))
                    #expect(method == "HEAD" || answer.fields["Content-Type"] == "application/problem+json")
                }
            }
            for provocation in Self.provocations where provocation.operation.hasPrefix("GET ") {
                let target = provocation.operation.dropFirst(4) + provocation.query
                let client = try RawClient(port: admin.port)
                defer { client.close() }
                let get = try await admin.ask("GET", String(target))
                // Two on one connection: a body after HEAD would be read as the second answer.
                let head = RawClient.request("HEAD", String(target), TestAdmin.authorization())
                try await client.send(head + head)
                for _ in 0..<2 {
                    let answer = try await client.response(to: "HEAD")
                    #expect(answer.status == get.status)
                    #expect(answer.fields["Content-Type"] == get.fields["Content-Type"])
                    if !["/status", "/metrics"].contains(target) {
                        #expect(answer.fields["Content-Length"] == "\(get.body.count)")
                    }
                }
            }
        }
    }

    @Test(arguments: [
        "/purge/", "//status", "/status/", "/Status", "/%73tatus", "/nothing", "/../status", "*",
        "/healthz/x",
    ])
    func `what is not there is a 404 problem`(_ target: String) async throws {
        try await withAdmin { admin in
            let answer = try await admin.ask("GET", target)
            #expect(answer.status == 404)
            #expect(answer.fields["Content-Type"] == "application/problem+json")
        }
    }

    @Test func `the purge schema and the server agree`() async throws {
        try await withAdmin { admin in
            let document = try await Self.document(admin)
            let schema = Schema(document: document)
            let body = try #require(document["components"]?["schemas"]?["PurgeRequest"])
            for (text, _) in BadRequestTests.purges where (try? JSONValue(parsing: text)) != nil {
                let value = try JSONValue(parsing: text)
                #expect(try !schema.faults(value, body).isEmpty, "\(text.prefix(100))")
            }
            for text in PurgeTests.accepted {
                #expect(try schema.faults(JSONValue(parsing: text), body).isEmpty, "\(text)")
            }
        }
    }
}
