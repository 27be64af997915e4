import EdgeNode
import Logging
import ServiceLifecycle
import UnixSignals

/// SIGUSR1 opens the access log's file anew, for logrotate.
struct LogRotationService: Service {
    let log: AccessLog?
    let logger: Logger

    func run() async throws {
        for await _ in await UnixSignalsSequence(trapping: .sigusr1).cancelOnGracefulShutdown() {
            guard let log, let path = log.path else { continue }
            do {
                try log.reopen()
                logger.notice("access log reopened: \(path)")
            } catch {
                logger.error("access log not reopened, the old file goes on: \(error)")
            }
        }
    }
}
