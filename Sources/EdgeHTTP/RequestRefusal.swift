/// Why a request is refused before it means anything. Each case has one status (DESIGN of the wire: RFC 9112 2.2,
/// 3.2, 5.1, 5.2, 6.1, 6.3 and RFC 6585 5).
public enum RequestRefusal: String, Error, Sendable, CaseIterable {
    case bareLineFeed = "bare LF"
    case bareCarriageReturn = "bare CR"
    case malformedRequestLine = "malformed request line"
    case malformedMethod = "malformed method"
    case malformedTarget = "malformed request-target"
    case targetTooLong = "request-target over the limit"
    case versionNotSupported = "HTTP version not supported"
    case foldedLine = "obsolete line folding"
    case spaceBeforeFirstField = "white space before the first field"
    case malformedFieldName = "malformed field name"
    case malformedFieldValue = "control byte in a field value"
    case tooManyFields = "too many fields"
    case headTooLarge = "header section over the limit"
    case missingHost = "missing Host"
    case duplicateHost = "more than one Host"
    case malformedHost = "malformed Host"
    case hostMismatch = "Host differs from the request-target"
    case lengthAndCoding = "Content-Length with Transfer-Encoding"
    case malformedLength = "malformed Content-Length"
    case differingLengths = "differing Content-Length"
    case codingInHTTP10 = "Transfer-Encoding in HTTP/1.0"
    case malformedCoding = "malformed Transfer-Encoding"
    case unknownCoding = "unknown transfer coding"
    case unknownExpectation = "unknown expectation"
    case malformedChunk = "malformed chunk"
    case headTimeout = "header section not received in time"

    /// The status of the refusal.
    public var status: Int {
        switch self {
        case .targetTooLong: 414
        case .versionNotSupported: 505
        case .tooManyFields, .headTooLarge: 431
        case .unknownCoding: 501
        case .unknownExpectation: 417
        case .headTimeout: 408
        default: 400
        }
    }
}
