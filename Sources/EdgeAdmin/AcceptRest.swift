import Glibc
import NIOCore

/// Has a listening channel rest where the system gives no connection: no descriptor or no memory is left.
///
/// After such a failure NIO leaves the channel registered, and epoll tells of the waiting connection at once,
/// again and again, for as long as nobody takes it.
final class AcceptRest: ChannelInboundHandler {
    typealias InboundIn = any Channel

    private static let time = TimeAmount.milliseconds(250)

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? IOError, [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(error.errnoCode)
        else {
            context.fireErrorCaught(error)
            return
        }
        let channel = context.channel
        channel.setOption(.autoRead, value: false).whenFailure { _ in }
        context.eventLoop.scheduleTask(in: Self.time) {
            channel.setOption(.autoRead, value: true).whenFailure { _ in }
        }
    }
}
