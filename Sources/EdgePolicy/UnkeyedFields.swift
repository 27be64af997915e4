import EdgeHTTP
import EdgePrimitives

/// Request fields by which origins are known to choose another answer, or to believe who the client is, without naming
/// them in Vary. `fixtures/unkeyed-fields.tsv` says where each is known from, and is compared with this table.
///
/// It names none that carries credentials, nor any that common clients need.
public enum UnkeyedFields {
    public enum Family: String, Sendable, CaseIterable {
        /// Read as something else than a field where it arrives.
        case never
        /// Says who the client is.
        case address
        /// Chooses another host, scheme, port, path or query.
        case target
        /// Chooses another method.
        case method
        /// What parts of an origin tell each other.
        case inner
        /// Parameters of object stores.
        case vendor
        /// An exception from a pattern: it carries credentials.
        case passes
    }

    /// Patterns by family: names in lower case with `-` for `_`, and globs.
    public static let patterns: [(family: Family, patterns: [String])] = [
        (
            .never,
            [
                "proxy"
            ]
        ),
        (
            .address,
            [
                "*-real-ip", "real-ip", "*-client-ip", "*-connecting-ip", "cloudfront-viewer-address",
                "x-envoy-external-address", "client-ip", "clientip", "*-clientip", "*-remote-addr",
                "remote-addr", "remote-host", "client-address", "x-originating-ip", "x-ip", "x-ip-trail",
                "rlnclientipaddr", "coming-from", "x-coming-from", "x-forwarder-for", "x-forward-for",
                "x-originally-forwarded-for", "x-sakura-forwarded-for", "forwarded-for-ip", "x-orig-client",
                "x-client-host", "cf-connecting-ipv6", "cf-pseudo-ipv4", "x-forwarded", "forwarded-for",
                "*-user-ip", "*-socketip", "*-client-connection-ip", "x-vercel-forwarded-for",
                "*-remote-ip", "*-proxyuser-ip", "*-source-ip", "http-x-forwarded*", "http-forwarded*",
                "http-via", "x-original-forwarded-for", "x-original-for", "x-original-remote-addr",
                "x-custom-ip-authorization", "x-remote-host", "clientaddress", "realip",
                "x-nokia-ipaddress", "cdn-src-ip", "x-vercel-proxied-for",
            ]
        ),
        (
            .target,
            [
                "x-host", "x-original-*", "x-rewrite-*", "x-forward-*", "x-scheme", "x-url-scheme",
                "x-orchestra-scheme", "x-remote-protocol", "x-https", "x-ssl", "x-nfsn-https", "x-arr-ssl",
                "front-end-https", "https-from-lb", "ssl-offloaded", "https", "ssl", "forwarded-proto",
                "forwarded-host", "x-originally-forwarded-*", "x-http-destinationurl", "x-cf-url",
                "x-proxy-url", "proxy-url", "proxy-host", "proxy-port", "proxy-request-fulluri",
                "x-server-name", "x-server-port", "x-subdomain", "x-ning-request-uri", "request-uri",
                "orig-path-info", "path-info", "path-translated", "path-base", "context-path",
                "script-name", "unencoded-url", "query-string", "querystring", "server-name", "server-port",
                "server-port-secure", "server-protocol", "http-host", "http-url", "base-url", "host-name",
                "sp-host", "uri", "url", "x-teamsite-preremap", "cf-visitor", "x-script-name", "x-host-*",
                "x-backend-host", "x-real-host", "x-real-url", "x-real-uri",
                "x-originating-url", "x-request-uri", "x-request-url",
                "cloudfront-forwarded-proto", "fastly-ssl", "wl-proxy-ssl",
                "x-override-url", "x-override-host", "x-proxy-host", "x-gateway-host", "x-backend-server",
                "x-http-host", "x-http-scheme", "x-base-url", "x-base-path", "x-url", "x-uri",
                "x-request-path", "x-site-url", "x-public-url", "x-hostname", "x-proto", "x-protocol",
                "x-client-proto", "x-lb-proto", "x-ssl-offloaded", "fastly-host",
                "x-webobjects-server-name",
            ]
        ),
        (
            .method,
            [
                "x-http-method", "x-http-*-override", "x-method-override", "x-ajax-real-method",
                "real-method", "request-method",
                "x-method", "x-override-method",
            ]
        ),
        (
            .inner,
            [
                "x-middleware-*", "x-now-route-matches", "x-matched-path", "x-invoke-*", "x-envoy-*",
                "x-react-router-spa-mode", "x-react-router-prerender-data", "x-accel-*", "x-sendfile-type",
                "surrogate-capability", "translate", "x-environment-override", "apply-to-redirect-ref",
                "x-amzn-remapped-*", "x-appengine-*",
                "x-sendfile", "x-astro-path", "x-astro-locals", "x-prerender-revalidate",
                "x-next-revalidate-tag-token", "x-next-cached-tags",
            ]
        ),
        (
            .vendor,
            [
                "x-amz-*", "x-goog-*", "x-ms-*", "x-oss-*", "x-cos-*", "x-obs-*",
            ]
        ),
        (
            .passes,
            [
                "x-goog-api-key", "x-goog-iap-jwt-assertion",
            ]
        ),
    ]

    /// What family a field is of.
    ///
    /// - Parameter name: in the form of ``ForwardedFields/plain(_:)``.
    public static func family(of name: [UInt8]) -> Family? {
        guard let first = name.first else { return nil }
        if table.firstOctets.contains(first), let family = table.names[name] { return family }
        for (glob, family) in table.suffixes where glob.matches(name[...]) { return family }
        guard let globs = table.globs[first] else { return nil }
        for (glob, family) in globs where glob.matches(name[...]) { return family }
        return nil
    }

    private struct Table: Sendable {
        var names: [[UInt8]: Family] = [:]
        /// With what the names begin: most fields of browsers begin otherwise.
        var firstOctets: Set<UInt8> = []
        /// Globs that begin with a star.
        var suffixes: [(Glob, Family)] = []
        /// The others, by their first octet.
        var globs: [UInt8: [(Glob, Family)]] = [:]
    }

    private static let table: Table = {
        var table = Table()
        for (family, patterns) in patterns {
            for pattern in patterns {
                let octets = Array(pattern.utf8)
                if !pattern.contains("*") {
                    table.names[octets] = family
                    table.firstOctets.insert(octets[0])
                } else if octets[0] == UInt8(ascii: "*") {
                    table.suffixes.append((Glob(octets), family))
                } else {
                    table.globs[octets[0], default: []].append((Glob(octets), family))
                }
            }
        }
        return table
    }()
}
