import EdgeHTTP

/// A URI whose stored responses an unsafe request invalidates, ready for ``CacheKey``.
public struct InvalidationTarget: Sendable, Equatable {
    public let scheme: [UInt8]
    public let authority: [UInt8]
    public let path: [UInt8]
    public let query: [UInt8]?

    public init(scheme: [UInt8], authority: [UInt8], path: [UInt8], query: [UInt8]?) {
        self.scheme = scheme
        self.authority = authority
        self.path = path
        self.query = query
    }
}

/// Invalidation by unsafe methods (RFC 9111 4.4).
public enum Invalidation {
    /// What the answer to a request invalidates: nothing unless the method is unsafe or unknown and the
    /// status 2xx or 3xx; otherwise the target URI first, then Location and Content-Location where they
    /// lead to the same origin. One that leads elsewhere never counts: it would let an origin empty
    /// another's cache.
    public static func targets(
        requestMethod: Method, scheme: [UInt8], authority: ArraySlice<UInt8>, path: ArraySlice<UInt8>,
        query: ArraySlice<UInt8>?, status: Int, response: FieldSection
    ) -> [InvalidationTarget] {
        guard !requestMethod.isSafe, requestMethod != .connect, (200..<400).contains(status) else {
            return []
        }
        let isSecure = scheme.elementsEqual("https".utf8)
        let base = URIReference(
            scheme: scheme, authority: normalised(authority, isSecure), path: Array(path),
            query: query.map(Array.init))
        var targets = [target(base)]
        for line in response.lines where line.name == .location || line.name == .contentLocation {
            guard let reference = URIReference(response.value(line)) else { continue }
            var resolved = base.resolve(reference)
            guard resolved.scheme == base.scheme, let host = resolved.authority else { continue }
            resolved.authority = normalised(host[...], isSecure)
            if resolved.path.isEmpty { resolved.path = [UInt8(ascii: "/")] }
            guard resolved.authority == base.authority, resolved.path.first == UInt8(ascii: "/") else {
                continue
            }
            let found = target(resolved)
            if !targets.contains(found) { targets.append(found) }
        }
        return targets
    }

    /// The same with the scheme as a literal.
    public static func targets(
        requestMethod: Method, scheme: StaticString, authority: ArraySlice<UInt8>, path: ArraySlice<UInt8>,
        query: ArraySlice<UInt8>?, status: Int, response: FieldSection
    ) -> [InvalidationTarget] {
        let octets = Array(UnsafeBufferPointer(start: scheme.utf8Start, count: scheme.utf8CodeUnitCount))
        return targets(
            requestMethod: requestMethod, scheme: octets, authority: authority, path: path, query: query,
            status: status, response: response)
    }

    /// Whether a response says that its content is a representation of the target itself: a Content-Location that
    /// resolves to the target URI (RFC 9110 8.7). Only then may a POST's response answer later GETs (9.3.3).
    public static func isRepresentationOfTarget(
        scheme: StaticString, authority: ArraySlice<UInt8>, path: ArraySlice<UInt8>,
        query: ArraySlice<UInt8>?,
        response: FieldSection
    ) -> Bool {
        let octets = Array(UnsafeBufferPointer(start: scheme.utf8Start, count: scheme.utf8CodeUnitCount))
        let isSecure = octets.elementsEqual("https".utf8)
        let lines = response.all(.contentLocation)
        guard lines.count == 1, let reference = URIReference(lines[0]) else { return false }
        let base = URIReference(
            scheme: octets, authority: normalised(authority, isSecure), path: Array(path),
            query: query.map(Array.init))
        var resolved = base.resolve(reference)
        guard resolved.scheme == base.scheme, let host = resolved.authority else { return false }
        resolved.authority = normalised(host[...], isSecure)
        if resolved.path.isEmpty { resolved.path = [UInt8(ascii: "/")] }
        return target(resolved) == target(base)
    }

    private static func target(_ uri: URIReference) -> InvalidationTarget {
        InvalidationTarget(
            scheme: uri.scheme ?? [], authority: uri.authority ?? [], path: uri.path, query: uri.query)
    }

    private static func normalised(_ authority: ArraySlice<UInt8>, _ isSecure: Bool) -> [UInt8] {
        var bytes: [UInt8] = []
        CacheKey.appendAuthority(authority, defaultPort: isSecure ? 443 : 80, to: &bytes)
        return bytes
    }
}
