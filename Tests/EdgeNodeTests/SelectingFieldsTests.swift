import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import Testing

@testable import EdgeNode

/// What selects a variant is what a request is sent on with.
struct SelectingFieldsTests {
    private func request(
        _ fields: [String] = [], from client: String, _ change: (inout SiteConfiguration) -> Void = { _ in }
    ) throws -> ExchangeRequest {
        var text = Array("GET /a HTTP/1.1\r\nHost: site.test\r\n".utf8)
        for field in fields { text += Array("\(field)\r\n".utf8) }
        text += [13, 10]
        var parser = RequestParser()
        var head = RequestHead()
        let outcome = text.withUnsafeBytes { parser.parse($0, into: &head) }
        #expect(outcome == .complete(consumed: text.count))
        var configuration = NodeConfiguration.forSingleOrigin(url: "http://127.0.0.1:1")
        change(&configuration.sites[0])
        let site = try #require(SiteTable(configuration).firstSite)
        let key = Array("http://site.test/a".utf8)
        return ExchangeRequest(
            head: head, client: ClientAddress(text: Array(client.utf8)), isTLS: false, site: site,
            rules: site.resolve(path: head.path), authority: Array("site.test".utf8),
            key: DigestSeed.random().digest(key), keyText: key, nodeID: Array("n".utf8))
    }

    @Test(arguments: ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Accept, X-Forwarded-For"])
    func `what the node writes for each client varies by client`(vary: String) throws {
        let site: (inout SiteConfiguration) -> Void = { $0.clientAddressField = "X-Real-IP" }
        let response = FieldSection([("Vary", vary)])
        let first = try request(["X-Forwarded-For: 9.9.9.9"], from: "192.0.2.1", site)
        let key = try #require(SecondaryKey(request: first.selecting.sent, response: response))
        #expect(first.selecting.fit(of: response, under: key) == .exact)
        let again = try request(["X-Real-IP: 8.8.8.8"], from: "192.0.2.1", site)
        #expect(again.selecting.fit(of: response, under: key) == .exact)
        let other = try request(["X-Forwarded-For: 192.0.2.1"], from: "192.0.2.2", site)
        #expect(other.selecting.fit(of: response, under: key) == SecondaryKey.Fit.none)
    }

    @Test func `what is sent is what the pull of it sends`() throws {
        let plain = try request(
            ["Accept: a", "X-Host: b", "Range: bytes=0-1", "If-None-Match: x"], from: "192.0.2.1")
        let names = plain.selecting.sent.lines.map {
            String(decoding: plain.selecting.sent.nameBytes($0), as: UTF8.self)
        }
        #expect(
            names == [
                "Accept", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "Via",
                "CDN-Loop",
            ])
        #expect(plain.keyTarget.elementsEqual("/a".utf8))
    }
}
