import ArgumentParser
import CEdgeLinux
import EdgeAdmin
import EdgeNode
import EdgeOrigin
import EdgeServer
import EdgeStore
import Foundation
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Synchronization
import UnixSignals

/// A node with its listeners, from start to drain.
struct NodeService: Sendable {
    let configuration: NodeConfiguration
    /// Reads the configuration anew; throws where there is none or it is wrong.
    let loadAgain: @Sendable () throws -> NodeConfiguration
    /// Told the data ports and the admin port once both listen.
    var onRunning: @Sendable ([Int], Int) async -> Void = { _, _ in }
    /// What to say at the start instead of the addresses.
    var isQuiet = false

    init(configuration: NodeConfiguration, loadAgain: @escaping @Sendable () throws -> NodeConfiguration) {
        self.configuration = configuration
        self.loadAgain = loadAgain
    }

    func run() async throws {
        MemoryTier.configureAllocator(heaps: 2)
        let processors = Int(edge_usable_processors())
        let plan = DescriptorPlan(limit: DescriptorPlan.raiseLimit(), processors: processors)
        let budget = try plan.budget(configuration)
        let threshold = ProgramLog.Threshold(configuration.log.level)
        let logger = Logger(label: "rockpool") { _ in ProgramLog(threshold) }
        // From before anybody can know that the node is there: one that is missed leaves a rotated log in use.
        let signals = (
            reload: await UnixSignalsSequence(trapping: .sighup),
            reopen: await UnixSignalsSequence(trapping: .sigusr1)
        )
        if budget.isTight { logger.warning("\(plan.tightLine(budget, configuration))") }
        let directory = try CacheDirectory(configuration.cache.directory)
        let disk = try directory.openDisk(configuration.cache)
        defer { disk?.shutdown() }
        if let found = disk?.recovery {
            logger.notice(
                "disk: \(found.responses) responses in \(found.segments) segments, read in \(found.milliseconds) ms"
            )
            if found.droppedSegments + found.damagedEntries > 0 {
                logger.warning(
                    "disk: \(found.droppedSegments) segments and \(found.damagedEntries) entries were damaged"
                )
            }
        }
        let ledger = try directory.openLedger(configuration.cache)
        defer { ledger.shutdown() }
        if let warning = (ledger as? PurgeJournal)?.finding.warning {
            logger.warning("purge ledger: \(warning)")
        }
        let accessLog = try AccessLog(configuration.log.access, format: configuration.log.format)
        let node = Node(
            configuration: configuration, nodeID: Array(try directory.nodeID(configuration.nodeID).utf8),
            accessLog: accessLog, disk: disk, ledger: ledger)
        node.pulls.start()
        defer {
            node.releaseLoops()
            node.pulls.shutdown()
        }
        let token = CurrentToken(try directory.token(for: configuration.admin))
        // A loop for each processor that this process may use: two on one would only take turns.
        let group = MultiThreadedEventLoopGroup(numberOfThreads: processors)
        let listener = Listener(node: node, group: group) { [logger] in logger.warning("\($0)") }
        listener.setBudget(clients: budget.clients, regions: budget.regions)
        let reloading = Reloading(
            node: node, started: configuration, directory: directory, token: token, threshold: threshold,
            logger: logger, descriptors: plan, listener: listener, load: loadAgain)
        let ports: [Int]
        do {
            ports = try await listener.start(configuration.listeners)
        } catch {
            let addresses = configuration.listeners.map(\.description).joined(separator: ", ")
            throw StartError("cannot listen on \(addresses): \(Self.cause(error))")
        }
        let hosts = zip(configuration.listeners, ports).map { ListenAddress(host: $0.host, port: $1) }
        node.listeners = hosts.map { BoundListener(address: $0, isTLS: false) }
        let reload: @Sendable () -> Result<ReloadReport, AdminProblem> = { reloading.run() }
        let ownServices: [any Service] = [
            ReloadService(signals: signals.reload, reload: reload),
            LogRotationService(log: accessLog, signals: signals.reopen, logger: logger),
            StoreMaintenance(node: node, logger: logger),
        ]
        try await serve(node, listener, hosts, token, logger, budget, reload, ownServices)
        accessLog.close()
    }

    private func serve(
        _ node: Node, _ listener: Listener, _ hosts: [ListenAddress], _ token: CurrentToken, _ logger: Logger,
        _ budget: DescriptorBudget, _ reload: @escaping @Sendable () -> Result<ReloadReport, AdminProblem>,
        _ ownServices: [any Service]
    ) async throws {
        let isAdminUp = Atomic<Bool>(false)
        let adminGroup = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var adminLogger = logger
        adminLogger.logLevel = .warning
        let (drains, drain) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingOldest(1))
        let admin = AdminService(
            node: node, token: token, version: Version.number, audit: logger, reload: reload,
            drain: { drain.yield() }, connections: max(4, budget.admin - AdminService.passingConnections)
        ).application(configuration.admin.address, group: adminGroup, logger: adminLogger) { port in
            isAdminUp.store(true, ordering: .relaxed)
            if !isQuiet {
                for host in hosts { logger.notice("serving on http://\(host)") }
                logger.notice("admin on http://\(configuration.admin.address.host):\(port)")
            }
            await onRunning(hosts.map(\.port), port)
        }
        let services = ServiceGroup(
            configuration: .init(
                services: [
                    // Ended last to first: who asks /readyz during the drain gets an answer.
                    .init(service: admin),
                    .init(service: DrainService(node: node, listener: listener)),
                ] + ownServices.map { .init(service: $0) } + [
                    .init(
                        service: DrainOrderService(orders: drains),
                        successTerminationBehavior: .gracefullyShutdownGroup)
                ],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: adminLogger))
        do {
            try await services.run()
        } catch  where !isAdminUp.load(ordering: .relaxed) {
            throw StartError(
                "cannot listen on \(configuration.admin.address), the admin address: \(Self.cause(error))")
        }
    }

    /// Of a failed system call what the system says of it, without the call.
    private static func cause(_ error: any Error) -> String {
        switch error {
        case let error as IOError: String(cString: strerror(error.errnoCode))
        case let error as SocketAddressError.UnknownHost: "no address of \(error.host) is known"
        default: "\(error)"
        }
    }
}

/// Why the node did not start.
struct StartError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Holds the data listeners until the node is told to end, then drains them.
private struct DrainService: Service {
    static let drainSeconds: Int64 = 30
    let node: Node
    let listener: Listener

    func run() async throws {
        try? await gracefulShutdown()
        node.isDraining = true
        await listener.drain(within: Self.drainSeconds)
    }
}

/// Ends, and the node with it as on SIGTERM, at the first order to drain.
private struct DrainOrderService: Service {
    let orders: AsyncStream<Void>

    func run() async throws {
        for await _ in orders.cancelOnGracefulShutdown() { return }
    }
}

/// SIGHUP reads the configuration anew.
private struct ReloadService: Service {
    let signals: UnixSignalsSequence
    let reload: @Sendable () -> Result<ReloadReport, AdminProblem>

    func run() async throws {
        for await _ in signals.cancelOnGracefulShutdown() {
            _ = reload()
        }
    }
}
