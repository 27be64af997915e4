import EdgeAdmin
import EdgeConfig
import EdgeNode
import EdgeServer
import Logging
import Synchronization

/// Carries out reloads: everything of the new configuration counts, or is named as waiting for a restart; or nothing
/// counts, and the error is told.
final class Reloading: Sendable {
    private let node: Node
    /// What the process was started with: what waits for a restart is what differs from it.
    private let started: NodeConfiguration
    private let directory: CacheDirectory
    private let token: CurrentToken
    private let threshold: ProgramLog.Threshold
    private let logger: Logger
    private let descriptors: DescriptorPlan
    private let listener: Listener
    private let load: @Sendable () throws -> NodeConfiguration
    /// One reload after the other.
    private let turn = Mutex(())

    /// - Parameter load: reads the configuration anew; throws where there is none or it is wrong.
    init(
        node: Node, started: NodeConfiguration, directory: CacheDirectory, token: CurrentToken,
        threshold: ProgramLog.Threshold, logger: Logger, descriptors: DescriptorPlan, listener: Listener,
        load: @escaping @Sendable () throws -> NodeConfiguration
    ) {
        self.node = node
        self.started = started
        self.directory = directory
        self.token = token
        self.threshold = threshold
        self.logger = logger
        self.descriptors = descriptors
        self.listener = listener
        self.load = load
    }

    func run() -> Result<ReloadReport, AdminProblem> {
        turn.withLock { _ in
            do {
                let waiting = try carryOut()
                if waiting.isEmpty {
                    logger.notice("configuration reloaded")
                } else {
                    logger.warning(
                        "configuration reloaded; these wait for a restart: \(waiting.joined(separator: ", "))"
                    )
                }
                return .success(ReloadReport(waitingForRestart: waiting))
            } catch let errors as ConfigurationErrors {
                for error in errors.errors { logger.error("configuration not reloaded: \(error)") }
                return .failure(AdminProblem(errors: errors.errors.map(\.description)))
            } catch {
                logger.error("configuration not reloaded: \(error)")
                return .failure(AdminProblem("\(error)"))
            }
        }
    }

    private func carryOut() throws -> [String] {
        let configuration = try load()
        // What can fail comes first, the log last of it: it cannot be taken back.
        let budget = try descriptors.budget(configuration)
        let newToken = try directory.token(for: configuration.admin)
        try node.accessLog?.change(to: configuration.log.access, format: configuration.log.format)
        token.replace(with: newToken)
        threshold.set(configuration.log.level)
        node.reload(configuration)
        listener.setBudget(clients: budget.clients, regions: budget.regions)
        return configuration.waitingForRestart(since: started)
    }
}

extension CacheDirectory {
    /// The token that the configuration names; without one, that of the directory.
    func token(for admin: NodeConfiguration.Admin) throws -> AdminToken {
        try admin.tokenFile.map { try AdminToken.read(from: $0) } ?? token()
    }
}
