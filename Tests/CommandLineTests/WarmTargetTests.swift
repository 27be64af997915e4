import ArgumentParser
import Foundation
import Testing

@testable import rockpool

/// Where `rockpool warm` sends its requests while nobody names a listener.
struct WarmTargetTests {
    @Test(
        arguments: [
            (["127.0.0.1:8080"], "http://127.0.0.1:8081", "http://127.0.0.1:8080"),
            (["0.0.0.0:8080"], "http://127.0.0.1:8081", "http://127.0.0.1:8080"),
            (["0.0.0.0:8080"], "http://edge.example:8081", "http://edge.example:8080"),
            (["[::]:8080"], "http://[::1]:8081", "http://[::1]:8080"),
            (["[2001:db8::1]:80"], "https://edge.example/admin", "http://[2001:db8::1]:80"),
            // With TLS only where there is nothing else.
            (["tls 0.0.0.0:443", "0.0.0.0:80"], "http://localhost:8081", "http://localhost:80"),
            (["tls 192.0.2.1:443"], "http://192.0.2.1:8081", "https://192.0.2.1:443"),
            // The node's own machine is not this one.
            (["127.0.0.1:8080"], "http://192.0.2.1:8081", nil),
            (["127.0.0.1:8080", "192.0.2.1:80"], "http://192.0.2.1:8081", "http://192.0.2.1:80"),
            ([], "http://127.0.0.1:8081", nil), (["nonsense"], "http://127.0.0.1:8081", nil),
            (["a b:80"], "http://127.0.0.1:8081", nil), (["evil@host:80"], "http://127.0.0.1:8081", nil),
        ] as [([String], String, String?)])
    func `the listener is one that can be reached from here`(_ example: ([String], String, String?)) {
        let listeners = example.0.map { text in
            NodeStatus.Listener(
                address: String(text.trimmingPrefix("tls ")), tls: text.hasPrefix("tls "))
        }
        #expect(WarmTarget.choose(listeners, admin: example.1) == example.2)
    }

    @Test func `what cannot be looked up is told with how to name it`() throws {
        let token = NSTemporaryDirectory() + "no-token-\(UUID().uuidString)"
        let failure = #expect(throws: ClientFailure.self) {
            try WarmTarget.find(admin: "http://127.0.0.1:1", tokenFile: token)
        }
        let text = try #require(failure?.description)
        #expect(text.contains("--node http://HOST:PORT") && text.contains("ROCKPOOL_NODE"))
        #expect(failure?.exitCode.rawValue == 77)
    }
}
