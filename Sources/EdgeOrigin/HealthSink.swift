import EdgeHTTP
import Synchronization

/// Listens to a check of a server.
final class HealthSink: PullSink {
    /// A page that says how a server is has no more than this.
    private static let mostBytes = 64 * 1024

    private let status = Atomic<Int>(0)
    private let bytes = Atomic<Int>(0)
    private let handle = Mutex<PullHandle?>(nil)
    /// Gets nil where nothing was found out, as the fault was this node's own.
    private let done: @Sendable (ServerHealth.CheckOutcome?, PullFailure?) -> Void

    init(done: @escaping @Sendable (ServerHealth.CheckOutcome?, PullFailure?) -> Void) { self.done = done }

    func listen(to handle: PullHandle) { self.handle.withLock { $0 = handle } }

    func pull(interim: ResponseHead) {}
    func pull(head: ResponseHead) { status.store(head.status, ordering: .relaxed) }
    /// The status has said it all: a body without end is not waited for.
    func pull(body: UnsafeRawBufferPointer) -> Bool {
        if bytes.add(body.count, ordering: .relaxed).newValue > Self.mostBytes {
            handle.withLock { $0 }?.cancel()
        }
        return true
    }
    func pull(trailers: FieldSection) {}

    func pullCompleted(isEndProved: Bool) {
        done(.answered(isWell: (200..<400).contains(status.load(ordering: .relaxed))), nil)
    }

    func pullFailed(_ failure: PullFailure) {
        let status = status.load(ordering: .relaxed)
        if status > 0, failure.endsCheck {
            done(.answered(isWell: (200..<400).contains(status)), nil)
        } else if status > 0 || failure.isOfAnswer {
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
    /// Whether it is this node that would not hear more of an answer.
    fileprivate var endsCheck: Bool { kind == .cancelled || kind == .firstByteTimeout }

    /// Whether there was an answer, though none that could be used.
    fileprivate var isOfAnswer: Bool {
        switch kind {
        case .malformed, .headTooLarge, .incomplete: true
        default: false
        }
    }
}
