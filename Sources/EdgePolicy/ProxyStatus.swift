import EdgeHTTP

/// The registered error types of Proxy-Status (RFC 9209 2.3).
public enum ProxyError: String, Sendable, CaseIterable {
    case dnsTimeout = "dns_timeout"
    case dnsError = "dns_error"
    case destinationNotFound = "destination_not_found"
    case destinationUnavailable = "destination_unavailable"
    case destinationIPProhibited = "destination_ip_prohibited"
    case destinationIPUnroutable = "destination_ip_unroutable"
    case connectionRefused = "connection_refused"
    case connectionTerminated = "connection_terminated"
    case connectionTimeout = "connection_timeout"
    case connectionReadTimeout = "connection_read_timeout"
    case connectionWriteTimeout = "connection_write_timeout"
    case connectionLimitReached = "connection_limit_reached"
    case tlsProtocolError = "tls_protocol_error"
    case tlsCertificateError = "tls_certificate_error"
    case tlsAlertReceived = "tls_alert_received"
    case httpRequestError = "http_request_error"
    case httpRequestDenied = "http_request_denied"
    case httpResponseIncomplete = "http_response_incomplete"
    case httpResponseHeaderSectionSize = "http_response_header_section_size"
    case httpResponseHeaderSize = "http_response_header_size"
    case httpResponseBodySize = "http_response_body_size"
    case httpResponseTrailerSectionSize = "http_response_trailer_section_size"
    case httpResponseTrailerSize = "http_response_trailer_size"
    case httpResponseTransferCoding = "http_response_transfer_coding"
    case httpResponseContentCoding = "http_response_content_coding"
    case httpResponseTimeout = "http_response_timeout"
    case httpUpgradeFailed = "http_upgrade_failed"
    case httpProtocolError = "http_protocol_error"
    case proxyInternalResponse = "proxy_internal_response"
    case proxyInternalError = "proxy_internal_error"
    case proxyConfigurationError = "proxy_configuration_error"
    case proxyLoopDetected = "proxy_loop_detected"

    /// The type that says most about `reason` when no closer one is known.
    public init(_ reason: Reason) {
        switch reason {
        case .originUnreachable: self = .destinationUnavailable
        case .originTimeout: self = .httpResponseTimeout
        case .originMalformed: self = .httpProtocolError
        case .originIncomplete, .incomplete: self = .httpResponseIncomplete
        case .originSaturated: self = .connectionLimitReached
        case .loop: self = .proxyLoopDetected
        case .badRequest, .method, .methodNotAllowed, .range: self = .httpRequestError
        case .unknownHost: self = .httpRequestDenied
        case .tooLarge: self = .httpResponseBodySize
        case .onlyIfCached, .staleForbidden, .staleTooOld: self = .destinationUnavailable
        default: self = .proxyInternalResponse
        }
    }
}

/// Our member of the Proxy-Status field (RFC 9209), on answers that the node made itself.
public struct ProxyStatus: Sendable, Equatable {
    public var error: ProxyError
    /// What the operator may read; nothing that a client could misuse.
    public var details: [UInt8]?
    /// The status that the origin had sent, where one came (2.1.4).
    public var receivedStatus: Int?

    public init(error: ProxyError, details: [UInt8]? = nil, receivedStatus: Int? = nil) {
        self.error = error
        self.details = details
        self.receivedStatus = receivedStatus
    }

    /// The member for `reason`, which becomes the details.
    public init(reason: Reason, error: ProxyError? = nil) {
        self.init(error: error ?? ProxyError(reason), details: Array(reason.rawValue.utf8))
    }

    /// Appends the member, `rockpool; error=connection_refused; details="origin-unreachable"`.
    public func append(to output: inout [UInt8]) {
        output.append(contentsOf: "rockpool; error=".utf8)
        output.append(contentsOf: error.rawValue.utf8)
        if let receivedStatus {
            output.append(contentsOf: "; received-status=".utf8)
            output.appendDecimal(Int64(receivedStatus))
        }
        if let details {
            output.append(contentsOf: "; details=".utf8)
            output.appendStructuredString(details)
        }
    }
}
