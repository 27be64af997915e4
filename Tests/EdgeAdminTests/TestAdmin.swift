import EdgeAdmin
import EdgeNode
import EdgePolicy
import EdgeTesting
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization
import Testing

/// A node in this process with its admin listener on a free port.
final class TestAdmin: Sendable {
    static let token = "correct-horse-battery-staple"

    let node: TestNode
    let port: Int
    let log: RecordedLog
    let service: AdminService
    let drains: DrainCount
    let current: CurrentToken

    fileprivate init(
        _ node: TestNode, _ port: Int, _ log: RecordedLog, _ service: AdminService, _ drains: DrainCount,
        _ current: CurrentToken
    ) {
        self.current = current
        self.node = node
        self.port = port
        self.log = log
        self.service = service
        self.drains = drains
    }

    /// One request on a connection of its own, with the token unless `token` says otherwise.
    func ask(
        _ method: String, _ target: String, _ fields: [String] = [], body: String? = nil,
        token: String? = TestAdmin.token
    ) async throws -> ClientResponse {
        try await RawClient.exchange(
            port: port, method, target, Self.authorization(token) + fields, body: body)
    }

    static func authorization(_ token: String? = TestAdmin.token) -> [String] {
        token.map { ["Authorization: Bearer \($0)"] } ?? []
    }

    /// How many purges the node has done.
    var purgeCount: UInt64 { node.node.purgeOverview(limit: 1).total }
}

final class DrainCount: Sendable {
    private let orders = Mutex(0)
    var count: Int { orders.withLock { $0 } }
    func add() { orders.withLock { $0 += 1 } }
}

/// Runs `body` with a node whose admin listener answers, and ends both.
func withAdmin(
    configure: (inout NodeConfiguration) -> Void = { _ in },
    limits: (inout AdminLimits) -> Void = { _ in },
    reload: @escaping @Sendable () -> Result<ReloadReport, AdminProblem> = { .success(ReloadReport()) },
    _ body: (TestAdmin) async throws -> Void
) async throws {
    // Nothing here asks an origin.
    let node = try await TestNode.start(origin: "http://127.0.0.1:1", configure)
    let log = RecordedLog()
    let drains = DrainCount()
    var quiet = Logger(label: "admin") { _ in SwiftLogNoOpLogHandler() }
    quiet.logLevel = .critical
    let current = CurrentToken(AdminToken(TestAdmin.token))
    var service = AdminService(
        node: node.node, token: current, version: "1.2.3",
        audit: Logger(label: "audit") { _ in log }, reload: reload, drain: { drains.add() })
    limits(&service.limits)
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let (ports, port) = AsyncStream.makeStream(of: Int.self)
    let application = service.application(
        ListenAddress(host: "127.0.0.1", port: 0), group: group, logger: quiet
    ) {
        port.yield($0)
        port.finish()
    }
    let services = ServiceGroup(configuration: .init(services: [application], logger: quiet))
    let running = Task { try await services.run() }
    var iterator = ports.makeAsyncIterator()
    guard let number = await iterator.next() else { throw TestFailure("the admin listener did not start") }
    let admin = TestAdmin(node, number, log, service, drains, current)
    let result: Result<Void, any Error>
    do {
        result = .success(try await body(admin))
    } catch {
        result = .failure(error)
    }
    await services.triggerGracefulShutdown()
    try await running.value
    try await group.shutdownGracefully()
    try await node.stop()
    try result.get()
}

/// That the answer has this status.
func expect(
    _ status: Int, sourceLocation: SourceLocation = #_sourceLocation, _ ask: () async throws -> ClientResponse
) async throws {
    let answer = try await ask()
    #expect(answer.status == status, sourceLocation: sourceLocation)
}

/// Keeps what is logged.
final class RecordedLog: LogHandler {
    private let kept = Mutex<[String]>([])

    var lines: [String] { kept.withLock { $0 } }

    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }

    var logLevel: Logger.Level {
        get { .info }
        set {}
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }

    func log(event: LogEvent) {
        kept.withLock { $0.append("\(event.level): \(event.message)") }
    }
}
