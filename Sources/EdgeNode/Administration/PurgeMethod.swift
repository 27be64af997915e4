import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import EdgeStore
import NIOCore

/// `PURGE` on the data listeners: the key of the request is purged, all variants, hard. Off unless the site names the
/// networks that may.
extension Node {
    /// What becomes of a request with the method PURGE. It is never passed on: where the origin answers it, anybody
    /// could have what is stored invalidated (RFC 9111 4.4).
    func purgeStep(_ request: ExchangeRequest) -> NextStep {
        let networks = request.site.purgeFrom
        guard !networks.isEmpty else { return .refuse(Self.notAllowed(at: request.site)) }
        let client = String(decoding: request.client.text, as: UTF8.self)
        guard networks.contains(where: { $0.contains(client) }) else {
            return .refuse(
                .init(
                    status: 403, reason: .method, error: .httpRequestDenied,
                    details: "this client may not purge"))
        }
        return .purge
    }

    /// Purges the key of `request`; `completion` is called on another thread once that is durable.
    fileprivate func purge(
        _ request: ExchangeRequest,
        _ completion: @escaping @Sendable (Result<PurgeRecord, PurgeError>) -> Void
    ) {
        // Octets that are no ASCII percent-encoded, so that the records name the URL and are no longer than it may be.
        let text = String(decoding: AdministeredTarget.encoded(request.keyText), as: UTF8.self)
        let client = String(decoding: request.client.text, as: UTF8.self)
        let order = PurgeOrder(scope: .url(text, anyQuery: false), isSoft: false, client: client)
        let finish: @Sendable (Result<PurgeRecord, PurgeError>) -> Void = { [self] result in
            tellOfPurge(order, result)
            completion(result)
        }
        guard text.utf8.count <= Purge.largestValueBytes else {
            finish(.failure(.urlTooLong))
            return
        }
        let key = AdministeredTarget.withoutScheme(request.keyText, isTLS: request.isTLS)
        keep(Purge(scope: .url(key), isSoft: false, value: text, client: client), finish)
    }
}

extension LoopContext {
    func purge(_ exchange: Exchange) {
        exchange.phase = .purging
        let loop = eventLoop
        node.purge(exchange.request) { result in
            loop.execute { exchange.finishPurge(result) }
        }
    }
}

extension Exchange {
    fileprivate func finishPurge(_ result: Result<PurgeRecord, PurgeError>) {
        guard case .purging = phase else { return }
        phase = .begun
        switch result {
        case .success(let purge): answer(purge)
        case .failure(.refused(let why)):
            refuse(
                status: 414, reason: .method, error: .httpRequestError, details: why, outcome: .error,
                extra: [])
        case .failure(.failed(let why)):
            refuse(
                status: 503, reason: .method, error: .proxyInternalError, details: why, outcome: .error,
                extra: [])
        }
    }

    private func answer(_ purge: PurgeRecord) {
        record.set(.pass, .method)
        let body = purge.receipt
        var writer = HeadWriter(status: 200)
        writer.append(.date, HTTPDate.format(context.wallNow().seconds))
        writer.append("Cache-Control: no-store\r\nContent-Type: application/json\r\n")
        writer.append(.contentLength, decimal: body.count)
        if request.head.framing != .none { keepAlive = false }
        start(
            writer, status: 200,
            Delivery(source: .none, segments: [.literal(ByteBuffer(bytes: body))]))
    }
}

extension PurgeRecord {
    /// The same members that the admin API answers.
    fileprivate var receipt: [UInt8] {
        let members = [("id", id), ("purgedAt", purgedAt), ("scope", scope), ("value", value ?? "")]
        let capacity = members.reduce(64) { $0 + $1.1.utf8.count * 6 + 16 }
        return [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            guard let start = buffer.baseAddress else { return }
            var line = LogLine(start, capacity: capacity)
            line.literal("{")
            for (name, value) in members {
                line.json(Array(name.utf8))
                line.literal(":")
                line.json(Array(value.utf8))
                line.literal(",")
            }
            line.literal("\"soft\":false}\n")
            count = line.count
        }
    }
}
