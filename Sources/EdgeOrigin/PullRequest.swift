import EdgeHTTP

/// What to pull. All octets go out as they are: nothing that came from outside gets here without a parser.
public struct PullRequest: Sendable {
    public enum BodyKind: Sendable, Equatable {
        case none
        case length(UInt64)
        case chunked
    }

    /// The name of the origin in the configuration.
    public var origin: String
    public var method: [UInt8]
    public var isHead: Bool
    public var isIdempotent: Bool
    public var isSafe: Bool
    /// Path and query, or `*`.
    public var target: [UInt8]
    /// The client's authority, for origins that are to get it as Host.
    public var host: [UInt8]
    /// Everything else, without Host, Content-Length and Transfer-Encoding.
    public var fields: FieldSection
    public var body: BodyKind
    /// Chooses the server under `balance: hash`.
    public var hashKey: UInt64
    /// Whom the pull is for: queues are fair between clients.
    public var client: UInt64
    /// The longest pause within the answer's body, where it is not the origin's.
    public var stallTimeoutMilliseconds: Int64?
    /// Whether the pull waits for a check that may bring a server back; false where something else may be served.
    public var waitsForCheck = true

    public init(
        origin: String, method: [UInt8], isHead: Bool, isIdempotent: Bool, isSafe: Bool, target: [UInt8],
        host: [UInt8],
        fields: FieldSection, body: BodyKind, hashKey: UInt64, client: UInt64
    ) {
        self.origin = origin
        self.method = method
        self.isHead = isHead
        self.isIdempotent = isIdempotent
        self.isSafe = isSafe
        self.target = target
        self.host = host
        self.fields = fields
        self.body = body
        self.hashKey = hashKey
        self.client = client
    }
}

/// Takes what a pull brings. Called on the pull thread, in this order: interim responses, the head, the body, trailers,
/// then exactly one of completed and failed. Must not block.
public protocol PullSink: AnyObject, Sendable {
    func pull(interim: ResponseHead)
    func pull(head: ResponseHead)
    /// False pauses the transfer until ``PullHandle/resume()``; the same bytes then come again.
    func pull(body: UnsafeRawBufferPointer) -> Bool
    func pull(trailers: FieldSection)
    /// - Parameter isEndProved: false for a body that ends where a TLS connection does: libcurl does not tell whether
    ///   a close_notify came, so it may have been cut off.
    func pullCompleted(isEndProved: Bool)
    func pullFailed(_ failure: PullFailure)
    /// The upload's buffer has room again.
    func pullUploadWritable()
    /// All that the pull thread has for now was handed over: time to wake whoever waits. A head, its body and its end
    /// that came together are one wake.
    func pullSettled()
    /// Whether anybody but one client may get what comes: then a pause ends the pull sooner.
    var isShared: Bool { get }
}

extension PullSink {
    public var isShared: Bool { true }
}
