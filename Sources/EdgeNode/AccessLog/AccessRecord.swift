import EdgeHTTP
import EdgePolicy
import EdgePrimitives

/// What counters and access log say of one request that was no plain hit. It shares the head's bytes.
public struct AccessRecord: Sendable {
    let head: RequestHead
    let client: ClientAddress
    let site: Site
    let started: MonotonicTime
    /// When the head of the answer was handed to the connection.
    var headSent: MonotonicTime?
    var facts = AccessFacts()

    init(_ request: ExchangeRequest) {
        head = request.head
        client = request.client
        site = request.site
        started = request.started
    }

    var status: Int {
        get { facts.status }
        set { facts.status = newValue }
    }
    var bodyBytes: Int64 {
        get { facts.bodyBytes }
        set { facts.bodyBytes = newValue }
    }
    var reason: Reason? {
        get { facts.reason }
        set { facts.reason = newValue }
    }
    var originStatus: Int? {
        get { facts.originStatus }
        set { facts.originStatus = newValue }
    }
    var isAborted: Bool {
        get { facts.isAborted }
        set { facts.isAborted = newValue }
    }

    mutating func set(_ outcome: RequestOutcome, _ reason: Reason?) {
        facts.outcome = outcome
        facts.reason = reason
    }
}

/// What became of a request.
struct AccessFacts: Sendable {
    var status = 0
    var bodyBytes: Int64 = 0
    var outcome = RequestOutcome.error
    var reason: Reason?
    var originStatus: Int?
    var isAborted = false
    /// From the request to the last byte of the answer.
    var microseconds: Int64 = 0
    /// To the head of the answer; nil for a plain hit, whose head and body go out together.
    var headMicroseconds: Int64?
    /// What was wrong with a request that could not be read.
    var refusal: RequestRefusal?
}
