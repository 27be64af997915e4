/// The field names that some rule of this program looks at; every other name is ``other``.
///
/// The parser recognises a name once, so that later look-ups compare one byte and not a string.
public enum FieldName: UInt8, Sendable, CaseIterable {
    case other
    case accept
    case acceptEncoding
    case acceptLanguage
    case acceptRanges
    case accessControlAllowOrigin
    case age
    case allow
    case altSvc
    case authorization
    case cacheControl
    case cacheStatus
    case cacheTag
    case cdnCacheControl
    case cdnLoop
    case connection
    case contentEncoding
    case contentLanguage
    case contentLength
    case contentLocation
    case contentRange
    case contentType
    case cookie
    case date
    case etag
    case expect
    case expires
    case forwarded
    case host
    case ifMatch
    case ifModifiedSince
    case ifNoneMatch
    case ifRange
    case ifUnmodifiedSince
    case keepAlive
    case lastModified
    case location
    case maxForwards
    case origin
    case pragma
    case proxyAuthenticate
    case proxyAuthenticationInfo
    case proxyAuthorization
    case proxyConnection
    case proxyStatus
    case range
    case referer
    case retryAfter
    case server
    case setCookie
    case signatureInput
    case surrogateControl
    case surrogateKey
    case te
    case trailer
    case transferEncoding
    case upgrade
    case userAgent
    case vary
    case via
    case warning
    case wwwAuthenticate
    case xForwardedFor
    case xForwardedHost
    case xForwardedProto

    /// The name as it is written on the wire, in the case of its registration; empty for ``other``.
    public var wireName: StaticString {
        switch self {
        case .other: ""
        case .accept: "Accept"
        case .acceptEncoding: "Accept-Encoding"
        case .acceptLanguage: "Accept-Language"
        case .acceptRanges: "Accept-Ranges"
        case .accessControlAllowOrigin: "Access-Control-Allow-Origin"
        case .age: "Age"
        case .allow: "Allow"
        case .altSvc: "Alt-Svc"
        case .authorization: "Authorization"
        case .cacheControl: "Cache-Control"
        case .cacheStatus: "Cache-Status"
        case .cacheTag: "Cache-Tag"
        case .cdnCacheControl: "CDN-Cache-Control"
        case .cdnLoop: "CDN-Loop"
        case .connection: "Connection"
        case .contentEncoding: "Content-Encoding"
        case .contentLanguage: "Content-Language"
        case .contentLength: "Content-Length"
        case .contentLocation: "Content-Location"
        case .contentRange: "Content-Range"
        case .contentType: "Content-Type"
        case .cookie: "Cookie"
        case .date: "Date"
        case .etag: "ETag"
        case .expect: "Expect"
        case .expires: "Expires"
        case .forwarded: "Forwarded"
        case .host: "Host"
        case .ifMatch: "If-Match"
        case .ifModifiedSince: "If-Modified-Since"
        case .ifNoneMatch: "If-None-Match"
        case .ifRange: "If-Range"
        case .ifUnmodifiedSince: "If-Unmodified-Since"
        case .keepAlive: "Keep-Alive"
        case .lastModified: "Last-Modified"
        case .location: "Location"
        case .maxForwards: "Max-Forwards"
        case .origin: "Origin"
        case .pragma: "Pragma"
        case .proxyAuthenticate: "Proxy-Authenticate"
        case .proxyAuthenticationInfo: "Proxy-Authentication-Info"
        case .proxyAuthorization: "Proxy-Authorization"
        case .proxyConnection: "Proxy-Connection"
        case .proxyStatus: "Proxy-Status"
        case .range: "Range"
        case .referer: "Referer"
        case .retryAfter: "Retry-After"
        case .server: "Server"
        case .setCookie: "Set-Cookie"
        case .signatureInput: "Signature-Input"
        case .surrogateControl: "Surrogate-Control"
        case .surrogateKey: "Surrogate-Key"
        case .te: "TE"
        case .trailer: "Trailer"
        case .transferEncoding: "Transfer-Encoding"
        case .upgrade: "Upgrade"
        case .userAgent: "User-Agent"
        case .vary: "Vary"
        case .via: "Via"
        case .warning: "Warning"
        case .wwwAuthenticate: "WWW-Authenticate"
        case .xForwardedFor: "X-Forwarded-For"
        case .xForwardedHost: "X-Forwarded-Host"
        case .xForwardedProto: "X-Forwarded-Proto"
        }
    }

    /// The known name that `bytes` spells in any case, or ``other``.
    public static func recognise(_ bytes: UnsafeBufferPointer<UInt8>) -> FieldName {
        // The length and the first letter leave at most a handful of names; one comparison of each settles it.
        guard let first = bytes.first else { return .other }
        switch (bytes.count, Octet.lower(first)) {
        case (2, 116): return matches(bytes, "te") ? .te : .other
        case (3, 97): return matches(bytes, "age") ? .age : .other
        case (3, 118): return matches(bytes, "via") ? .via : .other
        case (4, 100): return matches(bytes, "date") ? .date : .other
        case (4, 101): return matches(bytes, "etag") ? .etag : .other
        case (4, 104): return matches(bytes, "host") ? .host : .other
        case (4, 118): return matches(bytes, "vary") ? .vary : .other
        case (5, 97): return matches(bytes, "allow") ? .allow : .other
        case (5, 114): return matches(bytes, "range") ? .range : .other
        case (6, 97): return matches(bytes, "accept") ? .accept : .other
        case (6, 99): return matches(bytes, "cookie") ? .cookie : .other
        case (6, 101): return matches(bytes, "expect") ? .expect : .other
        case (6, 111): return matches(bytes, "origin") ? .origin : .other
        case (6, 112): return matches(bytes, "pragma") ? .pragma : .other
        case (6, 115): return matches(bytes, "server") ? .server : .other
        case (7, 97): return matches(bytes, "alt-svc") ? .altSvc : .other
        case (7, 101): return matches(bytes, "expires") ? .expires : .other
        case (7, 114): return matches(bytes, "referer") ? .referer : .other
        case (7, 116): return matches(bytes, "trailer") ? .trailer : .other
        case (7, 117): return matches(bytes, "upgrade") ? .upgrade : .other
        case (7, 119): return matches(bytes, "warning") ? .warning : .other
        case (8, 99): return matches(bytes, "cdn-loop") ? .cdnLoop : .other
        case (8, 105):
            if matches(bytes, "if-match") { return .ifMatch }
            if matches(bytes, "if-range") { return .ifRange }
            return .other
        case (8, 108): return matches(bytes, "location") ? .location : .other
        case (9, 99): return matches(bytes, "cache-tag") ? .cacheTag : .other
        case (9, 102): return matches(bytes, "forwarded") ? .forwarded : .other
        case (10, 99): return matches(bytes, "connection") ? .connection : .other
        case (10, 107): return matches(bytes, "keep-alive") ? .keepAlive : .other
        case (10, 115): return matches(bytes, "set-cookie") ? .setCookie : .other
        case (10, 117): return matches(bytes, "user-agent") ? .userAgent : .other
        case (11, 114): return matches(bytes, "retry-after") ? .retryAfter : .other
        case (12, 99):
            if matches(bytes, "cache-status") { return .cacheStatus }
            if matches(bytes, "content-type") { return .contentType }
            return .other
        case (12, 109): return matches(bytes, "max-forwards") ? .maxForwards : .other
        case (12, 112): return matches(bytes, "proxy-status") ? .proxyStatus : .other
        case (13, 97):
            if matches(bytes, "accept-ranges") { return .acceptRanges }
            if matches(bytes, "authorization") { return .authorization }
            return .other
        case (13, 99):
            if matches(bytes, "cache-control") { return .cacheControl }
            if matches(bytes, "content-range") { return .contentRange }
            return .other
        case (13, 105): return matches(bytes, "if-none-match") ? .ifNoneMatch : .other
        case (13, 108): return matches(bytes, "last-modified") ? .lastModified : .other
        case (13, 115): return matches(bytes, "surrogate-key") ? .surrogateKey : .other
        case (14, 99): return matches(bytes, "content-length") ? .contentLength : .other
        case (15, 97):
            if matches(bytes, "accept-encoding") { return .acceptEncoding }
            if matches(bytes, "accept-language") { return .acceptLanguage }
            return .other
        case (15, 115): return matches(bytes, "signature-input") ? .signatureInput : .other
        case (15, 120): return matches(bytes, "x-forwarded-for") ? .xForwardedFor : .other
        case (16, 99):
            if matches(bytes, "content-encoding") { return .contentEncoding }
            if matches(bytes, "content-language") { return .contentLanguage }
            if matches(bytes, "content-location") { return .contentLocation }
            return .other
        case (16, 112): return matches(bytes, "proxy-connection") ? .proxyConnection : .other
        case (16, 119): return matches(bytes, "www-authenticate") ? .wwwAuthenticate : .other
        case (16, 120): return matches(bytes, "x-forwarded-host") ? .xForwardedHost : .other
        case (17, 99): return matches(bytes, "cdn-cache-control") ? .cdnCacheControl : .other
        case (17, 105): return matches(bytes, "if-modified-since") ? .ifModifiedSince : .other
        case (17, 115): return matches(bytes, "surrogate-control") ? .surrogateControl : .other
        case (17, 116): return matches(bytes, "transfer-encoding") ? .transferEncoding : .other
        case (17, 120): return matches(bytes, "x-forwarded-proto") ? .xForwardedProto : .other
        case (18, 112): return matches(bytes, "proxy-authenticate") ? .proxyAuthenticate : .other
        case (19, 105): return matches(bytes, "if-unmodified-since") ? .ifUnmodifiedSince : .other
        case (19, 112): return matches(bytes, "proxy-authorization") ? .proxyAuthorization : .other
        case (25, 112): return matches(bytes, "proxy-authentication-info") ? .proxyAuthenticationInfo : .other
        case (27, 97):
            return matches(bytes, "access-control-allow-origin") ? .accessControlAllowOrigin : .other
        default: return .other
        }
    }

    /// Whether `bytes` are `name`, a lower-case literal of the same length, in any case.
    @inline(__always)
    private static func matches(_ bytes: UnsafeBufferPointer<UInt8>, _ name: StaticString) -> Bool {
        let pattern = name.utf8Start
        for index in 0..<bytes.count where Octet.lower(bytes[index]) != pattern[index] { return false }
        return true
    }
}

/// A set of known field names, two words wide.
public struct FieldNameSet: Sendable, Equatable {
    @usableFromInline var low: UInt64 = 0
    @usableFromInline var high: UInt64 = 0

    @inlinable
    public init() {}

    @inlinable
    public init(_ names: FieldName...) {
        for name in names { insert(name) }
    }

    @inlinable
    public mutating func insert(_ name: FieldName) {
        if name.rawValue < 64 {
            low |= 1 << UInt64(name.rawValue)
        } else {
            high |= 1 << UInt64(name.rawValue - 64)
        }
    }

    @inlinable
    public func contains(_ name: FieldName) -> Bool {
        name.rawValue < 64
            ? low >> UInt64(name.rawValue) & 1 == 1 : high >> UInt64(name.rawValue - 64) & 1 == 1
    }

    @inlinable
    public func intersects(_ other: FieldNameSet) -> Bool { low & other.low | high & other.high != 0 }
}
