import CEdgeLinux
import EdgePrimitives
import Glibc
import NIOCore
import NIOPosix

/// Whether a client takes what is sent to it: bytes that left the channel, or that the client acknowledged, since the
/// last look.
struct SendProgress {
    /// Bytes handed to the channel so far.
    var handedBytes: Int64 = 0
    /// Bytes that the client's kernel acknowledged so far (`TCP_INFO`). What the client takes out of the socket's
    /// buffer is progress too, though the kernel asks for more only when a third of that buffer is free.
    var ackedBytes: UInt64 = 0

    private var goneBytes: Int64 = 0
    private var ackedBefore: UInt64 = 0
    private var progressAt = MonotonicTime(nanoseconds: 0)
    private var hadPending = false

    enum Finding {
        /// Nothing waits in the channel; `isNew`: at the last look something did.
        case empty(isNew: Bool)
        /// Something waits, and nothing of it has moved for so long.
        case waiting(stalledMilliseconds: Int64)
    }

    /// - Parameter pending: bytes that wait in the channel.
    mutating func look(pending: Int64, now: MonotonicTime) -> Finding {
        let gone = handedBytes - pending
        if gone != goneBytes || !hadPending {
            goneBytes = gone
            progressAt = now
        }
        guard pending > 0 else {
            defer { hadPending = false }
            return .empty(isNew: hadPending)
        }
        hadPending = true
        if ackedBytes != ackedBefore {
            ackedBefore = ackedBytes
            progressAt = now
        }
        return .waiting(stalledMilliseconds: now.milliseconds(since: progressAt))
    }
}

extension Channel {
    /// Asks the kernel how many bytes the client acknowledged so far. On the channel's event loop.
    func readAcknowledgedBytes(_ body: @escaping (UInt64) -> Void) {
        readTransportFacts { body($0.bytes_acked) }
    }

    /// Asks the kernel what it knows of the connection (`TCP_INFO`). On the channel's event loop.
    func readTransportFacts(_ body: @escaping (edge_tcp_info) -> Void) {
        guard let socket = self as? any SocketOptionProvider else { return }
        let info: EventLoopFuture<edge_tcp_info> = socket.unsafeGetSocketOption(
            level: SocketOptionLevel(IPPROTO_TCP), name: SocketOptionName(TCP_INFO))
        info.assumeIsolated().whenSuccess { body($0) }
    }
}
