import Foundation
import NIOCore
import NIOHTTP1

/// Answers one connection of the demo origin: GET and HEAD of the site's resources, with validators.
///
/// Every answer waits for `latency`, and large bodies go out in pieces, so that the origin is as far away as a
/// real one and a hit is visibly faster.
final class DemoOriginHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let site: DemoSite
    private let log: DemoRequestLog
    private let latency: TimeAmount
    private let pieceInterval = TimeAmount.milliseconds(50)
    private var requests = DemoRequestReader()

    init(site: DemoSite, log: DemoRequestLog, latency: TimeAmount) {
        self.site = site
        self.log = log
        self.latency = latency
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if let head = requests.read(unwrapInboundIn(data)) { respond(to: head, context: context) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func respond(to request: HTTPRequestHead, context: ChannelHandlerContext) {
        let now = Date().timeIntervalSince1970
        let path = String(request.uri.prefix { $0 != "?" })
        let ifNoneMatch = request.headers["if-none-match"]
        let ifModifiedSince = request.headers.first(name: "if-modified-since")
        var head = HTTPResponseHead(version: .http1_1, status: .ok)
        head.headers.add(name: "Date", value: DemoDate.format(Int(now)))
        head.headers.add(name: "Server", value: "rockpool-demo-origin")
        var body: DemoResource?

        if request.method != .GET && request.method != .HEAD {
            head.status = .methodNotAllowed
            head.headers.add(name: "Allow", value: "GET, HEAD")
            head.headers.add(name: "Content-Length", value: "0")
        } else if let resource = site.resource(at: path, now: now) {
            head.headers.add(name: "Cache-Control", value: resource.cacheControl)
            if let tag = resource.entityTag { head.headers.add(name: "ETag", value: tag) }
            if let modified = resource.lastModified {
                head.headers.add(name: "Last-Modified", value: modified)
            }
            if resource.isUnchanged(ifNoneMatch: ifNoneMatch, ifModifiedSince: ifModifiedSince) {
                head.status = .notModified
            } else {
                head.headers.add(name: "Content-Type", value: resource.contentType)
                head.headers.add(name: "Content-Length", value: String(resource.body.readableBytes))
                if request.method == .GET { body = resource }
            }
        } else {
            head.status = .notFound
            head.headers.add(name: "Cache-Control", value: "max-age=10")
            let text = ByteBuffer(string: "Not found: the demo site has no such page.\n")
            let page = DemoResource(body: text, contentType: "text/plain", cacheControl: "")
            head.headers.add(name: "Content-Type", value: page.contentType)
            head.headers.add(name: "Content-Length", value: String(text.readableBytes))
            if request.method == .GET { body = page }
        }
        log.add(
            time: now, method: request.method.rawValue, path: request.uri, status: Int(head.status.code),
            isConditional: !ifNoneMatch.isEmpty || ifModifiedSince != nil)
        send(head, body: body, after: latency, keepAlive: request.isKeepAlive, context: context)
    }

    private func send(
        _ head: HTTPResponseHead, body: DemoResource?, after delay: TimeAmount, keepAlive: Bool,
        context: ChannelHandlerContext
    ) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: delay) {
            let (handler, context) = bound.value
            guard context.channel.isActive else { return }
            context.write(handler.wrapOutboundOut(.head(head)), promise: nil)
            handler.sendPiece(
                of: body?.body ?? ByteBuffer(), pieceBytes: body?.pieceBytes ?? .max, keepAlive: keepAlive,
                context: context)
        }
    }

    private func sendPiece(
        of rest: ByteBuffer, pieceBytes: Int, keepAlive: Bool, context: ChannelHandlerContext
    ) {
        guard context.channel.isActive else { return }
        var rest = rest
        if let piece = rest.readSlice(length: min(pieceBytes, rest.readableBytes)), piece.readableBytes > 0 {
            context.write(wrapOutboundOut(.body(.byteBuffer(piece))), promise: nil)
        }
        guard rest.readableBytes > 0 else {
            let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
            context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in
                if !keepAlive { bound.value.close(promise: nil) }
            }
            return
        }
        context.flush()
        let remaining = rest
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: pieceInterval) {
            let (handler, context) = bound.value
            handler.sendPiece(of: remaining, pieceBytes: pieceBytes, keepAlive: keepAlive, context: context)
        }
    }
}
