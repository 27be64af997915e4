/// The table of all keys, in the order of the full sample.
///
/// A new setting is one line here, its reading in ``ConfigurationBuilder``, and `make` of the samples; the
/// checks, the sample, the JSON Schema and the tests that compare them follow from the line.
enum ConfigurationSchema {
    static let keys: [SchemaKey] = node + listeners + storage + origins + sites + later

    /// The key of a path.
    static func key(_ path: String) -> SchemaKey? { byPath[path] }

    /// The keys directly below `container`, in the order of the table.
    static func children(of container: String) -> [SchemaKey] { byContainer[container] ?? [] }

    private static let byPath = Dictionary(uniqueKeysWithValues: keys.map { ($0.path, $0) })
    private static let byContainer = Dictionary(grouping: keys, by: \.container)

    // Bounds in milliseconds.
    private static let second: Int64 = 1_000
    private static let hour = 3_600 * second
    private static let day = 24 * hour
    private static let lifetime = 0...(3_650 * day)

    private static let node: [SchemaKey] = [
        SchemaKey("node", .section, "This node."),
        SchemaKey(
            "node.id", .nodeID, example: "fra-1",
            "Its name in CDN-Loop (RFC 8586). Without one, a random name is made and kept in the cache directory."
        ),
    ]

    private static let listeners: [SchemaKey] = [
        SchemaKey("listen", .sections, "Where clients connect."),
        SchemaKey(
            "listen[].address", .listenAddress, default: "127.0.0.1:8080", required: true,
            "HOST:PORT, or :PORT for every address of the machine."),
        SchemaKey("listen[].tls", .section, supported: false, "Certificate and key."),
        SchemaKey(
            "listen[].proxyProtocol", .flag, supported: false, "Whether clients come with a PROXY header."),
        SchemaKey("admin", .section, "The admin API, metrics and page."),
        SchemaKey(
            "admin.address", .listenAddress, default: "127.0.0.1:8081", "HOST:PORT of their own listener."),
        SchemaKey(
            "admin.tokenFile", .file, example: "admin.token",
            "A file that holds the bearer token. Without one, a fresh token is written to admin.token in the cache"
                + " directory."),
    ]

    private static let storage: [SchemaKey] = [
        SchemaKey("cache", .section, "Where stored responses lie, and how much room they have."),
        SchemaKey(
            "cache.directory", .path, default: "./rockpool-cache",
            "The folder of the disk tier and of the node's own files. Relative paths start at this file's folder."
        ),
        SchemaKey(
            "cache.memory", .size(1 << 20...1 << 46), default: "256MiB",
            "Memory for stored responses, index and buffers together."),
        SchemaKey(
            "cache.disk", .size(0...1 << 50), default: "10GiB",
            "Room on disk for stored responses, at least 4MiB; 0 for no disk tier."),
        SchemaKey(
            "cache.maxResponse", .size(1...1 << 46), default: "4GiB",
            "The largest body that is stored; a larger one is passed through."),
        SchemaKey(
            "cache.maxVariants", .count(1...10_000), default: "64",
            "Variants kept for one URL (Vary, RFC 9111 4.1); the least used go first."),
        SchemaKey("log", .section, "Logs."),
        SchemaKey(
            "log.access", .accessLog, default: "\"-\"",
            "Where the access log goes: \"-\" for stdout, a path, or \"off\"."),
        SchemaKey(
            "log.format", .choice(["json", "combined"]), default: "json",
            "One JSON object a line, or NCSA combined."),
        SchemaKey(
            "log.level", .choice(["trace", "debug", "info", "notice", "warning", "error", "critical"]),
            default: "info",
            "The least severe message of the node's own log, on stderr."),
    ]

    private static let origins: [SchemaKey] = [
        SchemaKey(
            "origins", .namedSections, required: true,
            "Where misses are pulled from. Sites refer to these names."),
        SchemaKey(
            "origins.*.urls", .originURLs, example: "[\"https://origin.example\"]", required: true,
            "The servers: scheme, host and perhaps port, without a path."),
        SchemaKey(
            "origins.*.balance", .choice(["order", "roundRobin", "hash"]), default: "order",
            "Which server gets a pull: the first healthy one, each in turn, or by the cache key."),
        SchemaKey(
            "origins.*.host", .originHost, default: "client",
            "The Host that the origin gets: the client's, the origin URL's (origin), or this name."),
        SchemaKey("origins.*.tls", .section, "TLS to the origin."),
        SchemaKey(
            "origins.*.tls.ca", .file, example: "ca.pem",
            "A PEM file with the authorities to trust. Without one, those of the system."),
        SchemaKey(
            "origins.*.tls.serverName", .serverName, example: "origin.example",
            "The name to ask for and to verify. Without one, the host of the URL."),
        SchemaKey(
            "origins.*.tls.clientCertificate", .file, example: "client.pem",
            "A PEM file with the certificate that the node shows. Needs clientKey."),
        SchemaKey(
            "origins.*.tls.clientKey", .file, example: "client.key", "A PEM file with its private key."),
        SchemaKey(
            "origins.*.headers", .fields(files: true), default: "{}",
            "Fields sent with every pull, by name. A value is a text, or { file: secret } to read it from a file."
        ),
        SchemaKey(
            "origins.*.connectTimeout", .duration(1...600 * second), default: "1s",
            "For name, TCP and TLS handshake."),
        SchemaKey(
            "origins.*.firstByteTimeout", .duration(1...hour), default: "10s",
            "From the request to the first byte of the response."),
        SchemaKey(
            "origins.*.stallTimeout", .duration(1...hour), default: "10s",
            "The longest pause within a body. Left at 10s, it is 60s for event streams and for answers that nobody "
                + "shares."
        ),
        SchemaKey(
            "origins.*.fetchTimeout", .duration(0...day), default: "0s", "For a whole pull. 0s: no limit."),
        SchemaKey(
            "origins.*.maxConnections", .count(1...65_535), default: "64",
            "Connections to the origin at a time, idle ones included; further pulls wait their turn."),
        SchemaKey(
            "origins.*.health", .section,
            "Checks all the time. Without it, HEAD / is asked while something failed, and any answer will do."
        ),

        SchemaKey(
            "origins.*.health.path", .urlPath, example: "/healthz", required: true,
            "What to GET; an answer of 200 to 399 is healthy."),
        SchemaKey(
            "origins.*.health.interval", .duration(10...day), default: "2s", "The time between two probes."),
        SchemaKey(
            "origins.*.health.unhealthyAfter", .count(1...100), default: "3",
            "Failures in a row until a server is left out."),
        SchemaKey(
            "origins.*.health.healthyAfter", .count(1...100), default: "2",
            "Successes in a row until it is used again."),
    ]

    private static let sites: [SchemaKey] =
        [
            SchemaKey(
                "sites", .sections, required: true, "What is served. A host that no site names gets 421."),
            SchemaKey(
                "sites[].hosts", .hosts, example: "[\"www.example.com\", \"*.example.net\"]", required: true,
                "Host names without port. An exact name beats a wildcard, a long wildcard a short "
                    + "one, and \"*\" is every host."
            ),
            SchemaKey("sites[].origin", .originName, example: "main", required: true, "A name from origins."),
            SchemaKey(
                "sites[].honourClient", .flag, default: "false",
                "Whether the client's Cache-Control and Pragma count."),
            SchemaKey(
                "sites[].methods", .methods, example: "[GET, HEAD, POST]",
                "The methods that requests may have; any other gets 405. Without this key, all but "
                    + "CONNECT and TRACE."),
            SchemaKey(
                "sites[].purgeFrom", .networks, example: "[10.0.0.0/8, \"2001:db8::/32\"]",
                "From where a request with the method PURGE purges its URL. From elsewhere, and without this "
                    + "key, it is refused."),
            SchemaKey(
                "sites[].clientAddress", .fieldName, example: "X-Real-IP",
                "A field in which the origin gets the client's address, beside X-Forwarded-For and Forwarded. What "
                    + "a client sends there never passes."),
            SchemaKey(
                "sites[].forward", .forwarding, default: "all",
                "Which of a client's fields reach the origin on pulls whose answer may be kept. all: every field but "
                    + "those known to change an answer without standing in its Vary. strict: Accept*, "
                    + "Access-Control-Request-*, Authorization, Cookie, Origin, Referer and User-Agent. A list: "
                    + "strict, and those."),
            SchemaKey("sites[].compress", .flag, supported: false, "Whether responses are compressed."),
            SchemaKey(
                "sites[].stale", .section,
                "When a stale response may be served although the origin did not say so."),
            SchemaKey(
                "sites[].stale.ifError", .duration(lifetime), example: "24h",
                "How long after it became stale, when the origin answers 500, 502, 503 or 504 (RFC "
                    + "5861 4). Without a value,"
                    + " only if the origin allows it."),
            SchemaKey(
                "sites[].stale.ifUnreachable", .duration(lifetime), default: "24h",
                "How long after it became stale, while the origin cannot be reached (RFC 9111 4.2.4)."),
            SchemaKey(
                "sites[].stale.whileRevalidate", .duration(lifetime), example: "60s",
                "How long after it became stale, with a refresh behind the client's back (RFC 5861 "
                    + "3). Without a value, only"
                    + " if the origin allows it."),
            SchemaKey(
                "sites[].stale.after", .duration(0...hour), example: "300ms",
                "Serve stale, within ifError, when a pull has not answered after this long. Without a value, wait."
            ),
            SchemaKey(
                "sites[].stale.despiteSharedMaxAge", .flag, default: "false",
                "Whether the above also holds for responses with s-maxage, which forbids stale (RFC 9111 5.2.2.10)."
            ),
            SchemaKey(
                "sites[].rules", .sections,
                "Rules by path. For each key below, the first rule that matches and has the key decides; response and"
                    + " request are decided for each field name."),
        ] + rules

    private static let rules: [SchemaKey] = [
        SchemaKey("sites[].rules[].match", .section, "Which requests the rule is for. Without it, all."),
        SchemaKey(
            "sites[].rules[].match.path", .glob, default: "\"*\"",
            "A glob over the path: * is any run of octets, slashes included, ? is one octet."),
        SchemaKey(
            "sites[].rules[].ttl", .lifetimes, example: "{ 200: 30d, 404: 10s }",
            "The freshness lifetime where the origin says nothing: by status, or one duration for "
                + "200, 203, 301 and 308."
        ),
        SchemaKey(
            "sites[].rules[].override", .flag, default: "false", "Whether ttl beats the origin's fields."),
        SchemaKey(
            "sites[].rules[].maxTTL", .duration(lifetime), example: "365d",
            "A cap on every freshness lifetime."),
        SchemaKey(
            "sites[].rules[].query", .query, default: "all",
            "What of the query enters the cache key, and reaches the origin where the answer may be kept: all, ignore, "
                + "the list of the names to keep, or { drop, sort }."
        ),
        SchemaKey(
            "sites[].rules[].query.drop", .parameterNames, example: "[\"utm_*\"]",
            "The parameters to leave out; a name may end in *."),
        SchemaKey(
            "sites[].rules[].query.sort", .flag, default: "false", "Whether the parameters are sorted."),
        SchemaKey(
            "sites[].rules[].cookies", .choice(["keep", "strip", "pass"]), default: "keep",
            "Leave cookies to the origin's fields, remove them both ways, or pass requests that have some."),
        SchemaKey(
            "sites[].rules[].setCookie", .choice(["drop", "store"]), default: "drop",
            "A response with Set-Cookie: stored on the lifetime that the origin gave it (drop), or as any other."
        ),
        SchemaKey(
            "sites[].rules[].response", .section, "Changes to what clients get: first remove, then set."),
        SchemaKey(
            "sites[].rules[].response.set", .fields(files: false), default: "{}", "Fields to set, by name."),
        SchemaKey(
            "sites[].rules[].response.remove", .fieldNames, default: "[]", "Names of fields to remove."),
        SchemaKey(
            "sites[].rules[].response.clientCacheControl", .fieldValue, example: "\"max-age=60\"",
            "The Cache-Control that clients get instead of the origin's."),
        SchemaKey(
            "sites[].rules[].request", .section, "Changes to what the origin gets: first remove, then set."),
        SchemaKey(
            "sites[].rules[].request.set", .fields(files: false), default: "{}", "Fields to set, by name."),
        SchemaKey("sites[].rules[].request.remove", .fieldNames, default: "[]", "Names of fields to remove."),
        SchemaKey(
            "sites[].rules[].cache", .choice(["on", "pass"]), default: "\"on\"",
            "pass: the request goes to the origin, and nothing is looked up or stored."),
        SchemaKey(
            "sites[].rules[].stallTimeout", .duration(1...hour), example: "5m",
            "The longest pause within a body, whatever the origin's stallTimeout says."),
    ]

    private static let later: [SchemaKey] = [
        SchemaKey("limits", .section, supported: false, "Limits for clients.")
    ]
}
