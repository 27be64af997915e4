import Glibc
import NIOCore

/// Watches a listening channel for connections that the system would not give.
///
/// After such a failure NIO leaves the channel registered, and epoll tells of the waiting connection at once,
/// again and again: what stops that is to stop reading.
final class AcceptGuard: ChannelInboundHandler {
    typealias InboundIn = any Channel

    private let failed: () -> Void

    init(failed: @escaping () -> Void) { self.failed = failed }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? IOError, Self.isShortage(error.errnoCode) else {
            context.fireErrorCaught(error)
            return
        }
        failed()
    }

    /// Whether it says that there is none left of something: of descriptors, of the process or the machine,
    /// or of memory.
    static func isShortage(_ code: CInt) -> Bool { [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(code) }
}
