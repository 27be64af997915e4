import EdgeNode
import EdgeOrigin
import EdgePolicy
import EdgePrimitives
import EdgeStore
import Hummingbird
import Logging
import NIOCore
import NIOPosix

/// The admin listener: health for anybody, the rest for who holds the token. It has a thread of its own, so that
/// its work never runs on a data loop.
public struct AdminService: Sendable {
    let node: Node
    let token: AdminToken
    let version: String
    let reload: @Sendable () -> Result<Void, AdminProblem>

    public init(
        node: Node, token: AdminToken, version: String,
        reload: @escaping @Sendable () -> Result<Void, AdminProblem>
    ) {
        self.node = node
        self.token = token
        self.version = version
        self.reload = reload
    }

    /// The listener as a service; `onRunning` gets its port.
    public func application(
        _ address: ListenAddress, group: MultiThreadedEventLoopGroup, logger: Logger,
        onRunning: @escaping @Sendable (Int) async -> Void
    ) -> some ApplicationProtocol {
        Application(
            router: router(), configuration: .init(address: .hostname(address.host, port: address.port)),
            onServerRunning: { channel in await onRunning(channel.localAddress?.port ?? address.port) },
            eventLoopGroupProvider: .shared(group), logger: logger)
    }

    func router() -> Router<BasicRequestContext> {
        let router = Router()
        router.get("/healthz") { _, _ in "ok\n" }
        router.get("/readyz") { _, _ -> Response in
            node.isDraining ? Self.text("draining\n", .serviceUnavailable) : Self.text("ready\n", .ok)
        }
        DashboardPage.addRoutes(to: router)
        let guarded = router.group().add(middleware: BearerGuard(token: token))
        guarded.get("/metrics") { _, _ in
            Response(
                status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
                body: .init(byteBuffer: ByteBuffer(string: MetricsText.render(node))))
        }
        guarded.get("/status") { request, context in
            try EditedResponse(response: StatusDocument(node, version: version)).response(
                from: request, context: context)
        }
        guarded.post("/reload") { _, _ -> Response in
            switch reload() {
            case .success: return Self.text("reloaded\n", .ok)
            case .failure(let problem): return Self.text(problem.description + "\n", .badRequest)
            }
        }
        return router
    }

    private static func text(_ text: String, _ status: HTTPResponse.Status) -> Response {
        Response(
            status: status, headers: [.contentType: "text/plain; charset=utf-8"],
            body: .init(byteBuffer: ByteBuffer(string: text)))
    }
}

/// Why an admin request could not be done.
public struct AdminProblem: Error, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}

/// 401 without the token (RFC 6750 3).
struct BearerGuard: RouterMiddleware {
    typealias Context = BasicRequestContext
    let token: AdminToken

    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        let prefix = "Bearer "
        guard let presented = request.headers[.authorization], presented.hasPrefix(prefix),
            token.matches(String(presented.dropFirst(prefix.count)))
        else {
            return Response(
                status: .unauthorized,
                headers: [
                    .wwwAuthenticate: "Bearer realm=\"rockpool\"", .contentType: "text/plain; charset=utf-8",
                ],
                body: .init(byteBuffer: ByteBuffer(string: "a bearer token is needed\n")))
        }
        return try await next(request, context)
    }
}
