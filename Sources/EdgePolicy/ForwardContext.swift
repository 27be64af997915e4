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
    /// Whether the client is a trusted proxy, whose forwarding fields are extended and not replaced.
    public var trusted: Bool
    /// Whether the pull may fill the cache: then nothing of the request may shape the answer but what is in
    /// the key.
    public var isCacheable: Bool
    /// Whether the request is a HEAD, for which Range has no meaning (RFC 9110 14.2).
    public var isHead = false
    public var cookies: CachingRules.Cookies
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
}
