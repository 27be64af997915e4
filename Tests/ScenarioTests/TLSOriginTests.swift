import EdgeNode
import EdgeOrigin
import EdgeTesting
import Testing

/// Pulls over TLS: who is believed, who we say we are, and where a body ends.
@Suite(.serialized, .wholeNodes) struct TLSOriginTests {
    /// Runs `body` with certificates of its own, an origin that shows one for `name`, and a node.
    private static func withTLSNode(
        certifiedFor name: String = "IP:127.0.0.1", asksForClientCertificate: Bool = false,
        configure: (inout NodeConfiguration, CertificateFolder) -> Void = { _, _ in },
        _ body: (TestNode, TLSOrigin, CertificateFolder) async throws -> Void
    ) async throws {
        let folder = try CertificateFolder()
        defer { folder.remove() }
        try await folder.makeAuthority("ca")
        try await folder.issue("server", by: "ca", for: name)
        let origin = try await TLSOrigin.start(
            certificate: "server", clientAuthority: asksForClientCertificate ? "ca" : nil, in: folder)
        defer { origin.stop() }
        let node = try await TestNode.start(origin: origin.url) { configuration in
            configuration.origins["main"]?.tls.authorityFile = folder.certificate("ca")
            configuration.origins["main"]?.connectTimeoutMilliseconds = 5_000
            configure(&configuration, folder)
        }
        do {
            try await body(node, origin, folder)
        } catch {
            try await node.stop()
            throw error
        }
        try await node.stop()
    }

    private static func reload(_ node: TestNode, _ change: (inout NodeConfiguration) -> Void) {
        var configuration = node.node.configuration
        change(&configuration)
        node.node.reload(configuration)
    }

    private static func expectUntrusted(
        _ response: ClientResponse, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(response.status == 502, sourceLocation: sourceLocation)
        #expect(
            response.proxyStatus?.hasPrefix("rockpool; error=tls_certificate_error") == true,
            "\(response)", sourceLocation: sourceLocation)
        #expect(response.fields["Cache-Status"] == nil, sourceLocation: sourceLocation)
        #expect(response.fields["Cache-Control"] == "no-store", sourceLocation: sourceLocation)
    }

    // MARK: Whom we believe

    @Test func `with the authority's certificate the node pulls and stores`() async throws {
        try await Self.withTLSNode { node, origin, _ in
            let first = try await node.fetch("GET", "/a")
            #expect(first.status == 200)
            #expect(first.text == "GET /a asked for no name")
            #expect(first.cacheStatus?.contains("stored") == true)
            let second = try await node.fetch("GET", "/a")
            #expect(second.text == first.text)
            #expect(second.cacheStatus?.hasPrefix("rockpool; hit") == true)
            #expect(try await origin.requestCount() == 1)
        }
    }

    @Test func `an origin that would rather speak HTTP 2 is asked in HTTP 1.1`() async throws {
        try await Self.withTLSNode { node, _, _ in
            let response = try await node.fetch("GET", "/protocol")
            #expect(response.text == "http/1.1")
        }
    }

    @Test func `without the authority's certificate nothing is pulled and nothing stored`() async throws {
        try await Self.withTLSNode(configure: { configuration, _ in
            configuration.origins["main"]?.tls.authorityFile = nil
        }) { node, origin, folder in
            Self.expectUntrusted(try await node.fetch("GET", "/a"))
            Self.expectUntrusted(try await node.fetch("POST", "/a", body: "secret"))
            #expect(try await origin.requestCount() == 0)
            Self.reload(node) { $0.origins["main"]?.tls.authorityFile = folder.certificate("ca") }
            let later = try await node.fetch("GET", "/a")
            #expect(later.status == 200)
            #expect(later.cacheStatus?.hasPrefix("rockpool; fwd=uri-miss") == true)
        }
    }

    @Test func `another authority's certificate is not enough`() async throws {
        try await Self.withTLSNode(configure: { configuration, folder in
            configuration.origins["main"]?.tls.authorityFile = folder.certificate("other")
        }) { node, origin, folder in
            // A file that is not there at the first pull is a certificate error too.
            Self.expectUntrusted(try await node.fetch("GET", "/a"))
            try await folder.makeAuthority("other")
            Self.expectUntrusted(try await node.fetch("GET", "/a"))
            #expect(try await origin.requestCount() == 0)
        }
    }

    @Test func `a certificate for another name is not enough`() async throws {
        try await Self.withTLSNode(certifiedFor: "DNS:origin.test") { node, origin, _ in
            Self.expectUntrusted(try await node.fetch("GET", "/a"))
            #expect(try await origin.requestCount() == 0)
        }
    }

    @Test func `serverName is the name that is asked for and verified`() async throws {
        try await Self.withTLSNode(
            certifiedFor: "DNS:origin.test",
            configure: { configuration, _ in configuration.origins["main"]?.tls.serverName = "origin.test" }
        ) { node, _, _ in
            let response = try await node.fetch("GET", "/a")
            #expect(response.status == 200)
            #expect(response.text == "GET /a asked for origin.test")
            Self.reload(node) { $0.origins["main"]?.tls.serverName = "other.test" }
            Self.expectUntrusted(try await node.fetch("GET", "/b"))
            // What was stored meanwhile stays.
            #expect(try await node.fetch("GET", "/a").cacheStatus?.hasPrefix("rockpool; hit") == true)
        }
    }

    @Test func `serverName changes nothing of the Host that the origin gets`() async throws {
        try await Self.withTLSNode(
            certifiedFor: "DNS:origin.test",
            configure: { configuration, _ in configuration.origins["main"]?.tls.serverName = "origin.test" }
        ) { node, origin, _ in
            #expect(try await node.fetch("GET", "/host").text == "case.test")
            Self.reload(node) { $0.origins["main"]?.host = .origin }
            _ = try await node.fetch("POST", "/host", body: "")
            #expect(try await node.fetch("POST", "/host", body: "").text == "127.0.0.1:\(origin.port)")
        }
    }

    /// SIGHUP takes certificates anew; their files keep their names.
    @Test func `a reload reads the authority's file again`() async throws {
        try await Self.withTLSNode { node, origin, folder in
            #expect(try await node.fetch("GET", "/a").status == 200)
            try await folder.makeAuthority("next")
            try await folder.issue("renewed", by: "next", for: "IP:127.0.0.1")
            let renewed = try await TLSOrigin.start(certificate: "renewed", in: folder)
            defer { renewed.stop() }
            try folder.replace("ca", with: "next")
            Self.reload(node) { $0.origins["main"]?.urls = [renewed.url] }
            let response = try await node.fetch("GET", "/b")
            #expect(response.status == 200, "\(response)")
        }
    }

    // MARK: Who we are

    @Test func `an origin that asks for a client certificate gets the configured one`() async throws {
        try await Self.withTLSNode(asksForClientCertificate: true) { node, origin, folder in
            let refused = try await node.fetch("GET", "/a")
            #expect(refused.status == 502)
            #expect(refused.proxyStatus?.hasPrefix("rockpool; error=") == true)
            #expect(try await origin.requestCount() == 0)
            try await folder.issue("edge", by: "ca", for: "DNS:edge.test")
            Self.reload(node) { configuration in
                configuration.origins["main"]?.tls.clientCertificateFile = folder.certificate("edge")
                configuration.origins["main"]?.tls.clientKeyFile = folder.key("edge")
            }
            let response = try await node.fetch("GET", "/a")
            #expect(response.status == 200, "\(response)")
            #expect(response.cacheStatus?.hasPrefix("rockpool; fwd=uri-miss") == true)
            Self.reload(node) { configuration in
                configuration.origins["main"]?.tls.clientCertificateFile = nil
                configuration.origins["main"]?.tls.clientKeyFile = nil
            }
            // Nor does a connection on which we had said who we are serve those for whom we do not.
            #expect(try await node.fetch("GET", "/b").status == 502)
            #expect(try await origin.requestCount() == 1)
        }
    }

    // MARK: Where a body ends

    @Test(arguments: ["length", "chunked", "close"])
    func `a body that is cut off over TLS has no clean end and is not stored`(framing: String) async throws {
        try await Self.withTLSNode { node, origin, _ in
            let client = try node.connect()
            try await client.send(RawClient.request("GET", "/cut/" + framing))
            let head = try await client.head()
            #expect(head.status == 200)
            try origin.goOn()
            if framing == "length" {
                #expect(head.fields["Content-Length"] == "10")
                #expect(try await client.rest() == Array("12345".utf8))
            } else {
                #expect(try await client.chunk() == "12345")
                let endsInOrder = try await Self.endsInOrder(client)
                // libcurl takes the end of a TLS connection for the end of the body, close_notify or not.
                withKnownIssue("a cut is passed on as a clean end") {
                    #expect(!endsInOrder)
                } when: {
                    framing == "close"
                }
            }
            let again = try await node.fetch("GET", "/cut/" + framing)
            #expect(again.text == "1234567890")
            #expect(again.cacheStatus?.hasPrefix("rockpool; fwd=uri-miss") == true)
            #expect(try await origin.requestCount() == 2)
        }
    }

    /// Whether a chunked body has its last chunk.
    private static func endsInOrder(_ client: RawClient) async throws -> Bool {
        do {
            while try await client.chunk() != nil {}
            return true
        } catch is ConnectionReset {
            return false
        } catch let failure as TestFailure where failure.description.hasPrefix("the connection ended") {
            return false
        }
    }

    @Test func `a body that ends with a TLS connection in order reaches its client whole`() async throws {
        try await Self.withTLSNode { node, _, _ in
            let response = try await node.fetch("GET", "/until-close")
            #expect(response.framing == .chunked)
            #expect(response.text == "1234567890")
        }
    }

    @Test func `two servers, one of them not to be trusted, cost a retry`() async throws {
        try await Self.withTLSNode { node, origin, folder in
            try await folder.makeAuthority("other")
            try await folder.issue("impostor", by: "other", for: "IP:127.0.0.1")
            let impostor = try await TLSOrigin.start(certificate: "impostor", in: folder)
            defer { impostor.stop() }
            Self.reload(node) { $0.origins["main"]?.urls = [impostor.url, origin.url] }
            #expect(try await node.fetch("GET", "/a").status == 200)
            #expect(try await node.fetch("POST", "/host", body: "x").status == 200)
            #expect(try await impostor.requestCount() == 0)
            #expect(try await origin.requestCount() == 2)
        }
    }
}
