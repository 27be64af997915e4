import EdgeHTTP
import EdgeOrigin
import EdgePolicy
import EdgePrimitives
import EdgeStore
import NIOCore

/// Answers that need no pull, or end one: from the store, and the node's own.
extension Exchange {
    /// Serves `stored`: whole, a range of it, or 304.
    func serve(_ stored: StoredResponse, as kind: StoredAnswerKind, outcome: RequestOutcome, reason: Reason?)
    {
        let now = context.wallNow()
        record.set(outcome, reason)
        let status = cacheStatus(stored, kind, reason, now)
        let age = stored.metadata.currentAgeMilliseconds(at: now) / 1000
        let fields = request.head.fields
        if Preconditions.hasConditions(fields),
            Preconditions.evaluate(
                request: fields, method: request.head.method, status: stored.metadata.status,
                stored: stored.fields)
                == .notModified
        {
            sendNotModified(stored.fields, status, ageSeconds: age, nil)
            return
        }
        let length = Int64(stored.body.count)
        if request.head.names.contains(.range) {
            let plan = RangePlan(
                request: fields, method: request.head.method, status: stored.metadata.status,
                stored: stored.fields,
                length: length)
            switch plan {
            case .whole: break
            case .single(let range):
                sendRange(stored, range, of: length, status, age)
                return
            case .multiple(let ranges):
                sendRanges(stored, ranges, of: length, status, age)
                return
            case .unsatisfiable:
                sendUnsatisfiable(stored, length, status)
                return
            }
        }
        sendStored(stored, status, age)
    }

    private func cacheStatus(
        _ stored: StoredResponse, _ kind: StoredAnswerKind, _ reason: Reason?, _ now: WallTime
    ) -> CacheStatus {
        var status: CacheStatus
        switch kind {
        case .hit:
            status = CacheStatus(outcome: .hit)
        case .forwarded(let forwarded):
            status = CacheStatus(outcome: .forward(forward))
            status.fwdStatus = forwarded.status
            status.stored = forwarded.isStored
            status.collapsed = forwarded.isCollapsed
        }
        status.ttlSeconds = ttlSeconds(stored.metadata, now)
        status.detail = reason
        if reason == .fresh, stored.metadata.freshnessSource == .heuristic {
            status.detail = .heuristic
        }
        return status
    }

    private func sendStored(_ stored: StoredResponse, _ status: CacheStatus, _ age: Int64) {
        var writer: HeadWriter
        if request.rules.isPlain {
            writer = HeadWriter(continuing: Array(stored.head))
        } else {
            writer = HeadWriter(status: stored.metadata.status)
            var fields = stored.fields
            request.rules.edit(&fields)
            writer.append(fields)
            if stored.metadata.status != 204 { writer.append(.contentLength, decimal: stored.body.count) }
        }
        writer.append(.age, decimal: Int(age))
        writer.append(status)
        let whole = Delivery.Segment.span(0..<Int64(stored.body.count))
        let isHead = request.head.method == .head
        start(
            writer, status: stored.metadata.status,
            Delivery(source: Delivery.Source(stored.body), segments: isHead ? [] : [whole]), nil)
    }

    /// The head of a 206 up to its own fields.
    private func partialHead(_ stored: StoredResponse, _ status: CacheStatus, _ age: Int64) -> HeadWriter {
        var writer = HeadWriter(status: 206)
        var fields = stored.fields
        request.rules.edit(&fields)
        writer.append(fields)
        writer.append(.age, decimal: Int(age))
        writer.append(status)
        return writer
    }

    private func sendRange(
        _ stored: StoredResponse, _ range: Range<Int64>, of length: Int64, _ status: CacheStatus, _ age: Int64
    ) {
        var writer = partialHead(stored, status, age)
        var contentRange: [UInt8] = []
        RangePlan.appendContentRange(range, length: length, to: &contentRange)
        writer.append(.contentRange, contentRange)
        writer.append(.contentLength, decimal: range.count)
        start(
            writer, status: 206, Delivery(source: Delivery.Source(stored.body), segments: [.span(range)]), nil
        )
    }

    private func sendRanges(
        _ stored: StoredResponse, _ ranges: [Range<Int64>], of length: Int64, _ status: CacheStatus,
        _ age: Int64
    ) {
        var generator = SystemRandomNumberGenerator()
        let boundary = Array(
            ("rockpool" + String(generator.next(), radix: 16) + String(generator.next(), radix: 16)).utf8)
        let type = stored.fields.first(.contentType)
        var segments: [Delivery.Segment] = []
        var total = 0
        for (index, range) in ranges.enumerated() {
            var part: [UInt8] = []
            RangePlan.appendPartHead(
                range, length: length, contentType: type, boundary: boundary, isFirst: index == 0, to: &part)
            segments.append(.literal(ByteBuffer(bytes: part)))
            segments.append(.span(range))
            total += part.count + range.count
        }
        var last: [UInt8] = []
        RangePlan.appendMultipartEnd(boundary: boundary, to: &last)
        segments.append(.literal(ByteBuffer(bytes: last)))
        total += last.count
        var writer = HeadWriter(status: 206)
        var fields = stored.fields
        request.rules.edit(&fields)
        fields.remove(.contentType)
        writer.append(fields)
        var multipartType: [UInt8] = []
        RangePlan.appendMultipartType(boundary: boundary, to: &multipartType)
        writer.append(.contentType, multipartType)
        writer.append(.age, decimal: Int(age))
        writer.append(status)
        writer.append(.contentLength, decimal: total)
        start(writer, status: 206, Delivery(source: Delivery.Source(stored.body), segments: segments), nil)
    }

    private func sendUnsatisfiable(_ stored: StoredResponse, _ length: Int64, _ status: CacheStatus) {
        var writer = HeadWriter(status: 416)
        if let date = stored.fields.first(.date) { writer.append(.date, date) }
        var contentRange: [UInt8] = []
        RangePlan.appendUnsatisfiedRange(length: length, to: &contentRange)
        writer.append(.contentRange, contentRange)
        writer.append(status)
        writer.append(.contentLength, decimal: 0)
        start(writer, status: 416, Delivery(source: .none, segments: []), nil)
    }

    /// RFC 9110 15.4.5: the fields that a 304 repeats.
    func sendNotModified(_ source: FieldSection, _ status: CacheStatus, ageSeconds: Int64, _ fill: Fill?) {
        var writer = HeadWriter(status: 304)
        var fields = source
        request.rules.edit(&fields)
        let repeated = FieldNameSet(
            .cacheControl, .contentLocation, .date, .etag, .expires, .vary, .lastModified, .cdnCacheControl)
        fields.removeAll { _, line in !repeated.contains(line.name) }
        writer.append(fields)
        if ageSeconds > 0 || fill == nil { writer.append(.age, decimal: Int(ageSeconds)) }
        writer.append(status)
        fill?.detach(self)
        start(writer, status: 304, Delivery(source: .none, segments: []), nil)
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
            Delivery(source: .none, segments: segments), nil)
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
