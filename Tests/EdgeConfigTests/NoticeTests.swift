import EdgeConfig
import EdgeNode
import EdgePolicy
import Testing

struct NoticeTests {
    private static func notices(_ site: String) throws -> [String] {
        let yaml =
            "origins: { main: { urls: [http://a.example] } }\nsites:\n  - hosts: [a.example]\n    origin: main\n"
        let configuration = try ConfigurationFile.parse(yaml: yaml + site, path: "edge.yaml")
        return ConfigurationNotice.all(of: configuration, file: "edge.yaml").map(\.description)
    }

    @Test(arguments: [
        ("ignore", "it gets none"), ("[id, page]", "it gets id, page alone"),
        ("{ drop: [\"utm_*\"] }", "it does not get utm_*"),
        ("{ drop: [a], sort: true }", "it does not get a, and it gets the parameters sorted"),
        ("{ sort: true }", "it gets the parameters sorted"),
    ])
    func `a rule that narrows the key narrows what the origin gets, and that is said`(
        query: String, expected: String
    ) throws {
        let found = try Self.notices("    rules:\n      - match: { path: /a }\n        query: \(query)\n")
        #expect(found.count == 1)
        #expect(
            found.first?.hasPrefix(
                "edge.yaml:6: note: query: the origin is asked with the query of the key: \(expected).")
                == true)
    }

    @Test(arguments: [
        ("{ ttl: 30d, cookies: strip }", true), ("{ ttl: 30d, override: true }", true),
        ("{ ttl: 30d }", false),
        ("{ ttl: 30d, cookies: strip, setCookie: store }", false), ("{ cookies: strip }", false),
        ("{ ttl: 30d, override: true, setCookie: drop }", false),
    ])
    func `a lifetime for whatever comes is said to be none for Set-Cookie`(rule: String, isSaid: Bool) throws
    {
        let found = try Self.notices("    rules: [\(rule)]\n")
        #expect(found.contains { $0.contains("setCookie: store") } == isSaid)
        #expect(found.count == (isSaid ? 1 : 0))
    }

    @Test(arguments: [
        ("/a;b/*", true), ("/a//b", true), ("/a/../b", true), ("/a/./b", true), ("/a/*", false),
        ("/a.b/..c", false),
    ])
    func `a pattern that others read as another path is said to permit nothing`(path: String, isSaid: Bool)
        throws
    {
        let found = try Self.notices("    rules: [{ match: { path: \"\(path)\" }, ttl: 1d }]\n")
        #expect(found.contains { $0.contains("permits nothing") } == isSaid)
    }

    @Test func `nothing is said of a file that keeps whole queries`() throws {
        #expect(try Self.notices("    rules: [{ query: all }]\n").isEmpty)
        #expect(try Self.notices("").isEmpty)
    }

    @Test func `a site names what reaches its origin`() throws {
        let yaml = """
            origins: { main: { urls: [http://a.example] } }
            sites:
              - { hosts: [a.example], origin: main, clientAddress: X-Real-IP, forward: strict }
              - { hosts: [b.example], origin: main, forward: [X-Theme, pragma] }
              - { hosts: [c.example], origin: main, forward: all }
            """
        let sites = try ConfigurationFile.parse(yaml: yaml, path: "edge.yaml").sites
        #expect(sites.map(\.clientAddressField) == ["X-Real-IP", nil, nil])
        #expect(sites.map(\.forwarding) == [.strict(and: []), .strict(and: ["X-Theme", "pragma"]), .all])
    }
}
