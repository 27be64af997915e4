import EdgeHTTP

/// Deadlines and bounds of a client connection. Milliseconds and bytes.
public struct ConnectionLimits: Sendable {
    public var request = RequestLimits()
    /// From the first byte of a head to its end (408).
    public var headMilliseconds: Int64 = 10_000
    /// Between requests.
    public var idleMilliseconds: Int64 = 75_000
    /// Without the client taking a byte of a response, or sending one of an upload.
    public var stallMilliseconds: Int64 = 60_000
    /// After a refusal, input is read and dropped for so long (RFC 9112 9.6).
    public var lingerMilliseconds: Int64 = 2_000
    /// Unread request bytes that a connection may hold while a response is under way.
    public var maxPipelinedBytes = 64 * 1024
    /// The largest request body that is read and dropped to keep a connection.
    public var maxDrainBytes: UInt64 = 64 * 1024

    public init() {}
}
