import Foundation
import NIOCore
import NIOHTTP1

/// The demo's controls, on a listener of their own that stays up when the origin is down:
/// `GET /state`, `POST /origin/up`, `POST /origin/down`.
///
/// The page comes from another origin (the node), so the answers carry CORS fields; only pages from a loopback
/// address may use the controls, or any web site open in the same browser could.
final class DemoControlHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private struct State: Encodable {
        struct Line: Encodable {
            let number: Int
            let time: Double
            let method: String
            let path: String
            let status: Int
            let conditional: Bool
        }
        let origin: String
        let requests: Int
        let log: [Line]
    }

    private let origin: DemoOrigin
    private var requests = DemoRequestReader()

    init(origin: DemoOrigin) {
        self.origin = origin
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if let head = requests.read(unwrapInboundIn(data)) { respond(to: head, context: context) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func respond(to request: HTTPRequestHead, context: ChannelHandlerContext) {
        let page = request.headers.first(name: "origin")
        guard page.map(Self.isLoopback) ?? true else {
            return send(.forbidden, page: nil, state: false, context: context)
        }
        switch (request.method, request.uri) {
        case (.OPTIONS, _):
            send(.noContent, page: page, state: false, context: context)
        case (.GET, "/state"):
            send(.ok, page: page, state: true, context: context)
        case (.POST, "/origin/up"), (.POST, "/origin/down"):
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            origin.setUp(request.uri == "/origin/up").hop(to: context.eventLoop).whenComplete { result in
                let (handler, context) = bound.value
                switch result {
                case .success: handler.send(.ok, page: page, state: true, context: context)
                case .failure: handler.send(.internalServerError, page: page, state: true, context: context)
                }
            }
        default:
            send(.notFound, page: page, state: false, context: context)
        }
    }

    private func send(
        _ status: HTTPResponseStatus, page: String?, state: Bool, context: ChannelHandlerContext
    ) {
        guard context.channel.isActive else { return }
        var body = ByteBuffer()
        if state { body.writeBytes(encodedState()) }
        var head = HTTPResponseHead(version: .http1_1, status: status)
        head.headers.add(name: "Cache-Control", value: "no-store")
        if status != .noContent {
            head.headers.add(name: "Content-Type", value: "application/json")
            head.headers.add(name: "Content-Length", value: String(body.readableBytes))
        }
        if let page {
            head.headers.add(name: "Access-Control-Allow-Origin", value: page)
            head.headers.add(name: "Access-Control-Allow-Methods", value: "GET, POST")
            head.headers.add(name: "Vary", value: "Origin")
        }
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    private func encodedState() -> [UInt8] {
        let log = origin.log.snapshot()
        let state = State(
            origin: origin.isUp ? "up" : "down", requests: log.total,
            log: log.last.map {
                State.Line(
                    number: $0.number, time: $0.time, method: $0.method, path: $0.path, status: $0.status,
                    conditional: $0.isConditional)
            })
        return (try? JSONEncoder().encode(state)).map(Array.init) ?? []
    }

    /// `http://127.0.0.1:8080`, `http://localhost:8080` and `http://[::1]:8080`, whatever the port.
    private static func isLoopback(_ page: String) -> Bool {
        guard let host = URLComponents(string: page)?.host else { return false }
        return ["127.0.0.1", "localhost", "[::1]", "::1"].contains(host)
    }
}
