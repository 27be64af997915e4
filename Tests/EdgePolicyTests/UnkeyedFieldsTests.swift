import EdgeHTTP
import EdgePolicy
import Foundation
import Testing

@Suite struct `Fields that no key holds` {
    @Test func `the table is the one in fixtures, where each has its source`() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("fixtures/unkeyed-fields.tsv")
        var fixture: [String: String] = [:]
        for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
        where !line.hasPrefix("#") {
            let parts = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            #expect(parts.count == 3 && parts[2].count > 5, "\(line)")
            #expect(fixture.updateValue(parts[1], forKey: parts[0]) == nil, "\(parts[0]) stands there twice")
        }
        var table: [String: String] = [:]
        for (family, patterns) in UnkeyedFields.patterns {
            for pattern in patterns { table[pattern] = family.rawValue }
        }
        #expect(table == fixture)
        #expect(table.keys.allSatisfy { $0 == $0.lowercased() && !$0.contains("_") })
    }

    @Test(arguments: [
        ("x-host", UnkeyedFields.Family.target), ("x-forward-host", .target), ("x-scheme", .target),
        ("x-original-url", .target), ("x-rewrite-url", .target), ("x-http-host-override", .method),
        ("x-http-method-override", .method), ("x-middleware-subrequest", .inner),
        ("x-envoy-original-path", .inner), ("x-amz-website-redirect-location", .vendor),
        ("x-goog-meta-a", .vendor), ("x-ms-version", .vendor), ("x-goog-api-key", .passes),
        ("x-real-ip", .address), ("true-client-ip", .address), ("cf-connecting-ip", .address),
        ("fastly-client-ip", .address), ("x-client-ip", .address), ("x-cluster-client-ip", .address),
        ("x-envoy-external-address", .address), ("x-original-forwarded-for", .address),
        ("http-x-forwarded-for", .address), ("proxy", .never),
    ])
    func `a field is of its family`(name: String, family: UnkeyedFields.Family) {
        #expect(UnkeyedFields.family(of: Array(name.utf8)) == family)
    }

    @Test(arguments: [
        "X-Requested-With", "X-API-Key", "X-CSRF-Token", "HX-Request", "HX-Target", "Turbo-Frame",
        "X-Inertia",
        "X-Inertia-Version", "RSC", "Next-Router-State-Tree", "Next-Url", "X-Nextjs-Data", "X-Auth-Token",
        "X-Access-Token", "X-WP-Nonce", "X-PJAX", "X-Request-Id", "Traceparent", "DNT", "Save-Data",
        "Sec-Fetch-Mode", "Sec-CH-UA", "Upgrade-Insecure-Requests", "Priority", "Purpose", "Idempotency-Key",
        "Last-Event-ID", "Test-ID", "Req-Num", "X-Shopify-Access-Token", "CF-Access-Client-Secret",
        "Fastly-Key", "X-Amzn-Oidc-Data", "Content-Type", "",
    ])
    func `what clients need and what carries credentials passes`(name: String) {
        switch UnkeyedFields.family(of: Array(name.lowercased().utf8)) {
        case .passes, nil: break
        case let family: Issue.record("\(name) is of \(String(describing: family))")
        }
    }
}
