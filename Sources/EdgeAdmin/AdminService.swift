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

/// What `/status` says.
struct StatusDocument: Codable, ResponseEncodable {
    struct Tier: Codable {
        var name: String
        var budgetBytes: Int64
        var usedBytes: Int64
        var storedResponses: Int
        var insertions: UInt64
        var evictions: UInt64
        /// Reads that found a response, of all that asked this tier.
        var hitShare: Double?
        /// Seconds for which the newly evicted had been stored.
        var evictionAgeSeconds: Double?
        var disk: Disk?
    }

    /// What only the disk tier has.
    struct Disk: Codable {
        /// "good", or why nothing is written for now.
        var health: String
        var segments: Int
        var indexBytes: Int
        var pendingBytes: Int
        var bytesWritten: UInt64
        var bytesRewritten: UInt64
        var bytesWrittenPerSecond: Double
        var refusals: UInt64
        var backlogDrops: UInt64
        var damagedRecords: UInt64
        var scrubbedBytes: UInt64
        var errors: UInt64
        var recovery: Recovery
    }

    /// What the last start found on disk.
    struct Recovery: Codable {
        var responses: Int
        var blocks: Int
        var segments: Int
        var droppedSegments: Int
        var damagedEntries: Int
        var foreignFiles: Int
        var milliseconds: Int64
    }

    struct Origin: Codable {
        var name: String
        var url: String
        var health: String
        var active: Int
        var queued: Int
        var pulls: UInt64
        var failures: UInt64
        var lastFailure: String?
    }

    struct Requests: Codable {
        var total: UInt64
        var byOutcome: [String: UInt64]
    }

    var version: String
    var node: String
    var uptimeSeconds: Int64
    var draining: Bool
    var requests: Requests
    var fills: Int
    var tiers: [Tier]
    var origins: [Origin]

    init(_ node: Node, version: String) {
        self.version = version
        self.node = String(decoding: node.nodeID, as: UTF8.self)
        uptimeSeconds = max(0, SystemClock.wall().seconds - node.started.seconds)
        draining = node.isDraining
        requests = Self.requests(node)
        fills = node.fillCount
        tiers = [Self.memory(node)]
        if let disk = node.store.disk { tiers.append(Self.disk(disk, seconds: uptimeSeconds)) }
        origins = node.pulls.snapshot().map { server in
            Origin(
                name: server.name, url: server.url, health: "\(server.health)", active: server.active,
                queued: server.queued, pulls: UInt64(server.pulls), failures: UInt64(server.failures),
                lastFailure: server.lastFailure)
        }
    }

    private static func memory(_ node: Node) -> Tier {
        let memory = node.store.memory.snapshot
        return Tier(
            name: "memory", budgetBytes: Int64(memory.budgetBytes), usedBytes: Int64(memory.usedBytes),
            storedResponses: Int(memory.count), insertions: UInt64(memory.insertions),
            evictions: UInt64(memory.evictions), evictionAgeSeconds: memory.evictionAgeSeconds)
    }

    private static func disk(_ tier: DiskTier, seconds: Int64) -> Tier {
        let disk = tier.snapshot
        let found = tier.recovery
        let asked = disk.hits + disk.misses
        let health =
            switch disk.health {
            case .good: "good"
            case .failing(let why): why
            }
        return Tier(
            name: "disk", budgetBytes: disk.budgetBytes, usedBytes: disk.usedBytes,
            storedResponses: disk.entryCount, insertions: disk.insertions, evictions: disk.evictions,
            hitShare: asked == 0 ? nil : Double(disk.hits) / Double(asked),
            evictionAgeSeconds: disk.evictionAgeSeconds,
            disk: Disk(
                health: health, segments: disk.segmentCount, indexBytes: disk.indexBytes,
                pendingBytes: disk.pendingBytes, bytesWritten: disk.bytesWritten,
                bytesRewritten: disk.bytesRewritten,
                bytesWrittenPerSecond: Double(disk.bytesWritten) / Double(max(1, seconds)),
                refusals: disk.refusals, backlogDrops: disk.backlogDrops,
                damagedRecords: disk.damagedRecords, scrubbedBytes: disk.scrubbedBytes, errors: disk.errors,
                recovery: Recovery(
                    responses: found.responses, blocks: found.blocks, segments: found.segments,
                    droppedSegments: found.droppedSegments, damagedEntries: found.damagedEntries,
                    foreignFiles: found.foreignFiles, milliseconds: found.milliseconds)))
    }

    private static func requests(_ node: Node) -> Requests {
        var byOutcome: [String: UInt64] = [:]
        let reasons = Reason.allCases.map(Optional.some) + [nil]
        for outcome in RequestOutcome.allCases {
            byOutcome[outcome.label] = node.counters.reduce(0) { sum, loop in
                reasons.reduce(sum) { $0 + loop.requests(outcome, $1) }
            }
        }
        return Requests(total: byOutcome.values.reduce(0, +), byOutcome: byOutcome)
    }
}
