import EdgeHTTP
import EdgeTesting

@testable import EdgeOrigin

/// What a pull brought, for tests to wait on.
struct Pulled: Sendable {
    enum End: Sendable {
        case completed
        case failed(PullFailure)
    }

    var interims: [ResponseHead] = []
    var head: ResponseHead?
    var body: [UInt8] = []
    var trailers: FieldSection?
    var end: End?
    /// How often body bytes were refused.
    var pauses = 0
    var isUploadWritable = false

    var text: String { String(decoding: body, as: UTF8.self) }

    var failure: PullFailure? {
        if case .failed(let failure) = end { failure } else { nil }
    }

    var isCompleted: Bool {
        if case .completed = end { true } else { false }
    }
}

/// Takes what a pull brings.
final class RecordingSink: PullSink {
    let pulled = Watched(Pulled())
    /// Body bytes are refused, and the pull so paused, as often as this says.
    private let pausesWanted: Int

    init(pauses: Int = 0) { pausesWanted = pauses }

    func pull(interim: ResponseHead) { pulled.change { $0.interims.append(interim) } }
    func pull(head: ResponseHead) { pulled.change { $0.head = head } }

    func pull(body: UnsafeRawBufferPointer) -> Bool {
        pulled.change { pulled in
            if pulled.pauses < pausesWanted {
                pulled.pauses += 1
                return false
            }
            pulled.body += body
            return true
        }
    }

    func pull(trailers: FieldSection) { pulled.change { $0.trailers = trailers } }
    func pullCompleted(isEndProved: Bool) { pulled.change { $0.end = .completed } }
    func pullFailed(_ failure: PullFailure) { pulled.change { $0.end = .failed(failure) } }
    func pullUploadWritable() { pulled.change { $0.isUploadWritable = true } }
    func pullSettled() {}

    /// What there is once the pull is over.
    func result() async throws -> Pulled {
        try await pulled.wait(for: "the end of the pull") { $0.end != nil }
        return pulled.current
    }
}

extension PullRequest {
    static func to(_ target: String, method: String = "GET", body: BodyKind = .none) -> PullRequest {
        let isSafe = ["GET", "HEAD"].contains(method)
        return PullRequest(
            origin: "main", method: Array(method.utf8), isHead: method == "HEAD",
            isIdempotent: isSafe || ["PUT", "DELETE"].contains(method), isSafe: isSafe,
            target: Array(target.utf8), host: Array("case.test".utf8), fields: FieldSection(), body: body,
            hashKey: 0, client: 1)
    }
}

/// Runs `body` with pulls from the server at `url`, and ends them.
func withPulls(
    from url: String, _ configure: (inout OriginConfiguration) -> Void = { _ in },
    _ body: (PullService) async throws -> Void
) async throws {
    var origin = OriginConfiguration(urls: [url])
    // A test that waits for its turn on a busy machine is no origin that says nothing.
    origin.firstByteTimeoutMilliseconds = 60_000
    origin.stallTimeoutMilliseconds = 60_000
    configure(&origin)
    let pulls = PullService(configuration: ["main": origin])
    pulls.start()
    do {
        try await body(pulls)
    } catch {
        try await onThread { pulls.shutdown() }
        throw error
    }
    try await onThread { pulls.shutdown() }
}

extension PullService {
    /// Pulls, and waits for the end of it.
    func fetch(_ request: PullRequest, pauses: Int = 0) async throws -> Pulled {
        let sink = RecordingSink(pauses: pauses)
        pull(request, sink: sink)
        return try await sink.result()
    }
}
