import CEdgeLinux
import Glibc
import NIOCore

/// Ending connections that wait, so that others can come.
extension HTTP1Connection {
    /// How a connection waits for its client.
    struct Rest: Sendable {
        /// The rest of a head is to come. Such a one goes after those that wait for a whole one.
        let isInsideHead: Bool
        /// How long nothing came and nothing was sent.
        let milliseconds: Int64

        /// Between two requests, and before the first: no client is ended while what it sends is on its way.
        static let leastMilliseconds: Int64 = 300
        /// Half of a head is given so long before its connection may be ended.
        static let headMilliseconds: Int64 = 1_000

        /// Whether it goes before `other`.
        func goesBefore(_ other: Rest) -> Bool {
            isInsideHead == other.isInsideHead ? milliseconds > other.milliseconds : !isInsideHead
        }
    }

    /// Nil where a request is under way, or something is still being sent. On the connection's loop.
    var rest: Rest? {
        guard phase == .idle, isWritable, let context else { return nil }
        let pending = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        // A request may have come that nobody read yet, of a connection that was accepted just now above all.
        guard pending == 0, !hasUnreadBytes(context) else { return nil }
        var quiet: Int64 = 0
        // The kernel knows it to the millisecond, so that no hit has to write down when it was.
        context.channel.readTransportFacts {
            quiet = Int64(min($0.last_data_sent, $0.last_data_received))
        }
        let isInsideHead = input != nil
        guard quiet >= (isInsideHead ? Rest.headMilliseconds : Rest.leastMilliseconds) else { return nil }
        return Rest(isInsideHead: isInsideHead, milliseconds: quiet)
    }

    private func hasUnreadBytes(_ context: ChannelHandlerContext) -> Bool {
        let count = try? context.pipeline.syncOperations.withUnsafeTransportIfAvailable(
            of: NIOBSDSocket.Handle.self
        ) { descriptor in
            var byte: UInt8 = 0
            return recv(descriptor, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT))
        }
        return count.map { $0 > 0 } ?? false
    }

    /// Ends the connection if it still waits. Its client knows what to do: a connection that is kept may end
    /// at any time (RFC 9112 9.5).
    ///
    /// - Returns: whether it did.
    func endRest() -> Bool {
        guard rest != nil, let context else { return false }
        close(context)
        return true
    }
}
