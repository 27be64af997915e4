import EdgeHTTP
import Synchronization

/// Listens to a check of a server.
final class HealthSink: PullSink {
    private let status = Atomic<Int>(0)
    /// Gets nil where nothing was found out, as the fault was this node's own.
    private let done: @Sendable (ServerHealth.CheckOutcome?, PullFailure?) -> Void

    init(done: @escaping @Sendable (ServerHealth.CheckOutcome?, PullFailure?) -> Void) { self.done = done }

    func pull(interim: ResponseHead) {}
    func pull(head: ResponseHead) { status.store(head.status, ordering: .relaxed) }
    func pull(body: UnsafeRawBufferPointer) -> Bool { true }
    func pull(trailers: FieldSection) {}

    func pullCompleted(isEndProved: Bool) {
        done(.answered(isWell: (200..<400).contains(status.load(ordering: .relaxed))), nil)
    }

    func pullFailed(_ failure: PullFailure) {
        if status.load(ordering: .relaxed) > 0 || failure.isOfAnswer {
            done(.answered(isWell: false), failure)
        } else if failure.side == .origin {
            done(failure.isConnectionFailure ? .unconnected : .unanswered, failure)
        } else {
            done(nil, failure)
        }
    }

    func pullUploadWritable() {}
    func pullSettled() {}
}

extension PullFailure {
    /// Whether there was an answer, though none that could be used.
    fileprivate var isOfAnswer: Bool {
        switch kind {
        case .malformed, .headTooLarge, .incomplete: true
        default: false
        }
    }
}
