import EdgeHTTP
import Synchronization

/// Listens to an active check.
final class HealthSink: PullSink {
    private let status = Atomic<Int>(0)
    private let done: @Sendable (Bool) -> Void

    init(done: @escaping @Sendable (Bool) -> Void) { self.done = done }

    func pull(interim: ResponseHead) {}
    func pull(head: ResponseHead) { status.store(head.status, ordering: .relaxed) }
    func pull(body: UnsafeRawBufferPointer) -> Bool { true }
    func pull(trailers: FieldSection) {}
    func pullCompleted(isEndProved: Bool) { done((200..<400).contains(status.load(ordering: .relaxed))) }
    func pullFailed(_ failure: PullFailure) { done(false) }
    func pullUploadWritable() {}
    func pullSettled() {}
}
