import EdgeHTTP

/// The cache directives of a response that bind this cache (RFC 9111 5.2.2, RFC 5861, RFC 8246), from
/// CDN-Cache-Control where that is a non-empty Dictionary (RFC 9213 2.2), else from Cache-Control.
struct ResponseDirectives {
    /// A number of seconds as the origin wrote it. RFC 9111 4.2.1 wants an unreadable one taken as stale.
    enum Seconds: Equatable {
        case absent
        case invalid
        case value(Int64)

        var milliseconds: Int64? {
            guard case .value(let seconds) = self else { return nil }
            return seconds * 1000
        }
    }

    /// Whether they came from CDN-Cache-Control; then Cache-Control and Expires don't count.
    var isTargeted = false
    var noStore = false
    var isPrivate = false
    var noCache = false
    /// The fields that the qualified forms of no-cache and private name.
    var qualifiedFields: [[UInt8]] = []
    var mustRevalidate = false
    /// Whether must-revalidate is well-formed, so that it permits what RFC 9111 3.5 says.
    var mustRevalidatePermits = false
    var proxyRevalidate = false
    var isPublic = false
    var mustUnderstand = false
    /// Whether must-understand is well-formed, so that it lifts no-store (RFC 9111 5.2.2.3).
    var mustUnderstandPermits = false
    var immutable = false
    var maxAge = Seconds.absent
    var sMaxage = Seconds.absent
    var staleIfError = Seconds.absent
    var staleWhileRevalidate = Seconds.absent

    /// No directive at all: what is left of the origin's words where a rule overrides them.
    init() {}

    /// More members than this say no-store: what the node would have to leave out might forbid.
    static let maxMembers = 64

    init(_ fields: FieldSection) {
        if fields.contains(.cdnCacheControl),
            let targeted = StructuredDictionary(fields.all(.cdnCacheControl), takesNewTypes: false),
            !targeted.isEmpty
        {
            isTargeted = true
            if targeted.isTooLong { noStore = true } else { readTargeted(targeted) }
        } else if fields.contains(.cacheControl) {
            let directives = Directives(fields.all(.cacheControl), limit: Self.maxMembers)
            if directives.isTooLong { noStore = true } else { readCacheControl(directives) }
        }
    }

    /// A directive that cannot be read as it is written permits nothing; what it forbids stays forbidden, and
    /// the others count.
    private mutating func readCacheControl(_ directives: Directives) {
        noStore = directives.restricts("no-store")
        mustRevalidate = directives.restricts("must-revalidate")
        mustRevalidatePermits = directives.permits("must-revalidate")
        proxyRevalidate = directives.restricts("proxy-revalidate")
        isPublic = directives.permits("public")
        mustUnderstand = directives.restricts("must-understand")
        mustUnderstandPermits = directives.permits("must-understand")
        immutable = directives.permits("immutable")
        maxAge = Self.seconds(directives.delta("max-age"))
        sMaxage = Self.seconds(directives.delta("s-maxage"))
        staleIfError = Self.seconds(directives.delta("stale-if-error"))
        staleWhileRevalidate = Self.seconds(directives.delta("stale-while-revalidate"))
        for argument in directives.arguments("no-cache") {
            if case .quoted(let list) = argument, addQualifiedFields(list) { continue }
            noCache = true
        }
        for argument in directives.arguments("private") {
            if case .quoted(let list) = argument, addQualifiedFields(list) { continue }
            isPrivate = true
        }
        if directives.restricts("no-cache"), !directives.contains("no-cache") { noCache = true }
        if directives.restricts("private"), !directives.contains("private") { isPrivate = true }
    }

    /// RFC 9213 2.1: a value of another type than its directive has is not consumed, which for a lifetime
    /// means stale; `?0` says that the directive is not there; parameters are ignored.
    private mutating func readTargeted(_ dictionary: StructuredDictionary) {
        noStore = Self.forbids(dictionary, "no-store")
        mustRevalidate = Self.forbids(dictionary, "must-revalidate")
        mustRevalidatePermits = dictionary.item("must-revalidate") == .boolean(true)
        proxyRevalidate = Self.forbids(dictionary, "proxy-revalidate")
        isPublic = dictionary.item("public") == .boolean(true)
        mustUnderstandPermits = dictionary.item("must-understand") == .boolean(true)
        mustUnderstand = mustUnderstandPermits
        immutable = dictionary.item("immutable") == .boolean(true)
        maxAge = Self.seconds(dictionary, "max-age")
        sMaxage = Self.seconds(dictionary, "s-maxage")
        staleIfError = Self.seconds(dictionary, "stale-if-error")
        staleWhileRevalidate = Self.seconds(dictionary, "stale-while-revalidate")
        if case .string(let list)? = dictionary.item("no-cache"), addQualifiedFields(list) {
            noCache = false
        } else {
            noCache = Self.forbids(dictionary, "no-cache")
        }
        if case .string(let list)? = dictionary.item("private"), addQualifiedFields(list) {
            isPrivate = false
        } else {
            isPrivate = Self.forbids(dictionary, "private")
        }
    }

    /// Takes the field names of a qualified no-cache or private. False where `list` is not a list of
    /// names, or they are more than ``maxMembers`` in all: the directive then counts as unqualified, the
    /// stricter reading (RFC 9111 5.2.2.4 and 5.2.2.7 allow it).
    private mutating func addQualifiedFields(_ list: [UInt8]) -> Bool {
        var names: [[UInt8]] = []
        for member in ListMembers(list[...]) {
            guard member.allSatisfy(Octet.isToken), names.count < Self.maxMembers else { return false }
            names.append(member.map(Octet.lower))
        }
        let added = names.filter { !qualifiedFields.contains($0) }
        guard qualifiedFields.count + added.count <= Self.maxMembers else { return false }
        qualifiedFields += added
        return !names.isEmpty
    }

    private static func seconds(_ delta: Directives.Delta) -> Seconds {
        switch delta {
        case .absent: .absent
        case .valueless, .invalid: .invalid
        case .seconds(let value): .value(value)
        }
    }

    private static func seconds(_ dictionary: StructuredDictionary, _ key: StaticString) -> Seconds {
        guard let member = dictionary.member(key) else { return .absent }
        guard case .item(.integer(let value)) = member.value, value >= 0 else { return .invalid }
        return .value(min(value, Directives.maxDeltaSeconds))
    }

    /// A directive that only ever takes permission away counts with any value but false.
    private static func forbids(_ dictionary: StructuredDictionary, _ key: StaticString) -> Bool {
        guard let member = dictionary.member(key) else { return false }
        return member.value != .item(.boolean(false))
    }
}
