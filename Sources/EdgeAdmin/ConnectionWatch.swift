import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1

/// What a connection to the admin listener may take.
package struct AdminLimits: Sendable {
    package var connections = 256
    /// Of these, how many are for those who showed the token.
    package var keptConnections = 32
    /// How long a network that guesses waits for each answer.
    package var guessDelay = Duration.seconds(1)
    /// For a whole head, from the start of the connection or the end of the last answer.
    package var idle = TimeAmount.seconds(15)
    /// From a head to the last byte of its answer.
    package var exchange = TimeAmount.seconds(30)
    /// For what still comes after a last answer.
    package var linger = TimeAmount.seconds(2)
    package var bodyBytes = 65_536
    package var fieldBytes = 16_384
    package var headBytes = 32_768
    package var fields = 100

    package init() {}
}

/// Hummingbird's HTTP/1.1 with a ``ConnectionWatch`` behind the parser.
struct WatchedHTTP1: ServerChildChannel {
    let http: HTTP1Channel
    let limits: AdminLimits
    let places: AdminPlaces
    let token: CurrentToken

    init(
        _ limits: AdminLimits, places: AdminPlaces, token: CurrentToken,
        responder: @escaping HTTPChannelHandler.Responder
    ) {
        self.limits = limits
        self.places = places
        self.token = token
        http = HTTP1Channel(
            responder: responder,
            configuration: .init(
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: limits.fieldBytes, maxHeaderListSize: limits.headBytes,
                    maxHeaderFieldCount: limits.fields)))
    }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<HTTP1Channel.Value> {
        http.setup(channel: channel, logger: logger).flatMapThrowing { value in
            let pipeline = channel.pipeline.syncOperations
            let parser = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
            try pipeline.addHandler(
                ConnectionWatch(limits, places: places, token: token), position: .after(parser))
            return value
        }
    }

    func handle(value: HTTP1Channel.Value, logger: Logger) async {
        await http.handle(value: value, logger: logger)
    }
}

/// Ends what takes too long, and answers what the parser refuses. A refusal is written, the write side shut, and input
/// dropped for a while, so that the answer is not lost to a reset (RFC 9112 9.6).
final class ConnectionWatch: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private enum Phase {
        case open
        /// The input is over or refused; the answers under way still go out.
        case finishing
        case lingering
    }

    private let limits: AdminLimits
    private let places: AdminPlaces
    private let token: CurrentToken
    private var phase = Phase.open
    private var timer: Scheduled<Void>?
    /// Requests whose answer is not written.
    private var unanswered = 0
    private var isReadingRequest = false
    private var isWritingAnswer = false
    /// A request that is not whole. What breaks off is never handed on, or an order could be carried out that is only
    /// the beginning of another.
    private var held: [HTTPServerRequestPart] = []
    private var heldBytes = 0
    /// Bytes of a body whose request is answered.
    private var surplusBytes = 0

    init(_ limits: AdminLimits, places: AdminPlaces, token: CurrentToken) {
        self.limits = limits
        self.places = places
        self.token = token
    }

    func handlerAdded(context: ChannelHandlerContext) {
        arm(limits.idle, context)
        places.arrive(context.channel)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        places.leave(context.channel)
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        places.leave(context.channel)
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .open = phase else { return }
        let part = unwrapInboundIn(data)
        switch part {
        case .head(let head):
            if let presented = BearerGuard.credentials(head.headers["authorization"]),
                token.matches(presented)
            {
                places.trust(context.channel)
            }
            // What is too large is refused by its head.
            let length = head.headers.first(name: "content-length").flatMap { Int($0) } ?? 0
            if length <= limits.bodyBytes { held.append(part) }
            unanswered += 1
            isReadingRequest = true
            if unanswered == 1 { arm(limits.exchange, context) }
            if unanswered == 1, head.version == .http1_1,
                head.headers["expect"].contains(where: { $0.lowercased() == "100-continue" })
            {
                let invitation = HTTPResponseHead(version: .http1_1, status: .continue)
                context.writeAndFlush(wrapOutboundOut(.head(invitation)), promise: nil)
            }
            if !held.isEmpty { return }
        case .body(let bytes) where !held.isEmpty:
            held.append(part)
            heldBytes += bytes.readableBytes
            if heldBytes > limits.bodyBytes { release(context) }
            return
        case .body(let bytes):
            if unanswered == 0 {
                surplusBytes += bytes.readableBytes
                guard surplusBytes <= limits.bodyBytes else { return linger(context) }
            }
        case .end:
            isReadingRequest = false
            surplusBytes = 0
            if unanswered > 0 { places.note(context.channel) }
            if unanswered == 0 { arm(limits.idle, context) }
            release(context)
        }
        context.fireChannelRead(data)
    }

    /// Hands on what was held back.
    private func release(_ context: ChannelHandlerContext) {
        let parts = held
        held = []
        heldBytes = 0
        for part in parts { context.fireChannelRead(wrapInboundOut(part)) }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .lingering = phase {
            promise?.succeed()
            return
        }
        switch unwrapOutboundIn(data) {
        case .head(let head):
            if head.status.code >= 200 { isWritingAnswer = true }
            if head.headers["connection"].contains("close") { phase = .finishing }
            context.write(data, promise: promise)
        case .body: context.write(data, promise: promise)
        case .end:
            isWritingAnswer = false
            unanswered -= 1
            let written = promise ?? context.eventLoop.makePromise()
            written.futureResult.assumeIsolated().whenComplete { _ in self.answered(context) }
            context.write(data, promise: written)
        }
    }

    private func answered(_ context: ChannelHandlerContext) {
        if unanswered == 0 { places.note(context.channel) }
        switch phase {
        case .open: arm(unanswered > 0 || isReadingRequest ? limits.exchange : limits.idle, context)
        case .finishing: if unanswered == 0 { linger(context) }
        case .lingering: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard case .open = phase else { return }
        held = []
        switch error as? HTTPParserError {
        case nil: context.fireErrorCaught(error)
        case .headerOverflow:
            refuse(Problem(431, "the head is larger than \(limits.headBytes) bytes"), context)
        case .invalidVersion: refuse(Problem(505, "HTTP/1.1 is spoken here"), context)
        default: refuse(Problem(400, "this is no HTTP/1.1 request"), context)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .lingering = phase, case .inputClosed = event as? ChannelEvent {
            context.close(promise: nil)
        }
        context.fireUserInboundEventTriggered(event)
    }

    /// Answers for the request that is being read. Where earlier ones are unanswered, they are all that is answered.
    private func refuse(_ problem: Problem, _ context: ChannelHandlerContext) {
        guard unanswered <= (isReadingRequest ? 1 : 0) else {
            phase = .finishing
            return
        }
        guard !isWritingAnswer else { return linger(context) }
        let body = context.channel.allocator.buffer(bytes: problem.bytes)
        let head = HTTPResponseHead(
            version: .http1_1, status: .init(statusCode: problem.status),
            headers: [
                "Content-Type": Problem.mediaType, "Content-Length": "\(body.readableBytes)",
                "Cache-Control": "no-store", "Connection": "close",
            ])
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        linger(context)
    }

    private func linger(_ context: ChannelHandlerContext) {
        phase = .lingering
        held = []
        context.close(mode: .output, promise: nil)
        arm(limits.linger, context)
    }

    private func arm(_ time: TimeAmount, _ context: ChannelHandlerContext) {
        timer?.cancel()
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: time) { self.timeIsOver(context) }
    }

    private func timeIsOver(_ context: ChannelHandlerContext) {
        if case .open = phase, isReadingRequest, !isWritingAnswer, unanswered == 1 {
            refuse(Problem(408, "the request did not come whole in time"), context)
        } else {
            context.close(promise: nil)
        }
    }
}
