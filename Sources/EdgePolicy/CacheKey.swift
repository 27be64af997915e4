import EdgeHTTP

/// The cache key of a request (RFC 9111 2): scheme, authority, path and as much of the query as the rules
/// keep, written as one canonical target URI. GET and HEAD share it.
///
/// The authority has one spelling (``appendAuthority(_:defaultPort:to:)``), which is the one that the origin gets too;
/// path and query keep their octets, since any other normalisation that an origin doesn't share joins what the origin
/// tells apart.
public enum CacheKey {
    /// Appends the key of a target to `output`. With `.all` or `.ignore` and enough reserved, it allocates
    /// nothing.
    public static func append(
        scheme: StaticString, authority: ArraySlice<UInt8>, path: ArraySlice<UInt8>,
        query: ArraySlice<UInt8>?,
        rule: QueryRule, into output: inout [UInt8]
    ) {
        let name = UnsafeBufferPointer(start: scheme.utf8Start, count: scheme.utf8CodeUnitCount)
        output.append(contentsOf: name)
        // "https" is the one scheme of five letters that reaches here.
        appendRest(name.count == 5, authority, path, query, rule, &output)
    }

    /// Appends the key of a target whose scheme, `http` or `https`, is given in octets.
    public static func append(
        scheme: [UInt8], authority: ArraySlice<UInt8>, path: ArraySlice<UInt8>, query: ArraySlice<UInt8>?,
        rule: QueryRule, into output: inout [UInt8]
    ) {
        for byte in scheme { output.append(Octet.lower(byte)) }
        appendRest(scheme.count == 5, authority, path, query, rule, &output)
    }

    private static func appendRest(
        _ isSecure: Bool, _ authority: ArraySlice<UInt8>, _ path: ArraySlice<UInt8>,
        _ query: ArraySlice<UInt8>?,
        _ rule: QueryRule, _ output: inout [UInt8]
    ) {
        output.append(Octet.colon)
        output.append(slash)
        output.append(slash)
        appendAuthority(authority, defaultPort: isSecure ? 443 : 80, to: &output)
        output.append(contentsOf: path)
        guard let query else { return }
        switch rule {
        case .all:
            output.append(questionMark)
            output.append(contentsOf: query)
        case .ignore:
            break
        case .keep(let names):
            appendParameters(query, to: &output, isSorted: false) { matches($0, names, ignoringIndex: true) }
        case .drop(let names, let sort):
            appendParameters(query, to: &output, isSorted: sort) { !matches($0, names, ignoringIndex: false) }
        }
    }

    /// Appends host and port as they stand in keys, whatever their spelling: in lower case, the host without the dots
    /// that end it, the port without zeros that lead it, and without a port that is empty or the scheme's default.
    /// What stands so in a key stays as it is.
    public static func appendAuthority(
        _ authority: ArraySlice<UInt8>, defaultPort: Int, to output: inout [UInt8]
    ) {
        let start = authority.startIndex
        var hostEnd = authority.endIndex
        var digits = authority.endIndex
        while digits > start, Octet.isDigit(authority[digits - 1]) { digits -= 1 }
        let hasPort = digits > start && authority[digits - 1] == Octet.colon
        if hasPort { hostEnd = digits - 1 }
        while hostEnd > start + 1, authority[hostEnd - 1] == UInt8(ascii: ".") { hostEnd -= 1 }
        for index in start..<hostEnd { output.append(Octet.lower(authority[index])) }
        guard hasPort, digits < authority.endIndex else { return }
        while digits < authority.endIndex - 1, authority[digits] == 48 { digits += 1 }
        var port = 0
        // A figure that no port has never equals the default.
        for index in digits..<authority.endIndex {
            port = min(port * 10 + Int(authority[index] - 48), 100_000)
        }
        if port == defaultPort { return }
        output.append(Octet.colon)
        output.append(contentsOf: authority[digits...])
    }

    /// Host and port as they stand in the keys of `scheme`.
    public static func authority(_ authority: ArraySlice<UInt8>, scheme: StaticString) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(authority.count)
        appendAuthority(authority, defaultPort: scheme.utf8CodeUnitCount == 5 ? 443 : 80, to: &bytes)
        return bytes
    }

    // MARK: Parameters

    private static let slash = UInt8(ascii: "/")
    private static let questionMark = UInt8(ascii: "?")
    private static let ampersand = UInt8(ascii: "&")

    private static func appendParameters(
        _ query: ArraySlice<UInt8>, to output: inout [UInt8], isSorted: Bool, keeping: ([UInt8]) -> Bool
    ) {
        var kept: [(name: [UInt8], bytes: ArraySlice<UInt8>)] = []
        for parameter in query.split(separator: ampersand) {
            let name = decodedName(parameter)
            // Some origins take ";" for a separator too: what they would read as a second parameter must
            // not leave the key together with the first.
            if keeping(name) || parameter.contains(Octet.semicolon) { kept.append((name, parameter)) }
        }
        if isSorted {
            // By name, and stable: the order of two values of one name may mean something.
            kept = kept.enumerated()
                .sorted { left, right in
                    if left.element.name == right.element.name { return left.offset < right.offset }
                    return left.element.name.lexicographicallyPrecedes(right.element.name)
                }
                .map(\.element)
        }
        var separator = questionMark
        for parameter in kept {
            output.append(separator)
            output.append(contentsOf: parameter.bytes)
            separator = ampersand
        }
    }

    /// The name of a parameter with its percent-encoding undone. Compared in any other form, a kept
    /// parameter that is spelt `i%64` would stay out of the key and still reach the origin as `id`.
    private static func decodedName(_ parameter: ArraySlice<UInt8>) -> [UInt8] {
        let name = parameter.prefix { $0 != Octet.equals }
        return name.contains(UInt8(ascii: "%")) ? Octet.percentDecoded(name) : Array(name)
    }

    /// Whether `name` is one of `patterns`, which may end in `*`. With `ignoringIndex`, `id[]` and `id[2]`
    /// are `id` too: an origin that reads them so must find them in the key.
    private static func matches(_ name: [UInt8], _ patterns: [String], ignoringIndex: Bool) -> Bool {
        let bare = ignoringIndex ? name.prefix { $0 != UInt8(ascii: "[") } : name[...]
        return patterns.contains { pattern in
            let pattern = pattern.utf8
            if pattern.last == UInt8(ascii: "*") { return name.starts(with: pattern.dropLast()) }
            return name.elementsEqual(pattern) || bare.elementsEqual(pattern)
        }
    }
}
