import EdgeConfig
import EdgeNode
import Testing

/// A file that is wrong, and the start of what is said about it: `line:column: message; suggestion`.
struct BadFile: Sendable, CustomTestStringConvertible {
    var yaml: String
    var expected: [String]
    var testDescription: String { expected.first ?? "" }

    /// A whole file.
    init(_ yaml: String, _ expected: String...) {
        self.yaml = yaml
        self.expected = expected
    }

    /// A sound file of ten lines with the wrong part from line 11 on.
    static func after(_ part: String, _ expected: String...) -> BadFile {
        var file = BadFile(sound + part)
        file.expected = expected
        return file
    }

    /// A rule of the sound file's site: its first key is at 11:9.
    static func rule(_ part: String, _ expected: String...) -> BadFile {
        var file = BadFile(sound + "    rules:\n" + part)
        file.expected = expected
        return file
    }

    /// An origin's further keys, from line 4, column 5.
    static func origin(_ part: String, _ expected: String...) -> BadFile {
        var file = BadFile(
            "origins:\n  main:\n    urls: [http://a.example]\n\(part)\nsites: [{ hosts: [a.example], origin: main }]\n"
        )
        file.expected = expected
        return file
    }

    static let sound = """
        # a comment
        origins:
          main:
            urls: [http://a.example]
          shop:
            urls: [http://b.example]
        sites:
          - hosts: [a.example]
            origin: main

        """
}

struct BadFileTests {
    private static let structure: [BadFile] = [
        BadFile("", "1:1: the file is empty"),
        BadFile("# nothing\n", "1:1: the file is empty"),
        BadFile("- a\n", "1:1: the file is a list"),
        BadFile("a: [\n", "2:1: this is not YAML"),
        BadFile(
            "cache:\n\tmemory: 1GiB\n",
            "2:1: this is not YAML: found character that cannot start any token; indent with spaces"),
        BadFile(
            "cache: { memory: 1GiB }\n", "1:1: the file has no \"origins\"", "1:1: the file has no \"sites\""),
        .after("cahce: {}\n", "10:1: unknown key \"cahce\" in the file; did you mean \"cache\"?"),
        .after(
            "zzz: 1\n",
            "10:1: unknown key \"zzz\" in the file; the keys are node, listen, admin, cache, log, origins, sites"
        ),
        .after(
            "cache:\n  memry: 1GiB\n",
            "11:3: unknown key \"memry\" in \"cache\"; did you mean \"memory\"?"),
        .after("cache: 1GiB\n", "10:8: \"cache\" is the text \"1GiB\""),
        .after("cache:\n", "10:7: \"cache\" has no value"),
        .after(
            "cache:\n  disk: 1GiB\n  memory: 1GiB\n  disk: 2GiB\n",
            "13:3: the key \"disk\" is written twice; the first is on line 11"),
        .after(
            "cache: { disk: 1GiB, memory: 1GB, \"disk\": 2GiB }\n",
            "10:35: the key \"disk\" is written twice; the first is on line 10"),
        .after(
            "cache:\n  disk: 1GiB\nlog: {}\ncache:\n  disk: 7\n",
            "13:1: the key \"cache\" is written twice; the first is on line 10"),
        .after(
            "log: {\n  level: info, format: json, # level: x, {\n 'level' : info,\n  format: json, level: info }\n",
            "12:2: the key \"level\" is written twice; the first is on line 11",
            "13:3: the key \"format\" is written twice; the first is on line 11",
            "13:17: the key \"level\" is written twice; the first is on line 11"),
        .after(
            "log:\n  level: info\n  format: json\n  level: info\n  format: json\n  level: info\n",
            "13:3: the key \"level\" is written twice; the first is on line 11",
            "14:3: the key \"format\" is written twice; the first is on line 12",
            "15:3: the key \"level\" is written twice; the first is on line 11"),
        .after("limits:\n  clients: {}\n", "10:1: \"limits\" is not supported yet; remove it"),
        .after(
            "listen:\n  - address: :80\n    tls: {}\n",
            "12:5: \"listen[].tls\" is not supported yet"),
        .after(
            "listen:\n  - address: :80\n    proxyProtocol: false\n",
            "12:5: \"listen[].proxyProtocol\" is not supported yet"),
        .after("    compress: true\n", "10:5: \"sites[].compress\" is not supported yet"),
        .after("listen: []\n", "10:9: \"listen\" is empty"),
        .after(
            "listen:\n  - {}\n",
            "11:5: \"listen[]\" has no \"address\"; add address: 127.0.0.1:8080"),
    ]

    private static let values: [BadFile] = [
        .after(
            "cache:\n  memory: 512\n",
            "11:11: \"memory\" is \"512\", not a size; write a unit: 512B, 512KiB"),
        .after(
            "cache:\n  memory: 512mib\n",
            "11:11: \"memory\" is \"512mib\", not a size; write 512MiB"),
        .after(
            "cache:\n  memory: 512 MB\n",
            "11:11: \"memory\" is \"512 MB\", not a size; write 512MB"),
        .after(
            "cache:\n  memory: 10B\n",
            "11:11: \"memory\" is 10B, which is too small; write 1MiB to 64TiB"),
        .after(
            "cache:\n  disk: 2MiB\n",
            "11:9: \"disk\" is 2MiB, which is too small; write 4MiB or more, or 0B for no disk tier"),
        .after(
            "cache:\n  memory: 9999999999999TiB\n",
            "11:11: \"memory\" is \"9999999999999TiB\", not a size"),
        .after(
            "cache:\n  memory: [1GiB]\n",
            "11:11: \"memory\" is a list, not a size such as 512MiB"),
        .after(
            "cache:\n  maxVariants: many\n",
            "11:16: \"maxVariants\" is \"many\", not a whole number"),
        .after(
            "cache:\n  maxVariants: \"64\"\n",
            "11:16: \"maxVariants\" is \"64\", not a whole number; write 64"),
        .after(
            "cache:\n  maxVariants: 0\n",
            "11:16: \"maxVariants\" is 0, which is too small; write 1 to 10000"),
        .after("log:\n  format: jsn\n", "11:11: \"format\" is \"jsn\"; did you mean \"json\"?"),
        .after("log:\n  level: loud\n", "11:10: \"level\" is \"loud\"; write one of trace, debug"),
        .after("node: { id: \"a b\" }\n", "10:13: \"id\" is \"a b\", not letters"),
        .after(
            "    honourClient: yes\n",
            "10:19: \"honourClient\" is \"yes\", not true or false; write true"),
        .after("    methods: [GET, post]\n", "10:20: \"post\" is not a method; write POST"),
        .after("    methods: [\"G T\"]\n", "10:15: \"G T\" is not a method; write one such as GET"),
        .after("    methods: [GET, TRACE]\n", "10:20: the node never takes TRACE; remove it"),
        .after(
            "    methods: [PURGE]\n", "10:15: PURGE is not for the site to take; remove it, and see purgeFrom"
        ),
        .after("    methods: [GET, GET]\n", "10:20: the method GET is named twice; keep one"),
        .after("    methods: []\n", "10:14: "),
        .after(
            "    purgeFrom: [10.1.2.3/8]\n",
            "10:17: \"10.1.2.3/8\" is not a network: it has bits beyond its prefix; write \"10.0.0.0/8\""),
        .after(
            "    purgeFrom: [office]\n",
            "10:17: \"office\" is not a network; write one such as 10.0.0.0/8"),
        .after(
            "    clientAddress: X-Forwarded-For\n",
            "10:20: the client's address may not be sent in X-Forwarded-For; write X-Real-IP"),
        .after("    clientAddress: Proxy\n", "10:20: the client's address may not be sent in Proxy"),
        .after("    clientAddress: a b\n", "10:20: \"a b\" is not a field name; write ab"),
        .after("    forward: strikt\n", "10:14: \"forward\" is \"strikt\"; did you mean \"strict\"?"),
        .after(
            "    forward: some\n",
            "10:14: \"forward\" is \"some\"; write all, strict or a list of field names"),
        .after("    forward: { names: [a] }\n", "10:14: \"forward\" is a mapping"),
        .after(
            "    forward: [X-Theme, X-Real-IP]\n",
            "10:24: X-Real-IP never passes as a client sends it; remove it"),
        .after("    forward: [X_Forwarded_For]\n", "10:15: X_Forwarded_For never passes"),
        .after("    forward: [Host]\n", "10:15: Host may not be edited"),
        .after(
            "    stale: { ifError: 24hours }\n",
            "10:23: \"ifError\" is \"24hours\", not a duration; write 24h"),
        .after(
            "    stale: { ifError: 5 }\n",
            "10:23: \"ifError\" is \"5\", not a duration; write a unit: 5ms, 5s"),
        .after(
            "listen:\n  - address: \"8080\"\n",
            "11:14: \"8080\" is not an address to listen on; write 127.0.0.1:8080"),
        .after(
            "listen:\n  - address: \"::1:99999\"\n",
            "11:14: \"::1:99999\" is not an address to listen on; write [::1]:99999"),
        .after(
            "listen:\n  - address: a.example:99999\n",
            "11:14: \"a.example:99999\" is not an address to listen on: \"99999\" is not a port"),
        .after(
            "listen:\n  - address: 300.1.1.1:80\n",
            "11:14: \"300.1.1.1:80\" is not an address to listen on: \"300.1.1.1\" is neither"),
        .after(
            "listen:\n  - address: :80\n  - address: 0.0.0.0:80\n",
            "12:14: the address 0.0.0.0:80 is listened on twice; the first is on line 11"),
        .after(
            "listen: [{ address: \":80\" }]\nadmin: { address: \":80\" }\n",
            "11:19: 0.0.0.0:80 is an address of listen as well"),
        .after("admin:\n  tokenFile: nowhere/token\n", "11:14: there is no file \"nowhere/token\""),
    ]

    private static let origins: [BadFile] = [
        .origin(
            "    connectTimeout: 0s",
            "4:21: \"connectTimeout\" is 0s, which is too small; write 1ms to 10m"),
        .origin(
            "    conectTimeout: 1s",
            "4:5: unknown key \"conectTimeout\" in \"origins.*\"; did you mean \"connectTimeout\"?"),
        .origin(
            "    balance: roundrobin",
            "4:14: \"balance\" is \"roundrobin\"; did you mean \"roundRobin\"?"),
        .origin(
            "    host: \"a b\"",
            "4:11: \"host\" is \"a b\", not client, origin or a host name"),
        .origin("    headers: { Host: a }", "4:16: Host may not be edited; use host of the origin"),
        .origin("    headers: { content-length: 1 }", "4:16: content-length may not be edited"),
        .origin("    headers: { \"X Y\": a }", "4:16: \"X Y\" is not a field name; write XY"),
        .origin("    headers: { X-A: \"a\\r\\nb\" }", "4:21: the value of X-A holds a line break"),
        .origin("    headers: { X-A: { file: nowhere } }", "4:29: there is no file \"nowhere\""),
        .origin(
            "    headers: { X-A: { fil: nowhere } }",
            "4:23: unknown key \"fil\" in \"X-A\"; did you mean \"file\"?"),
        .origin("    headers: { X-A: a, x-a: b }", "4:24: the field x-a is written twice"),
        .origin("    tls: { ca: nowhere.pem }", "4:16: there is no file \"nowhere.pem\""),
        .origin(
            "    health: { interval: 1s }",
            "4:13: \"origins.*.health\" has no \"path\"; add path: /healthz"),
        .origin(
            "    health: { path: healthz }",
            "4:21: \"path\" is \"healthz\", not a path such as /healthz"),
        BadFile(
            "origins: { main: { urls: http://a.example } }\nsites: [{ hosts: [a], origin: main }]\n",
            "1:26: \"urls\" is the text \"http://a.example\", not a list; write [\"http://a.example\"]"),
        BadFile(
            "origins: { main: { urls: [\"a.example:3000\", \"ftp://x\", \"http://b.example/path\", \"http://u@b.example\", \"http://\"] } }\n"
                + "sites: [{ hosts: [a], origin: main }]\n",
            "1:27: \"a.example:3000\" is not the URL of an origin: it has no scheme; write http://a.example:3000",
            "1:45: \"ftp://x\" is not the URL of an origin: the scheme is ftp",
            "1:56: \"http://b.example/path\" is not the URL of an origin: it has a path or a query; write http://b.example",
            "1:81: \"http://u@b.example\" is not the URL of an origin: it holds a user name",
            "1:103: \"http://\" is not the URL of an origin: it has no host"),
    ]

    private static let sites: [BadFile] = [
        .after(
            "  - hosts: [b.example, A.example]\n    origin: man\n",
            "10:24: the host \"a.example\" is named twice; the first is on line 8",
            "11:13: there is no origin \"man\"; did you mean \"main\"?"),
        .after(
            "  - hosts: [b.example, \"b.example:80\"]\n    origin: main\n",
            "10:24: the host \"b.example\" is named twice"),
        .after(
            "  - hosts: [\"a*.example\"]\n    origin: main\n",
            "10:13: \"a*.example\" is not a host: a * can only be the whole first label"),
        .after(
            "  - hosts: [http://b.example/]\n    origin: main\n",
            "10:13: \"http://b.example/\" is not a host; write b.example"),
        .after(
            "  - hosts: b.example\n    origin: main\n",
            "10:12: \"hosts\" is the text \"b.example\", not a list; write [\"b.example\"]"),
        .after("  - origin: main\n", "10:5: \"sites[]\" has no \"hosts\""),
        .rule("      - cache: psas\n", "11:16: \"cache\" is \"psas\"; did you mean \"pass\"?"),
        .rule(
            "      - match: { pth: /a }\n        cache: pass\n",
            "11:18: unknown key \"pth\" in \"sites[].rules[].match\"; did you mean \"path\"?"),
        .rule(
            "      - match: { path: assets/* }\n        cache: pass\n",
            "11:24: \"path\" is \"assets/*\", not a path"),
        .rule(
            "      - ttl: { 99: 1s, 304: 1s, 404: 1 }\n",
            "11:16: \"99\" is not a final status code", "11:24: a response with status 304 is never stored",
            "11:38: \"404\" is \"1\", not a duration"),
        .rule(
            "      - stallTimeout: 5\n", "11:23: \"stallTimeout\" is \"5\", not a duration"),
        .rule(
            "      - stallTimeout: 0s\n", "11:23: \"stallTimeout\" is 0s, which is too small; write 1ms to 1h"
        ),
        .rule(
            "      - stallTimeout: 5s\n      - match: { path: /a }\n        stallTimeout: 6s\n",
            "12:9: the rule is never reached: the rule on line 11 matches first"),
        .rule("      - query: ignor\n", "11:16: \"query\" is \"ignor\"; did you mean \"ignore\"?"),
        .rule(
            "      - query: { dorp: [a] }\n",
            "11:18: unknown key \"dorp\" in \"sites[].rules[].query\"; did you mean \"drop\"?"),
        .rule(
            "      - query: { drop: [\"a*b\"] }\n",
            "11:25: \"a*b\" has a * before its end; write a*"),
        .rule(
            "      - response: { remove: [Connection] }\n",
            "11:30: Connection may not be edited"),
        .rule(
            "      - response: { clientCacheControl: \"a\\nb\" }\n",
            "11:41: the value of clientCacheControl holds a line break"),
        .rule("      - match: { path: /a }\n", "11:9: the rule sets nothing"),
        .rule(
            "      - ttl: 1s\n      - match: { path: /a }\n        ttl: 2s\n",
            "12:9: the rule is never reached: the rule on line 11 matches first"),
        .rule(
            "      - match: { path: /a/* }\n        ttl: 1s\n      - match: { path: /a/* }\n        ttl: 2s\n",
            "13:9: the rule is never reached: the rule on line 11 matches first"),
        .rule(
            "      - match: { path: /a/* }\n        ttl: 1s\n      - cache: pass\n      - match: { path: /a/b* }\n        ttl: 2s\n        cache: pass\n",
            "14:9: the rule is never reached: the rules on lines 11 and 13 match first"),
    ]

    @Test(arguments: structure + values + origins + sites)
    func `each thing that is wrong is named with its place and its cure`(_ file: BadFile) {
        let error = #expect(throws: ConfigurationErrors.self) {
            _ = try ConfigurationFile.parse(yaml: file.yaml, path: "edge.yaml")
        }
        let found = error?.errors.map(\.description) ?? []
        #expect(found.count == file.expected.count, "\(found)")
        for (text, expected) in zip(found, file.expected) {
            #expect(text.hasPrefix("edge.yaml:" + expected), "\(text)")
        }
    }

    @Test func `all errors of a file come at once, in the order of the lines`() {
        let yaml =
            BadFile.sound
            + "    honourClient: no\nlog:\n  leve: info\ncache:\n  disk: x\n  disk: 1GiB\nlimits: {}\n"
        let error = #expect(throws: ConfigurationErrors.self) {
            _ = try ConfigurationFile.parse(yaml: yaml, path: "edge.yaml")
        }
        #expect(error?.errors.map(\.line) == [10, 12, 14, 15, 16])
    }

    @Test func `a file that is not there is an error at its start`() {
        let error = #expect(throws: ConfigurationErrors.self) {
            _ = try ConfigurationFile.load(path: "/nowhere/edge.yaml")
        }
        #expect(error?.errors.first?.description.hasPrefix("/nowhere/edge.yaml:1:1: ") == true)
    }

    @Test func `rules that decide something of their own are reached`() throws {
        let yaml =
            BadFile.sound + """
                    rules:
                      - match: { path: /a/* }
                        ttl: 1s
                        response: { set: { X-A: "1" } }
                      - match: { path: /a/b }
                        ttl: 1s
                        cache: pass
                      - match: { path: /* }
                        ttl: 2s
                      - response: { set: { X-B: "1" } }

                """
        #expect(try ConfigurationFile.parse(yaml: yaml, path: "edge.yaml").sites.first?.rules.count == 4)
    }
}
