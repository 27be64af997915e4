import EdgeHTTP

/// Our member of the Cache-Status field (RFC 9211): what the cache `rockpool` did with one request.
public struct CacheStatus: Sendable, Equatable {
    public enum Outcome: Sendable, Equatable {
        /// Answered from what is stored (RFC 9211 2.1).
        case hit
        /// The request went on to the origin (RFC 9211 2.2).
        case forward(Forward)
    }

    /// Why a request went on to the origin, in the registered tokens of RFC 9211 2.2.
    public enum Forward: String, Sendable, CaseIterable {
        /// The rules of this node say not to handle it.
        case bypass
        /// The method's semantics want it forwarded.
        case method
        /// No stored response under this cache key.
        case uriMiss = "uri-miss"
        /// Stored responses under this key, none that Vary selects.
        case varyMiss = "vary-miss"
        /// Nothing stored, for one of the two reasons above.
        case miss
        /// A stored response would do, but the request's fields said no.
        case request
        /// There is a stored response, but it is stale.
        case stale
        /// What is stored lacks some of the bytes asked for.
        case partial
    }

    public var outcome: Outcome
    /// The status of the origin's answer (2.3).
    public var fwdStatus: Int?
    /// Whether the answer was stored (2.5).
    public var stored: Bool
    /// Whether the request shared another's pull (2.6).
    public var collapsed: Bool
    /// The remaining freshness lifetime, negative for a stale response (2.4).
    public var ttlSeconds: Int64?
    /// The cache key, only when asked for (2.7).
    public var key: [UInt8]?
    /// Why, from a closed list (2.8).
    public var detail: Reason?

    public init(
        outcome: Outcome, fwdStatus: Int? = nil, stored: Bool = false, collapsed: Bool = false,
        ttlSeconds: Int64? = nil, key: [UInt8]? = nil, detail: Reason? = nil
    ) {
        self.outcome = outcome
        self.fwdStatus = fwdStatus
        self.stored = stored
        self.collapsed = collapsed
        self.ttlSeconds = ttlSeconds
        self.key = key
        self.detail = detail
    }

    /// Appends the member, `rockpool; hit; ttl=30; detail=fresh`.
    public func append(to output: inout [UInt8]) {
        switch outcome {
        case .hit:
            output.append(contentsOf: "rockpool; hit".utf8)
        case .forward(let reason):
            output.append(contentsOf: "rockpool; fwd=".utf8)
            output.append(contentsOf: reason.rawValue.utf8)
            if let fwdStatus {
                output.append(contentsOf: "; fwd-status=".utf8)
                output.appendDecimal(Int64(fwdStatus))
            }
            if stored { output.append(contentsOf: "; stored".utf8) }
            if collapsed { output.append(contentsOf: "; collapsed".utf8) }
        }
        Self.appendLast(ttlSeconds, key, detail, to: &output)
    }

    /// Appends the member of a hit; with enough reserved, without an allocation.
    public static func appendHit(ttlSeconds: Int64?, detail: Reason?, to output: inout [UInt8]) {
        output.append(contentsOf: "rockpool; hit".utf8)
        appendLast(ttlSeconds, nil, detail, to: &output)
    }

    @inline(__always)
    private static func appendLast(
        _ ttlSeconds: Int64?, _ key: [UInt8]?, _ detail: Reason?, to output: inout [UInt8]
    ) {
        if let ttlSeconds {
            output.append(contentsOf: "; ttl=".utf8)
            // The range of an sf-integer (RFC 8941 3.3.1).
            output.appendDecimal(min(max(ttlSeconds, -999_999_999_999_999), 999_999_999_999_999))
        }
        if let key {
            output.append(contentsOf: "; key=".utf8)
            output.appendStructuredString(key)
        }
        if let detail {
            output.append(contentsOf: "; detail=".utf8)
            output.append(contentsOf: detail.rawValue.utf8)
        }
    }
}

extension [UInt8] {
    /// Appends an sf-string (RFC 8941 3.3.3). Octets that it cannot hold are percent-encoded.
    mutating func appendStructuredString(_ text: some Sequence<UInt8>) {
        let digits: StaticString = "0123456789ABCDEF"
        append(Octet.quote)
        for byte in text {
            if byte < 0x20 || byte > 0x7E {
                append(UInt8(ascii: "%"))
                append(digits.utf8Start[Int(byte >> 4)])
                append(digits.utf8Start[Int(byte & 15)])
                continue
            }
            if byte == Octet.quote || byte == Octet.backslash { append(Octet.backslash) }
            append(byte)
        }
        append(Octet.quote)
    }
}
