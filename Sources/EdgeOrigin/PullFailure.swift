import EdgeHTTP

/// Why a pull failed: whose fault it is, and whether it may be tried again.
public struct PullFailure: Error, Sendable {
    public enum Kind: Sendable, Equatable {
        case refused
        case unreachable
        case nameNotFound
        case connectTimeout
        case firstByteTimeout
        case stallTimeout
        case fetchTimeout
        case reset
        case closedWithoutAnswer
        case incomplete
        case malformed(ResponseRefusal)
        case headTooLarge
        case tlsHandshake
        case tlsCertificate
        case protocolError
        /// Too many pulls wait for this origin already.
        case saturated
        /// Every server of the origin is out, and none is due for a probe.
        case unhealthy
        case cancelled
        case internalError
    }

    public enum Side: Sendable {
        case origin, edge, client
    }

    public enum Retry: Sendable {
        case no
        /// Nothing was answered: another server may be asked what may be asked twice (RFC 9110 9.2.2).
        case ifIdempotent
        /// Another server may be asked: this one was never reached.
        case yes
    }

    public let kind: Kind
    public let side: Side
    public let retry: Retry
    public let detail: String

    public init(kind: Kind, side: Side, retry: Retry, detail: String) {
        self.kind = kind
        self.side = side
        self.retry = retry
        self.detail = detail
    }

    /// Whether the origin could not be reached: then the node is disconnected (RFC 9111 4.2.4).
    public var isUnreachable: Bool {
        switch kind {
        case .refused, .unreachable, .nameNotFound, .reset, .closedWithoutAnswer, .unhealthy, .tlsHandshake:
            true
        default: isTimeout
        }
    }

    /// Whether no connection to the origin could be had: the sign of an outage.
    public var isConnectionFailure: Bool {
        switch kind {
        case .refused, .unreachable, .nameNotFound, .connectTimeout, .unhealthy, .tlsHandshake,
            .tlsCertificate:
            true
        default: false
        }
    }

    public var isTimeout: Bool {
        switch kind {
        case .connectTimeout, .firstByteTimeout, .stallTimeout, .fetchTimeout: true
        default: false
        }
    }

    /// Whether the failure says that the server, and not this one response, is in trouble.
    var speaksOfServer: Bool { side == .origin && isUnreachable }
}
