import EdgeConfig
import EdgeNode
import EdgeOrigin
import EdgePolicy
import Foundation
import Testing

struct SampleFileTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("edge-config")

    private static func sample(_ name: String) throws -> String {
        try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
    }

    /// A folder of its own with the files that the samples name.
    private static func withFiles<Result>(_ body: (String) throws -> Result) throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "config-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for name in ["admin.token", "ca.pem", "client.pem", "client.key", "secret"] {
            let file = folder.appendingPathComponent(name)
            try Data("\(name)\n".utf8).write(to: file)
            if name == "admin.token" { try writeToken("0123456789abcdef", to: file.path, mode: 0o600) }
        }
        return try body(folder.path + "/")
    }

    private static func writeToken(_ token: String, to path: String, mode: Int) throws {
        try Data("\(token)\n".utf8).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    }

    @Test(arguments: [
        ("0123456789abcde", 0o600, "has 15 characters; write at least 16"),
        ("0123456789abcdef", 0o644, "everybody on this machine may read or write the token"),
        ("0123456789abcdef", 0o662, "everybody on this machine may read or write the token"),
        ("0123456789abcdef", 0o660, nil), ("0123456789abcdef", 0o400, nil),
    ]) func `a token that can be guessed or read is named with its place`(
        token: String, mode: Int, expected: String?
    ) throws {
        try Self.withFiles { folder in
            try Self.writeToken(token, to: folder + "admin.token", mode: mode)
            try FileManager.default.createSymbolicLink(
                atPath: folder + "link", withDestinationPath: "admin.token")
            for name in ["admin.token", "link"] {
                let yaml = try Self.sample("minimal.yaml") + "\nadmin:\n  tokenFile: \(name)\n"
                let line = yaml.split(separator: "\n", omittingEmptySubsequences: false).count - 1
                let found: String?
                do throws(ConfigurationErrors) {
                    _ = try ConfigurationFile.parse(yaml: yaml, path: folder + "edge.yaml")
                    found = nil
                } catch {
                    found = "\(error.errors[0])"
                    #expect(error.errors.count == 1)
                }
                guard let expected else {
                    #expect(found == nil)
                    continue
                }
                #expect(found?.hasPrefix("\(folder)edge.yaml:\(line):14: ") == true, "\(found ?? "")")
                #expect(found?.contains(expected) == true, "\(found ?? "")")
            }
        }
    }

    @Test(arguments: [("full.yaml", SampleFile.full()), ("rockpool.schema.json", SchemaFile.text())])
    func `the shipped files are what the table of keys makes`(_ name: String, _ expected: String) throws {
        if ProcessInfo.processInfo.environment["ROCKPOOL_WRITE_SAMPLES"] != nil {
            try Data(expected.utf8).write(to: Self.folder.appendingPathComponent(name))
        }
        #expect(try Self.sample(name) == expected)
    }

    @Test func `the schema is JSON and names the draft`() throws {
        let schema = try JSONSerialization.jsonObject(with: Data(SchemaFile.text().utf8)) as? [String: Any]
        #expect(schema?["$schema"] as? String == "https://json-schema.org/draft/2020-12/schema")
        #expect(
            (schema?["properties"] as? [String: Any])?.keys.sorted() == [
                "admin", "cache", "listen", "log", "node", "origins", "sites",
            ])
    }

    @Test func `of every key it is known whether a reload is enough`() throws {
        // Below these a reload is, for all of it.
        let live = ["origins", "sites"]
        let known: Set = [
            "node.id", "listen[].address", "admin.address", "admin.tokenFile", "cache.directory",
            "cache.memory",
            "cache.disk", "cache.maxResponse", "cache.maxVariants", "log.access", "log.format", "log.level",
        ]
        let schema = try #require(
            try JSONSerialization.jsonObject(with: Data(SchemaFile.text().utf8)) as? [String: Any])
        func paths(_ node: [String: Any], _ place: String) -> [String] {
            guard !live.contains(place) else { return [] }
            let members = (node["properties"] as? [String: [String: Any]] ?? [:]).flatMap { name, child in
                paths(child, place.isEmpty ? name : "\(place).\(name)")
            }
            let items = (node["items"] as? [String: Any]).map { paths($0, "\(place)[]") } ?? []
            return members.isEmpty && items.isEmpty ? [place] : members + items
        }
        // A new key belongs here, and in NodeConfiguration.waitingForRestart where a reload does not do.
        #expect(Set(paths(schema, "")) == known)
    }

    @Test func `the minimal sample loads`() throws {
        let path = Self.folder.appendingPathComponent("minimal.yaml").path
        let configuration = try ConfigurationFile.load(path: path)
        #expect(configuration.listeners == [ListenAddress(host: "0.0.0.0", port: 8080)])
        #expect(configuration.sites.map(\.hosts) == [["www.example.com"]])
        #expect(configuration.origins["main"] == OriginConfiguration(urls: ["https://origin.example"]))
    }

    @Test func `the full sample says the defaults`() throws {
        var full = try ConfigurationFile.parse(yaml: try Self.sample("full.yaml"), path: "full.yaml")
        var expected = NodeConfiguration()
        expected.origins = ["main": OriginConfiguration(urls: ["https://origin.example"])]
        expected.sites = [SiteConfiguration(hosts: ["www.example.com", "*.example.net"], origin: "main")]
        var rule = RuleConfiguration()
        rule.match.path = "*"
        rule.overridesOrigin = CachingRules().overridesOrigin
        rule.query = .all
        rule.cookies = CachingRules().cookies
        rule.setCookie = CachingRules().setCookie
        rule.response = .init()
        rule.request = .init()
        rule.passes = CachingRules().passes
        rule.line = try #require(full.sites.first?.rules.first?.line)
        expected.sites[0].rules = [rule]
        #expect(full == expected)
        full.sites[0].rules = []
        #expect(full.cache == NodeConfiguration.Cache())
    }

    @Test func `the full sample loads with every example turned on`() throws {
        let text = try Self.sample("full.yaml").split(separator: "\n").map { line in
            let bare = line.drop { $0 == " " }
            guard bare.first == "#", bare.dropFirst().first?.isLetter == true else { return String(line) }
            return String(line.prefix { $0 == " " }) + String(bare.dropFirst())
        }
        try Self.withFiles { folder in
            let yaml = text.joined(separator: "\n")
            let configuration = try ConfigurationFile.parse(yaml: yaml, path: folder + "full.yaml")
            let origin = try #require(configuration.origins["main"])
            #expect(configuration.nodeID == "fra-1")
            #expect(configuration.admin.tokenFile == folder + "admin.token")
            #expect(configuration.cache.directory == folder + "rockpool-cache")
            #expect(origin.tls.authorityFile == folder + "ca.pem")
            #expect(origin.health == OriginConfiguration.Health(path: "/healthz"))
            let site = try #require(configuration.sites.first)
            #expect(site.methods == ["GET", "HEAD", "POST"])
            #expect(site.stale.ifErrorMilliseconds == 86_400_000)
            #expect(site.stale.afterMilliseconds == 300)
            #expect(site.rules.first?.lifetimes == .init(byStatus: [200: 2_592_000_000, 404: 10_000]))
            #expect(site.rules.first?.response?.clientCacheControl == "max-age=60")
        }
    }

    @Test func `values of every kind are read`() throws {
        let yaml = """
            cache: { directory: /c, memory: 512MiB, disk: 1GB, maxResponse: 7B, maxVariants: 3 }
            log: { access: off, format: combined, level: debug }
            listen: [{ address: "[::1]:80" }, { address: localhost:0 }]
            origins:
              a:
                urls: ["HTTPS://A.example:8443/", "http://[::1]:3000"]
                balance: hash
                host: Name.example
                headers: { X-Secret: { file: secret }, X-Plain: "text" }
                tls: { clientCertificate: client.pem, clientKey: client.key }
                fetchTimeout: 1m
            sites:
              - hosts: [B.example, "[::1]", "*.c.example"]
                origin: a
                stale: { ifUnreachable: 0s, whileRevalidate: 7d }
                rules:
                  - match: { path: "/x" }
                    ttl: 5s
                    query: [v, "w*"]
                  - query: { drop: ["utm_*"], sort: true }
                    cookies: pass
                    maxTTL: 365d
                    request: { set: { X-A: b }, remove: [Cookie] }
                    cache: pass
                    stallTimeout: 5m
            """
        try Self.withFiles { folder in
            let configuration = try ConfigurationFile.parse(yaml: yaml, path: folder + "edge.yaml")
            #expect(configuration.cache.memoryBytes == 512 << 20)
            #expect(configuration.cache.diskBytes == 1_000_000_000)
            #expect(configuration.cache.maxResponseBytes == 7)
            #expect(configuration.log.access == .off)
            #expect(configuration.log.format == .combined)
            #expect(configuration.listeners.map(\.host) == ["::1", "localhost"])
            let origin = try #require(configuration.origins["a"])
            #expect(origin.urls == ["https://a.example:8443", "http://[::1]:3000"])
            #expect(origin.host == .name("name.example"))
            #expect(origin.headers == ["X-Secret": "secret", "X-Plain": "text"])
            #expect(origin.fetchTimeoutMilliseconds == 60_000)
            let site = try #require(configuration.sites.first)
            #expect(site.hosts == ["b.example", "[::1]", "*.c.example"])
            #expect(site.stale.ifUnreachableMilliseconds == 0)
            #expect(site.rules.map(\.query) == [.keep(["v", "w*"]), .drop(["utm_*"], sort: true)])
            #expect(site.rules.map(\.line) == [17, 20])
            #expect(site.rules.last?.passes == true)
            #expect(site.rules.map(\.stallTimeoutMilliseconds) == [nil, 300_000])
            #expect(site.rules.last?.request?.set == ["X-A": "b"])
            #expect(site.rules.first?.lifetimes?.defaultMilliseconds == 5_000)
        }
    }
}
