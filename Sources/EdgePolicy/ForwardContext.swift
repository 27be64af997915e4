import EdgeHTTP

/// What ``ForwardedFields`` must know beside the request itself.
public struct ForwardContext: Sendable {
    /// Our cdn-id (RFC 8586).
    public var nodeID: [UInt8]
    /// The address of the client in text, without a port; IPv6 without brackets.
    public var clientAddress: [UInt8]
    /// `http` or `https`: the scheme of the cache key, so the trusted proto where there is one.
    public var scheme: StaticString
    /// The Host that the origin gets.
    public var host: [UInt8]
    /// The authority that the client asked, as it stands in the key; nil: as it stands in the request.
    public var authority: [UInt8]?
    /// Whether the client is a trusted proxy, whose forwarding fields are extended and not replaced.
    public var trusted: Bool
    /// Whether the answer may be kept, or what it says be merged into what is: then nothing of the request may shape
    /// it but what is in the key.
    public var isCacheable: Bool
    /// Whether the request is a HEAD, for which Range has no meaning (RFC 9110 14.2).
    public var isHead = false
    public var cookies: CachingRules.Cookies
    /// Which fields reach the origin on cacheable pulls.
    public var forwarding = FieldForwarding.all
    /// The field in which the origin gets the client's address, beside X-Forwarded-For and Forwarded.
    public var clientAddressField: [UInt8]?
    /// Names that only the configuration may bring to the origin, in the form of ``ForwardedFields/plain(_:)``.
    public var reserved: [[UInt8]] = []
    /// Whether the query that goes to the origin holds a signature of vendor fields.
    public var hasSignedQuery = false
    /// The rules' `request.set`.
    public var set: [(name: [UInt8], value: [UInt8])]
    /// The rules' `request.remove`.
    public var remove: [[UInt8]]
    /// The origin's own `headers`; they replace what a client sent under the same name.
    public var originFields: [(name: [UInt8], value: [UInt8])]
    /// Fields of the pull's own: preconditions for a revalidation, from
    /// ``Validation/conditionalFields(for:)``, and the range that it asks for.
    public var conditions: [(FieldName, [UInt8])]

    public init(
        nodeID: [UInt8], clientAddress: [UInt8], scheme: StaticString, host: [UInt8], trusted: Bool = false,
        isCacheable: Bool, cookies: CachingRules.Cookies = .keep,
        set: [(name: [UInt8], value: [UInt8])] = [], remove: [[UInt8]] = [],
        originFields: [(name: [UInt8], value: [UInt8])] = [], conditions: [(FieldName, [UInt8])] = []
    ) {
        self.nodeID = nodeID
        self.clientAddress = clientAddress
        self.scheme = scheme
        self.host = host
        self.trusted = trusted
        self.isCacheable = isCacheable
        self.cookies = cookies
        self.set = set
        self.remove = remove
        self.originFields = originFields
        self.conditions = conditions
    }

    /// Notes whether the query that goes to the origin holds a signature.
    public mutating func noteQuery(_ query: ArraySlice<UInt8>) {
        hasSignedQuery = RequestSignature.isPresent(inQuery: query)
    }
}
