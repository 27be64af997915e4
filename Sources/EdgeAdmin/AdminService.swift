import EdgeNode
import EdgeOrigin
import EdgePolicy
import EdgePrimitives
import EdgeStore
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix

/// The admin listener: health for anybody, the rest for who holds the token. It has a thread of its own, so that
/// its work never runs on a data loop.
public struct AdminService: Sendable {
    let node: Node
    let token: CurrentToken
    let version: String
    let audit: AuditLog
    let reload: @Sendable () -> Result<ReloadReport, AdminProblem>
    let drain: @Sendable () -> Void
    let guesses = GuessLimiter()
    package var limits = AdminLimits()

    /// - Parameters:
    ///   - audit: gets a line for each purge, reload and drain.
    ///   - drain: begins the same end as SIGTERM; may be called again.
    ///   - connections: how many connections there may be, where that is less than is usual.
    public init(
        node: Node, token: CurrentToken, version: String, audit: Logger,
        reload: @escaping @Sendable () -> Result<ReloadReport, AdminProblem>,
        drain: @escaping @Sendable () -> Void, connections: Int = .max
    ) {
        limits.connections = min(limits.connections, max(1, connections))
        limits.keptConnections = min(limits.keptConnections, limits.connections / 2)
        self.node = node
        self.token = token
        self.version = version
        self.audit = AuditLog(logger: audit)
        node.onPurgeRequest { [audit = self.audit] order, result in audit.note(order, result) }
        self.reload = reload
        self.drain = drain
    }

    /// The same with a token that stays, and nothing that waits for a restart.
    public init(
        node: Node, token: AdminToken, version: String, audit: Logger,
        reload: @escaping @Sendable () -> Result<Void, AdminProblem>, drain: @escaping @Sendable () -> Void
    ) {
        self.init(
            node: node, token: CurrentToken(token), version: version, audit: audit,
            reload: { reload().map { ReloadReport() } }, drain: drain)
    }

    /// The listener as a service; `onRunning` gets its port.
    public func application(
        _ address: ListenAddress, group: MultiThreadedEventLoopGroup, logger: Logger,
        onRunning: @escaping @Sendable (Int) async -> Void
    ) -> some ApplicationProtocol {
        let places = AdminPlaces(limits)
        return Application(
            responder: AdminResponder(router(places)),
            server: HTTPServerBuilder { WatchedHTTP1(limits, places: places, token: token, responder: $0) },
            configuration: .init(
                address: .hostname(address.host, port: address.port),
                // Whoever comes is let in; ``AdminPlaces`` says who goes.
                availableConnectionsDelegate: .maximum(
                    limits.connections + Self.passingConnections, logger: logger)),
            onServerRunning: { channel in
                try? await channel.eventLoop.submit {
                    try channel.pipeline.syncOperations.addHandler(AcceptRest(), position: .first)
                }.get()
                await onRunning(channel.localAddress?.port ?? address.port)
            },
            eventLoopGroupProvider: .shared(group), logger: logger)
    }

    /// Connections that are let in before the one that has to go for them is closed.
    public static let passingConnections = 16

    /// What can be asked, as `METHOD /path`.
    package var routes: [String] { router().routes.map { "\($0.method) \($0.path)" } }

    func router(_ places: AdminPlaces? = nil) -> Router<AdminContext> {
        let router = Router(context: AdminContext.self, options: .autoGenerateHeadEndpoints)
        router.get("/healthz") { _, _ in Self.text("ok\n") }
        router.get("/readyz") { _, _ -> Response in
            guard !node.isDraining else { throw Problem(503, "draining") }
            return Self.text("ready\n")
        }
        DashboardPage.addRoutes(to: router)
        let guarded = router.group().add(
            middleware: BearerGuard(
                token: token, guesses: guesses, delay: limits.guessDelay, logger: audit.logger))
        addQuestions(to: guarded, places)
        addOrders(to: guarded)
        return router
    }

    private func addQuestions(to guarded: RouterGroup<AdminContext>, _ places: AdminPlaces?) {
        guarded.get("/metrics") { _, _ in
            Response(
                status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
                body: .init(byteBuffer: ByteBuffer(string: MetricsText.render(node) + ownMetrics(places))))
        }
        guarded.get("/status") { _, _ in try AdminJSON.response(StatusDocument(node, version: version)) }
        guarded.get("/purges") { request, _ in
            _ = try request.parameters()
            return try AdminJSON.response(PurgeListing(node.purgeOverview(limit: PurgeListing.limit)))
        }
        guarded.get("/explain") { request, _ in
            let question = try ExplainQuestion(request.parameters("url", "method", "header", "originDown"))
            return try AdminJSON.response(await Self.naming("url") { try await node.explain(question) })
        }
        guarded.get("/objects") { request, _ in
            let url = try request.parameters("url").url()
            return try AdminJSON.response(await Self.naming("url") { try await node.objects(url: url) })
        }
        guarded.get("/openapi.json") { _, _ in
            Response(
                status: .ok, headers: [.contentType: "application/json"],
                body: .init(byteBuffer: ByteBuffer(bytes: PackageResources.openapi_json)))
        }
    }

    private func addOrders(to guarded: RouterGroup<AdminContext>) {
        guarded.post("/purge") { request, context in
            try await audited("purge", context) { try AdminJSON.response(try await purge(request, context)) }
        }
        guarded.post("/reload") { request, context in
            try await audited("reload", context) {
                _ = try request.parameters()
                try await request.refuseBody(maxBytes: limits.bodyBytes)
                switch reload() {
                case .failure(let failure):
                    var problem = Problem.badRequest(failure.description)
                    problem.errors = failure.errors
                    throw problem
                case .success(let report):
                    audit.note(
                        "reload", client: context.client.text, outcome: "done",
                        waiting: report.waitingForRestart)
                    return try AdminJSON.response(report.document)
                }
            }
        }
        guarded.post("/drain") { request, context in
            try await audited("drain", context) {
                _ = try request.parameters()
                try await request.refuseBody(maxBytes: limits.bodyBytes)
                audit.note("drain", client: context.client.text, outcome: "done")
                drain()
                return try AdminJSON.response(["draining": true], .accepted)
            }
        }
    }

    private func purge(_ request: Request, _ context: AdminContext) async throws -> PurgeReceipt {
        _ = try request.parameters()
        guard let members = try await request.jsonMembers(maxBytes: limits.bodyBytes) else {
            throw Problem.badRequest("there is no body; it is a JSON object with one scope")
        }
        let order = try PurgeRequest.order(members, client: context.client.text)
        do {
            try PurgeRequest.check(order.scope)
            let record = try await Self.naming(order.scope.field) { try await node.purge(order) }
            audit.done(record)
            return PurgeReceipt(record)
        } catch let problem as Problem {
            audit.notDone(order, problem.detail)
            throw AuditedProblem(problem: problem)
        }
    }

    /// Runs an order; where it is refused, that is in the log too.
    private func audited(
        _ action: String, _ context: AdminContext, _ body: () async throws -> Response
    ) async throws -> Response {
        do {
            return try await body()
        } catch let audited as AuditedProblem {
            throw audited.problem
        } catch let problem as Problem {
            audit.note(action, client: context.client.text, outcome: problem.detail)
            throw problem
        }
    }

    /// A problem that the log has already.
    private struct AuditedProblem: Error {
        let problem: Problem
    }

    /// What the node refuses is the fault of `field`.
    private static func naming<Value>(
        _ field: String, _ body: () async throws -> Value
    ) async throws -> Value {
        do {
            return try await body()
        } catch PurgeError.refused(let why) {
            throw Problem.badRequest(why, field: field)
        } catch PurgeError.failed(let why) {
            throw Problem(503, why)
        }
    }

    private func ownMetrics(_ places: AdminPlaces?) -> String {
        """
        # HELP rockpool_admin_unauthorized_total Wrong tokens presented to the admin listener.
        # TYPE rockpool_admin_unauthorized_total counter
        rockpool_admin_unauthorized_total \(guesses.total)
        # HELP rockpool_admin_connections_ended_total Admin connections that were ended for others.
        # TYPE rockpool_admin_connections_ended_total counter
        rockpool_admin_connections_ended_total \(places?.ended ?? 0)

        """
    }

    private static func text(_ text: String) -> Response {
        Response(
            status: .ok, headers: [.contentType: "text/plain; charset=utf-8"],
            body: .init(byteBuffer: ByteBuffer(string: text)))
    }
}

/// Why an admin request could not be done.
public struct AdminProblem: Error, CustomStringConvertible {
    /// One line for each error.
    public let errors: [String]

    public init(_ description: String) { errors = [description] }
    public init(errors: [String]) { self.errors = errors }

    public var description: String { errors.joined(separator: "\n") }
}

extension PurgeOrder.Scope {
    /// The field of the request that has the value.
    fileprivate var field: String {
        switch self {
        case .url: "url"
        case .prefix: "prefix"
        case .host: "host"
        case .tag: "tag"
        case .all: "all"
        }
    }
}
