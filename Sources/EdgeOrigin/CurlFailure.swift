import CCurl
import EdgeHTTP

/// Translates libcurl's results.
enum CurlFailure {
    static func classify(_ result: CURLcode, _ transfer: PullTransfer) -> PullFailure {
        if let refusal = transfer.refusal { return refused(refusal) }
        if transfer.isInsideHead || (result == CURLE_OK && !transfer.hasHead) {
            return transfer.hasAnyLine
                ? refused(.headIncomplete)
                : failure(.closedWithoutAnswer, .ifIdempotent, "the connection closed without an answer")
        }
        if transfer.hasHead {
            if result == CURLE_OK || result == CURLE_PARTIAL_FILE || result == CURLE_RECV_ERROR {
                return failure(.incomplete, .no, "the body ended early: \(text(result))")
            }
            return failure(.protocolError, .no, text(result))
        }
        // No address was tried where there was no socket: that says nothing of the origin, and takes it out for nobody.
        if result == CURLE_COULDNT_CONNECT, transfer.handle.loop.lackedSocket(since: transfer.started) {
            return PullFailure(
                kind: .saturated, side: .edge, retry: .no, detail: "no descriptor is free for a connection")
        }
        return beforeHead(result)
    }

    private static func beforeHead(_ result: CURLcode) -> PullFailure {
        switch result {
        case CURLE_COULDNT_RESOLVE_HOST: failure(.nameNotFound, .yes, "the origin's name was not found")
        case CURLE_COULDNT_CONNECT: failure(.refused, .yes, "the origin refused the connection")
        // libcurl's only own deadline here is the one for connecting, which includes the name.
        case CURLE_OPERATION_TIMEDOUT: failure(.connectTimeout, .yes, "connecting took too long")
        case CURLE_GOT_NOTHING:
            failure(.closedWithoutAnswer, .ifIdempotent, "the connection closed without an answer")
        case CURLE_RECV_ERROR, CURLE_SEND_ERROR: failure(.reset, .ifIdempotent, "the connection was reset")
        case CURLE_SSL_CONNECT_ERROR: failure(.tlsHandshake, .yes, "the TLS handshake failed")
        case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CERTPROBLEM,
            CURLE_SSL_ISSUER_ERROR:
            failure(.tlsCertificate, .yes, "the certificate was not accepted: \(text(result))")
        case CURLE_ABORTED_BY_CALLBACK:
            PullFailure(kind: .cancelled, side: .client, retry: .no, detail: "the upload was given up")
        default: failure(.protocolError, .no, text(result))
        }
    }

    private static func refused(_ refusal: ResponseRefusal) -> PullFailure {
        switch refusal {
        case .headTooLarge, .tooManyFields: failure(.headTooLarge, .no, refusal.rawValue)
        default: failure(.malformed(refusal), .no, refusal.rawValue)
        }
    }

    private static func failure(_ kind: PullFailure.Kind, _ retry: PullFailure.Retry, _ detail: String)
        -> PullFailure
    {
        PullFailure(kind: kind, side: .origin, retry: retry, detail: detail)
    }

    private static func text(_ result: CURLcode) -> String { String(cString: curl_easy_strerror(result)) }
}
