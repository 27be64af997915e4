import EdgeHTTP
import EdgePrimitives
import Synchronization

/// Active checks of an origin's servers: a GET of the configured path, outside queue and breaker.
extension PullLoop {
    func runChecks(_ now: MonotonicTime) {
        var due: [(OriginEndpoint, OriginSettings)] = []
        pools.withLock { pools in
            for (name, pool) in pools where pool.retiredAt == nil {
                guard let rules = pool.configuration.health else { continue }
                for index in pool.servers.indices
                where !pool.servers[index].isChecking && pool.servers[index].nextCheck <= now {
                    pools[name]?.servers[index].isChecking = true
                    pools[name]?.servers[index].nextCheck = now + rules.intervalMilliseconds
                    due.append((pool.servers[index].endpoint, pool.settings))
                }
            }
        }
        for (endpoint, settings) in due { check(endpoint, settings, now) }
    }

    private func check(_ endpoint: OriginEndpoint, _ settings: OriginSettings, _ now: MonotonicTime) {
        guard let rules = settings.configuration.health else { return }
        let name = settings.name
        let number = nextNumber.wrappingAdd(1, ordering: .relaxed).oldValue
        let request = PullRequest(
            origin: name, method: Array("GET".utf8), isHead: false, isIdempotent: true, isSafe: true,
            target: Array(rules.path.utf8), host: [], fields: FieldSection(), body: .none, hashKey: 0,
            client: 0)
        let sink = HealthSink { [weak self] isWell in
            _ = self?.update(name) { pool in
                guard let server = pool.index(of: endpoint) else { return }
                pool.servers[server].isChecking = false
                pool.servers[server].health.checked(isWell: isWell, rules: rules, now: Self.now())
            }
        }
        let transfer = PullTransfer(
            number: number, request: request, sink: sink, handle: PullHandle(loop: self, number: number),
            now: now)
        transfer.endpoint = endpoint
        transfer.settings = settings
        transfer.isCheck = true
        transfer.isActive = true
        _ = update(name) { $0.active += 1 }
        launch(transfer)
    }
}
