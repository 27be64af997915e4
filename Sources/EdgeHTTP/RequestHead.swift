/// A request method (RFC 9110 9); any token that is not listed is ``other``.
public enum Method: UInt8, Sendable {
    case get, head, post, put, delete, options, trace, connect, patch
    /// RFC 4918 9.1, RFC 3253 3.6, RFC 5323 2 and the registry of methods: safe, and never cached here.
    case propfind, report, search, query
    case other

    /// RFC 9110 9.2.1, and of other methods what their registration says. An unknown method is taken as
    /// unsafe (RFC 9111 4.4).
    public var isSafe: Bool {
        switch self {
        case .get, .head, .options, .trace, .propfind, .report, .search, .query: true
        case .post, .put, .delete, .connect, .patch, .other: false
        }
    }

    /// RFC 9110 9.2.2.
    public var isIdempotent: Bool { isSafe || self == .put || self == .delete }
}

/// How the body of a request is delimited (RFC 9112 6).
public enum RequestFraming: Equatable, Sendable {
    case none
    case length(UInt64)
    case chunked
}

/// The head of a request, as the parser leaves it: all text in one array of bytes that a connection reuses.
public struct RequestHead: Sendable {
    /// The field lines; `fields.bytes` holds the whole head section, request line included.
    public var fields = FieldSection()
    public internal(set) var method = Method.get
    public internal(set) var methodRange = 0..<0
    /// The request-target as it came.
    public internal(set) var targetRange = 0..<0
    /// The path of the target: `*` for that form, empty for the authority-form, and else never empty. Where a
    /// target in absolute-form has no path, it is the slash that RFC 9112 3.2.1 has in its place.
    public internal(set) var pathRange = 0..<0
    /// The query without its question mark; nil where the target has none.
    public internal(set) var queryRange: Range<Int>?
    /// Host and optional port, from the absolute-form target or else from Host; nil for HTTP/1.0 without
    /// either.
    public internal(set) var authorityRange: Range<Int>?
    /// The minor version: 0 or 1.
    public internal(set) var minorVersion = 1
    public internal(set) var framing = RequestFraming.none
    /// Whether the client lets the connection persist (RFC 9112 9.3).
    public internal(set) var keepAlive = true
    public internal(set) var expectsContinue = false
    /// The known names among the fields.
    public internal(set) var names = FieldNameSet()
    /// Whether the target is in absolute-form.
    public internal(set) var isAbsoluteForm = false
    /// Whether Connection lists more than `close` and `keep-alive`: fields that go no further, perhaps.
    public internal(set) var nominatesFields = false

    public init() {}

    /// The connection ends after this request, whatever its client would like.
    public mutating func endConnection() {
        keepAlive = false
    }

    public var bytes: [UInt8] { fields.bytes }
    public var methodBytes: ArraySlice<UInt8> { fields.bytes[methodRange] }
    public var target: ArraySlice<UInt8> { fields.bytes[targetRange] }
    public var path: ArraySlice<UInt8> { fields.bytes[pathRange] }
    public var query: ArraySlice<UInt8>? { queryRange.map { fields.bytes[$0] } }
    public var authority: ArraySlice<UInt8>? { authorityRange.map { fields.bytes[$0] } }

    /// Path and query, as a request in origin-form has them (RFC 9112 3.2.1).
    public var pathAndQuery: [UInt8] {
        var target = Array(path)
        if let query {
            target.append(UInt8(ascii: "?"))
            target.append(contentsOf: query)
        }
        return target
    }

    /// The octets that the fields take up: their lines, each with its CRLF.
    public var fieldSectionBytes: Int {
        guard let first = fields.lines.first, let last = fields.lines.last else { return 0 }
        return last.valueRange.upperBound - first.nameRange.lowerBound + 2
    }
}
