/// Whole messages to damage, and pieces to damage them with.
public enum Corpus {
    public static let requests: [[UInt8]] = requestTexts.map { Array(crlf($0).utf8) }
    public static let responses: [[UInt8]] = responseTexts.map { Array(crlf($0).utf8) }

    /// Lines of the source end in LF, those of the wire in CRLF.
    private static func crlf(_ text: String) -> String {
        var result = ""
        for character in text { result += character == "\n" ? "\r\n" : String(character) }
        return result
    }

    private static let requestTexts = [
        "GET /a HTTP/1.1\nHost: case.test\n\n",
        "GET /a/b?c=d&e=f%20g&utm_source=x HTTP/1.1\nHost: case.test:80\nUser-Agent: agent/1\nAccept: */*\n\n",
        "HEAD /a HTTP/1.1\nHost: case.test\nAccept-Encoding: gzip, br;q=0.5, identity;q=0\n\n",
        "GET /a HTTP/1.0\n\n",
        "GET http://case.test/a?b HTTP/1.1\nHost: case.test\n\n",
        "GET /a HTTP/1.1\nHost: case.test\nRange: bytes=0-9,20-,-5\nIf-Range: \"one\"\n\n",
        "GET /large HTTP/1.1\nHost: case.test\nRange: bytes=100-199\n\n",
        "GET /a HTTP/1.1\nHost: case.test\nIf-None-Match: \"one\", W/\"two\", *\nIf-Modified-Since: Sun, 06 Nov 1994 "
            + "08:49:37 GMT\n\n",
        "GET /a HTTP/1.1\nHost: case.test\nIf-Match: \"one\"\nIf-Unmodified-Since: Sunday, 06-Nov-94 08:49:37 GMT\n\n",
        "POST /post HTTP/1.1\nHost: case.test\nContent-Length: 11\nContent-Type: text/plain\n\nhello world",
        "POST /post HTTP/1.1\nHost: case.test\nTransfer-Encoding: chunked\nTrailer: X-Sum\n\n5;a=\"b\"\nhello\n6\n "
            + "world\n0\nX-Sum: 1\n\n",
        "PUT /a HTTP/1.1\nHost: case.test\nExpect: 100-continue\nContent-Length: 3\n\nabc",
        "OPTIONS * HTTP/1.1\nHost: case.test\nMax-Forwards: 0\n\n",
        "DELETE /a HTTP/1.1\nHost: case.test\n\n",
        "PURGE /a HTTP/1.1\nHost: case.test\n\n",
        "CONNECT case.test:443 HTTP/1.1\nHost: case.test:443\n\n",
        "GET /a HTTP/1.1\nHost: case.test\nCookie: a=b; c=d\nAuthorization: Basic YTpi\n\n",
        "GET /vary HTTP/1.1\nHost: case.test\nAccept-Language: de, en;q=0.8, *;q=0.1\nAccept: text/html;level=1, "
            + "*/*;q=0.1\nAccept-Encoding: gzip\n\n",
        "GET /a HTTP/1.1\nHost: case.test\nConnection: close, X-Hop, keep-alive\nX-Hop: 1\nTE: trailers, deflate\n"
            + "Upgrade: websocket\n\n",
        "GET /a HTTP/1.1\nHost: [::1]:8080\nVia: 1.1 other\nCDN-Loop: other; a=\"b\", more\nForwarded: "
            + "for=192.0.2.1;proto=https;host=\"a\"\nX-Forwarded-For: 192.0.2.1, 10.0.0.1\nX-Forwarded-Proto: https\n\n",
        "GET /a HTTP/1.1\nHost: case.test\nCache-Control: max-age=0, no-cache=\"a\", only-if-cached, min-fresh=5, "
            + "max-stale\nPragma: no-cache\n\n",
        "GET /a%2f..%5c%00;x=1//b/../c HTTP/1.1\nHost: Case.Test.\nReferer: http://case.test/\nOrigin: null\n\n",
        "GET /good HTTP/1.1\nHost: case.test\n\nGET /good HTTP/1.1\nHost: case.test\nConnection: close\n\n",
    ]

    private static let responseTexts = [
        "HTTP/1.1 200 OK\nContent-Length: 5\nCache-Control: max-age=60\n\nhello",
        "HTTP/1.1 200 OK\nDate: Sun, 06 Nov 1994 08:49:37 GMT\nETag: \"one\"\nLast-Modified: Sun, 06 Nov 1994 08:49:37 "
            + "GMT\nContent-Type: text/html\nContent-Length: 5\nCache-Control: public, s-maxage=1, "
            + "stale-while-revalidate=60, stale-if-error=60\n\nhello",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nCache-Control: max-age=0\nETag: W/\"two\"\n\n5\nhello\n6;a=b\n "
            + "world\n0\n\n",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: X-Sum\nCache-Control: no-store\n\n1\nh\n1\ne\n1\nl\n0\n"
            + "X-Sum: 1\nX-Other: 2\n\n",
        "HTTP/1.1 200 OK\nConnection: close\nExpires: Sun, 06 Nov 2094 08:49:37 GMT\n\nuntil the end",
        "HTTP/1.0 200 OK\n\nuntil the end",
        "HTTP/1.1 204 No Content\nCache-Control: max-age=1\n\n",
        "HTTP/1.1 304 Not Modified\nETag: \"one\"\nCache-Control: max-age=60\nX-New: 1\n\n",
        "HTTP/1.1 206 Partial Content\nContent-Range: bytes 0-4/10\nETag: \"one\"\nContent-Length: 5\nCache-Control: "
            + "max-age=60\n\nhello",
        "HTTP/1.1 206 Partial Content\nContent-Type: multipart/byteranges; boundary=b\nContent-Length: 82\n\n--b\n"
            + "Content-Range: bytes 0-0/9\n\na\n--b\nContent-Range: bytes 5-5/9\n\nb\n--b--\n",
        "HTTP/1.1 416 Range Not Satisfiable\nContent-Range: bytes */10\nContent-Length: 0\n\n",
        "HTTP/1.1 301 Moved Permanently\nLocation: http://case.test/other?a#b\nContent-Location: /a\nContent-Length: 0\n\n",
        "HTTP/1.1 404 Not Found\nContent-Length: 4\nCache-Control: max-age=10\n\nnone",
        "HTTP/1.1 503 Service Unavailable\nRetry-After: 5\nContent-Length: 0\n\n",
        "HTTP/1.1 103 Early Hints\nLink: </a.css>; rel=preload\n\nHTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\n"
            + "Content-Length: 2\n\nok",
        "HTTP/1.1 200 OK\nX-Folded: one\n two\nContent-Length: 1\n\nx",
        "HTTP/1.1 200 OK\n\tX: y\nContent-Length: 1\n\nx",
        "HTTP/1.1 200 OK\nVary: Accept-Encoding, X-Thing, Accept-Language\nContent-Encoding: gzip\nContent-Length: 3\n"
            + "Cache-Control: max-age=60\n\nabc",
        "HTTP/1.1 200 OK\nVary: *\nContent-Length: 3\nCache-Control: max-age=60\n\nabc",
        "HTTP/1.1 200 OK\nSet-Cookie: a=b; Path=/\nSet-Cookie: c=d\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\n"
            + "Content-Length: 3\n\nabc",
        "HTTP/1.1 200 OK\nCDN-Cache-Control: max-age=60, stale-if-error=\"x\";a=?1, b=(1 2);c=:YQ==:\nCache-Control: "
            + "private=\"a, b\", no-cache=\"c\", must-revalidate\nSurrogate-Key: one two three\nCache-Tag: a,b,,c\n"
            + "Age: 30\nWarning: 110 - \"x\"\nContent-Length: 3\n\nabc",
        "HTTP/1.1 200 OK\nCache-Status: other; hit; ttl=5\nAlt-Svc: h3=\":443\"\nConnection: keep-alive, X-Hop\nX-Hop: 1\n"
            + "Keep-Alive: timeout=5\nProxy-Authenticate: Basic\nContent-Length: 3\n\nabc",
        "HTTP/1.1 200 OK\nContent-Length: 40000\nCache-Control: max-age=60\nETag: \"large\"\n\n"
            + String(repeating: "0123456789", count: 4_000),
    ]

    public static let requestPieces = [
        "\r\n", "\n", "\r", "\r\n\r\n", "\r\n ", "\r\n\t", ": ", ":", ",", ", ", ";", "\"", "\\", "=", "/",
        "//", "/../", "%2f",
        "%00", "?", "#", "*", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/1.1\r\n", "Host: other.test\r\n",
        "Host:\r\n",
        "Content-Length: 5\r\n", "Content-Length: 0\r\n", "Content-Length: 5, 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding : chunked\r\n", "Connection: close\r\n",
        "Connection: Host\r\n", "Expect: 100-continue\r\n", "0\r\n\r\n", "5\r\nhello\r\n",
        "ffffffffffffffff\r\n", "fffffff\r\n",
        "Range: bytes=0-0,0-0\r\n", "If-None-Match: *\r\n", "GET /a HTTP/1.1\r\nHost: case.test\r\n\r\n",
        "gzip;q=0.5, ",
        "a, ", "\"a\", ", "bytes=", "0-1,", "-", "max-age=", "X: y\r\n", "X_Y: z\r\n", "Cookie: a\r\n",
        "\u{202e}", "é",
    ]

    public static let responsePieces = [
        "\r\n", "\n", "\r", "\r\n\r\n", "\r\n ", "\r\n\t", " \r\n", ": ", ":", ",", ", ", ";", "\"", "\\",
        "=", "(", ")", "?1", "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\n\r\n", "HTTP/2 200\r\n",
        "HTTP/0.9 200\r\n", "Content-Length: 5\r\n", "Content-Length: 0\r\n", "Content-Length: 5, 5\r\n",
        "Content-Length: -5\r\n",
        "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip\r\n", "Transfer-Encoding: identity\r\n",
        "Connection: close\r\n",
        "Content-Range: bytes 0-4/5\r\n", "Content-Range: bytes */5\r\n", "Content-Range: bytes 4-0/5\r\n",
        "ETag: \"x\"\r\n",
        "ETag: W/\"x\"\r\n", "Vary: *\r\n", "Vary: a, b, c\r\n", "Vary: Accept-Encoding\r\n",
        "Cache-Control: max-age=60\r\n",
        "Cache-Control: no-store\r\n", "Cache-Control: private\r\n", "max-age=", "s-maxage=60, ",
        "stale-if-error=60, ",
        "Set-Cookie: a=b\r\n", "Age: 99999999999\r\n", "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
        "Expires: 0\r\n",
        "0\r\n\r\n", "5\r\nhello\r\n", "ffffffffffffffff\r\n", "fffffff\r\n", "5 \r\n", "+5\r\n", "X: y\r\n",
        "\tX: y\r\n", "Surrogate-Key: a b c\r\n",
        "Location: /a\r\n", "Content-Location: //other.test/\r\n", "Content-Encoding: gzip\r\n", "\u{0}", "é",
    ]
}
