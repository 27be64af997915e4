import EdgeHTTP

/// What the caching decisions look at in a request.
public struct RequestTraits: Sendable, Equatable {
    public var method: Method
    public var hasAuthorization: Bool
    /// Whether the origin gets the request's Cookie, so that the answer may be one visitor's.
    public var hasCookie = false
    /// The client's `max-age` (RFC 9111 5.2.1.1), in milliseconds.
    public var maxAge: Int64?
    /// The client's `max-stale` (RFC 9111 5.2.1.2), in milliseconds; `Int64.max` where it names no limit.
    public var maxStale: Int64?
    /// The client's `min-fresh` (RFC 9111 5.2.1.3), in milliseconds.
    public var minFresh: Int64?
    public var noCache = false
    public var noStore = false
    public var onlyIfCached = false

    /// Traits without any client directive.
    public init(method: Method, hasAuthorization: Bool = false) {
        self.method = method
        self.hasAuthorization = hasAuthorization
    }

    /// The traits of `head`. Where `honoursClient` is false no directive of the client is read: any
    /// client could otherwise send every request to the origin.
    ///
    /// - Parameter stripsCookies: whether a rule keeps the request's Cookie from the origin.
    public init(head: RequestHead, honoursClient: Bool, stripsCookies: Bool = false) {
        self.init(method: head.method, hasAuthorization: head.fields.contains(.authorization))
        hasCookie = !stripsCookies && head.fields.contains(.cookie)
        if honoursClient { readDirectives(head.fields) }
    }

    private mutating func readDirectives(_ fields: FieldSection) {
        guard fields.contains(.cacheControl) else {
            // Pragma counts only where there is no Cache-Control (RFC 9111 5.4).
            noCache =
                fields.contains(.pragma)
                && Directives(fields.all(.pragma), limit: CountedLists.maxPreferences).contains("no-cache")
            return
        }
        let directives = Directives(fields.all(.cacheControl), limit: CountedLists.maxPreferences)
        noCache = directives.contains("no-cache")
        noStore = directives.contains("no-store")
        onlyIfCached = directives.contains("only-if-cached")
        maxAge = Self.milliseconds(directives.delta("max-age"))
        minFresh = Self.milliseconds(directives.delta("min-fresh"))
        let staleLimit = directives.delta("max-stale")
        maxStale = staleLimit == .valueless ? .max : Self.milliseconds(staleLimit)
    }

    private static func milliseconds(_ delta: Directives.Delta) -> Int64? {
        guard case .seconds(let seconds) = delta else { return nil }
        return seconds * 1000
    }
}
