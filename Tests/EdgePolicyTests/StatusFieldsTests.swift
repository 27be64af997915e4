import EdgePolicy
import Testing

@Suite struct `Cache-Status and Proxy-Status` {
    private func text(_ status: CacheStatus) -> String {
        var bytes: [UInt8] = []
        status.append(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test(arguments: [
        (CacheStatus(outcome: .hit), "rockpool; hit"),
        (CacheStatus(outcome: .hit, ttlSeconds: 30, detail: .fresh), "rockpool; hit; ttl=30; detail=fresh"),
        (
            CacheStatus(outcome: .hit, ttlSeconds: -5, detail: .staleIfError),
            "rockpool; hit; ttl=-5; detail=stale-if-error"
        ),
        (
            CacheStatus(
                outcome: .forward(.uriMiss), fwdStatus: 200, stored: true, collapsed: true, ttlSeconds: 0,
                detail: .notStored),
            "rockpool; fwd=uri-miss; fwd-status=200; stored; collapsed; ttl=0; detail=not-stored"
        ),
        (
            CacheStatus(outcome: .forward(.bypass), key: Array("http://h/\"\\\u{1}é".utf8)),
            #"rockpool; fwd=bypass; key="http://h/\"\\%01%C3%A9""#
        ),
        (CacheStatus(outcome: .hit, fwdStatus: 200, stored: true, collapsed: true), "rockpool; hit"),
        (CacheStatus(outcome: .hit, ttlSeconds: .max), "rockpool; hit; ttl=999999999999999"),
        (CacheStatus(outcome: .hit, ttlSeconds: .min), "rockpool; hit; ttl=-999999999999999"),
    ])
    func `a member is written as RFC 9211 has it`(status: CacheStatus, expected: String) {
        #expect(text(status) == expected)
    }

    @Test func `the forward reasons are the registered ones`() {
        #expect(
            CacheStatus.Forward.allCases.map(\.rawValue) == [
                "bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial",
            ])
    }

    @Test func `the short path for hits writes the same`() {
        for ttl in [Int64(0), 9, 10, 86_399, -1, 1_000_000_000] {
            var bytes: [UInt8] = []
            CacheStatus.appendHit(ttlSeconds: ttl, detail: .heuristic, to: &bytes)
            #expect(
                String(decoding: bytes, as: UTF8.self)
                    == text(CacheStatus(outcome: .hit, ttlSeconds: ttl, detail: .heuristic)))
        }
    }

    @Test func `every reason is a token`() {
        for reason in Reason.allCases {
            #expect(reason.rawValue.utf8.allSatisfy { ($0 &- 97 < 26) || $0 == 45 })
        }
    }

    @Test(arguments: [
        (ProxyStatus(error: .connectionRefused), "rockpool; error=connection_refused"),
        (
            ProxyStatus(reason: .originTimeout),
            #"rockpool; error=http_response_timeout; details="origin-timeout""#
        ),
        (
            ProxyStatus(reason: .originUnreachable, error: .dnsError),
            #"rockpool; error=dns_error; details="origin-unreachable""#
        ),
        (
            ProxyStatus(error: .httpProtocolError, details: Array("a\"b\r\n".utf8), receivedStatus: 200),
            #"rockpool; error=http_protocol_error; received-status=200; details="a\"b%0D%0A""#
        ),
        (ProxyStatus(reason: .loop), #"rockpool; error=proxy_loop_detected; details="loop""#),
        (ProxyStatus(reason: .badRequest), #"rockpool; error=http_request_error; details="bad-request""#),
    ])
    func `an error is written as RFC 9209 has it`(status: ProxyStatus, expected: String) {
        var bytes: [UInt8] = []
        status.append(to: &bytes)
        #expect(String(decoding: bytes, as: UTF8.self) == expected)
    }
}
