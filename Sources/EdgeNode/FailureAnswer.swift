import EdgeOrigin
import EdgePolicy

/// What a failed pull means to the client: RFC 9209 error types and the node's reasons.
extension PullFailure {
    var isSaturation: Bool { kind == .saturated }

    var malformedReason: Reason {
        switch kind {
        case .incomplete: .originIncomplete
        case .malformed, .headTooLarge, .protocolError: .originMalformed
        default: .originUnreachable
        }
    }

    var proxyError: ProxyError {
        switch kind {
        case .refused: .connectionRefused
        case .unreachable: .destinationIPUnroutable
        case .unhealthy: .destinationUnavailable
        case .nameNotFound: .dnsError
        case .connectTimeout: .connectionTimeout
        case .firstByteTimeout, .fetchTimeout: .httpResponseTimeout
        case .stallTimeout: .connectionReadTimeout
        case .reset, .closedWithoutAnswer: .connectionTerminated
        case .incomplete: .httpResponseIncomplete
        case .headTooLarge: .httpResponseHeaderSectionSize
        case .tlsHandshake: .tlsProtocolError
        case .tlsCertificate: .tlsCertificateError
        case .malformed, .protocolError: .httpProtocolError
        case .saturated: .connectionLimitReached
        case .cancelled, .internalError: .proxyInternalError
        }
    }
}
