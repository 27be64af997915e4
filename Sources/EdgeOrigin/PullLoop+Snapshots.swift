import EdgePrimitives
import Synchronization

/// What `/status` and the metrics say of origins.
extension PullLoop {
    func snapshot() -> [OriginSnapshot] {
        pools.withLock { pools in
            pools.values.filter { $0.retiredAt == nil }.sorted { $0.name < $1.name }.flatMap { pool in
                pool.servers.map { server in
                    // Checks that go on all the time say nothing new by being under way.
                    let isTried = server.check != nil && pool.configuration.health == nil
                    let health: OriginSnapshot.Health =
                        !server.health.isOut ? .healthy : isTried ? .halfOpen : .unhealthy
                    return OriginSnapshot(
                        name: pool.name, url: server.endpoint.shown, health: health, active: server.active,
                        queued: pool.queue.count, pulls: server.pulls, failures: server.failures,
                        retries: server.retries,
                        lastFailure: server.lastFailure,
                        consecutiveFailures: server.health.consecutiveFailures)
                }
            }
        }
    }

    func timings() -> [(origin: String, timings: PullTimings)] {
        pools.withLock { pools in
            pools.values.filter { $0.retiredAt == nil }.map { ($0.name, $0.timings) }
        }.sorted { $0.origin < $1.origin }
    }
}
