import EdgeNode
import Logging
import ServiceLifecycle
import UnixSignals

/// SIGUSR1 opens the access log's file anew, for logrotate.
struct LogRotationService: Service {
    let log: AccessLog
    let signals: UnixSignalsSequence
    let logger: Logger

    func run() async throws {
        for await _ in signals.cancelOnGracefulShutdown() {
            guard let path = log.path else { continue }
            log.reopen { [logger] error in
                if let error {
                    logger.error("access log not reopened, the old file goes on: \(error)")
                } else {
                    logger.notice("access log reopened: \(path)")
                }
            }
        }
    }
}
