/// The head of a response, as an origin sent it.
public struct ResponseHead: Sendable {
    /// The status code: three digits, 100 to 999.
    public var status: Int
    /// The minor version of HTTP/1 that the origin spoke.
    public var minorVersion: Int
    /// The reason phrase; may be empty.
    public var reason: [UInt8]
    public var fields: FieldSection

    public init(
        status: Int, minorVersion: Int = 1, reason: [UInt8] = [], fields: FieldSection = FieldSection()
    ) {
        self.status = status
        self.minorVersion = minorVersion
        self.reason = reason
        self.fields = fields
    }

    public var isInterim: Bool { status < 200 }
}
