import EdgeHTTP
import EdgeOrigin
import EdgePolicy
import EdgePrimitives
import EdgeStore
import NIOCore

/// Answers that need no pull, or end one: from the store, and the node's own.
extension Exchange {
    /// Serves `stored`: whole, a range of it, or 304.
    ///
    /// - Parameter cookies: Set-Cookie lines that are this client's and are not stored.
    func serve(
        _ stored: StoredResponse, as kind: StoredAnswerKind, outcome: RequestOutcome, reason: Reason?,
        cookies: FieldSection? = nil
    ) {
        let now = context.wallNow()
        partTags = stored.tags
        record.set(outcome, reason)
        let status = cacheStatus(stored, kind, reason, now)
        let age = stored.metadata.currentAgeMilliseconds(at: now) / 1000
        let length = Int64(stored.body.count)
        let shape = Representation.shape(
            for: request, status: stored.metadata.status, fields: stored.fields, length: length)
        if case .whole = shape, request.rules.isPlain, cookies == nil {
            sendStored(stored, status, age)
            return
        }
        send(
            shape,
            of: Representation(
                fields: stored.fields, cookies: cookies, status: stored.metadata.status, length: length,
                ageSeconds: age, cacheStatus: status, source: Delivery.Source(stored)))
    }

    private func cacheStatus(
        _ stored: StoredResponse, _ kind: StoredAnswerKind, _ reason: Reason?, _ now: WallTime
    ) -> CacheStatus {
        var status = CacheStatus(
            hitOf: stored, reason, now: now, softPurgedAt: node.store.softPurgedAt(stored))
        if case .forwarded(let forwarded) = kind {
            status.outcome = .forward(forward)
            status.fwdStatus = forwarded.status
            status.stored = forwarded.isStored
            status.collapsed = forwarded.isCollapsed
        }
        return status
    }

    /// The whole, with the head that was built when it was stored.
    private func sendStored(_ stored: StoredResponse, _ status: CacheStatus, _ age: Int64) {
        var writer = HeadWriter(continuing: Array(stored.head))
        writer.append(.age, decimal: Int(age))
        writer.append(status)
        let whole = Delivery.Segment.span(0..<Int64(stored.body.count))
        let isHead = request.head.method == .head
        start(
            writer, status: stored.metadata.status,
            Delivery(source: Delivery.Source(stored), segments: isHead ? [] : [whole]))
    }

    // MARK: The node's own answers

    /// The pull failed and nothing may be served in its place.
    func refuse(_ failure: PullFailure) {
        // RFC 9111 5.2.2.2: with a stored response that must not be used stale, the answer is 504.
        let isForbidden = candidate != nil && failure.isUnreachable
        let status = isForbidden || failure.isTimeout ? 504 : failure.isSaturation ? 503 : 502
        let reason: Reason =
            failure.isSaturation
            ? .originSaturated
            : failure.isTimeout
                ? .originTimeout : failure.isUnreachable ? .originUnreachable : failure.malformedReason
        refuse(
            status: status, reason: reason, error: failure.proxyError, details: failure.detail,
            outcome: .error,
            extra: [])
    }

    /// An answer of the node itself: a short text, Proxy-Status (RFC 9209) with the reason, no caching.
    func refuse(
        status: Int, reason: Reason, error: ProxyError, details: String?, outcome: RequestOutcome,
        extra: [(FieldName, String)]
    ) {
        record.set(outcome, reason)
        let answer = OwnAnswer(status: status, reason: reason, error: error, details: details, extra: extra)
        if request.head.framing != .none { keepAlive = false }
        let segments: [Delivery.Segment] =
            request.head.method == .head ? [] : [.literal(ByteBuffer(bytes: answer.body))]
        start(
            answer.writer(now: context.wallNow()), status: status,
            Delivery(source: .none, segments: segments))
    }
}

extension CacheStatus {
    /// An answer from what is stored.
    init(hitOf stored: StoredResponse, _ reason: Reason?, now: WallTime, softPurgedAt: WallTime?) {
        self.init(outcome: .hit)
        let metadata = stored.metadata
        // Both in whole seconds, so that ttl and the Age field add up.
        ttlSeconds =
            metadata.freshnessLifetimeMilliseconds / 1000 - metadata.currentAgeMilliseconds(at: now) / 1000
        if let softPurgedAt { ttlSeconds = min(ttlSeconds ?? 0, softPurgedAt.seconds - now.seconds) }
        let isHeuristic = reason == .fresh && metadata.freshnessSource == .heuristic
        detail = isHeuristic ? .heuristic : reason
    }
}

/// The head and body of an answer that the node makes itself.
public struct OwnAnswer {
    let status: Int
    let reason: Reason
    let error: ProxyError
    let details: String?
    let extra: [(FieldName, String)]

    var body: [UInt8] {
        Array("\(status) \(StatusPhrase.phrase(status)): \(details ?? reason.rawValue)\n".utf8)
    }

    func writer(now: WallTime) -> HeadWriter {
        var writer = HeadWriter(status: status)
        writer.append(.date, HTTPDate.format(now.seconds))
        for (name, value) in extra { writer.append(name, Array(value.utf8)) }
        writer.append("Cache-Control: no-store\r\nContent-Type: text/plain; charset=utf-8\r\n")
        var proxyStatus: [UInt8] = []
        ProxyStatus(error: error, details: Array((details ?? reason.rawValue).utf8)).append(to: &proxyStatus)
        writer.append(.proxyStatus, proxyStatus)
        writer.append(.contentLength, decimal: body.count)
        return writer
    }

    /// A refusal of a request that could not be read, complete and ready to send.
    public static func refusal(_ refusal: RequestRefusal) -> [UInt8] {
        let answer = OwnAnswer(
            status: refusal.status, reason: .badRequest, error: .httpRequestError, details: refusal.rawValue,
            extra: [])
        var writer = answer.writer(now: SystemClock.wall())
        writer.finish(keepAlive: false, minorVersion: 1)
        return writer.bytes + answer.body
    }
}
