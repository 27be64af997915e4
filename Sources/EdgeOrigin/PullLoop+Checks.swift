import EdgeHTTP
import EdgePrimitives
import Synchronization

/// The node's own checks of servers: of those with a configured path all the time, of others while something failed.
/// One at a time for each server, outside of queue and choice: no client's request decides over others.
extension PullLoop {
    private struct Check {
        let number: UInt64
        let endpoint: OriginEndpoint
        let settings: OriginSettings
        /// On a connection of its own: that one can be had is the question.
        let isFresh: Bool
    }

    func runChecks(_ now: MonotonicTime) {
        var due: [Check] = []
        pools.withLock { pools in
            for (name, pool) in pools where pool.retiredAt == nil {
                for index in pool.servers.indices where pool.servers[index].check == nil {
                    let health = pool.servers[index].health
                    guard let time = health.checkDue(pool.configuration.health) else { continue }
                    guard time <= now else {
                        upkeep(by: time)
                        continue
                    }
                    let check = Check(
                        number: nextNumber.wrappingAdd(1, ordering: .relaxed).oldValue,
                        endpoint: pool.servers[index].endpoint, settings: pool.settings,
                        isFresh: health.isInTrouble)
                    pools[name]?.servers[index].check = check.number
                    pools[name]?.servers[index].health.checkBegan(now: now)
                    pools[name]?.active += 1
                    due.append(check)
                }
            }
        }
        for check in due { start(check, now) }
    }

    /// A GET of the configured path; without one HEAD of `/`, whose answer may be any.
    private func start(_ check: Check, _ now: MonotonicTime) {
        let rules = check.settings.configuration.health
        let request = PullRequest(
            origin: check.settings.name, method: Array((rules == nil ? "HEAD" : "GET").utf8),
            isHead: rules == nil, isIdempotent: true, isSafe: true, target: Array((rules?.path ?? "/").utf8),
            host: rules == nil ? check.settings.siteHost : [], fields: FieldSection(), body: .none,
            hashKey: 0, client: 0)
        let sink = HealthSink { [weak self] outcome, failure in self?.ended(check, outcome, failure) }
        let transfer = PullTransfer(
            number: check.number, request: request, sink: sink,
            handle: PullHandle(loop: self, number: check.number), now: now)
        sink.listen(to: transfer.handle)
        transfer.endpoint = check.endpoint
        transfer.settings = check.settings
        transfer.isCheck = true
        transfer.isFresh = check.isFresh
        transfer.isActive = true
        launch(transfer)
    }

    private func ended(_ check: Check, _ outcome: ServerHealth.CheckOutcome?, _ failure: PullFailure?) {
        let now = Self.now()
        _ = update(check.settings.name) { pool in
            // After a reload another one is under way, by what holds now.
            guard let index = pool.index(of: check.endpoint), pool.servers[index].check == check.number else {
                return
            }
            pool.servers[index].check = nil
            if let failure { pool.servers[index].lastFailure = failure.detail }
            guard let outcome else {
                pool.servers[index].health.checkBy(now + ServerHealth.firstBackOffMilliseconds)
                return
            }
            pool.servers[index].health.checked(outcome, rules: pool.configuration.health, now: now)
        }
        upkeep(by: now)
        admitWaiting(check.settings.name)
    }

    /// Looks again for servers for the pulls that wait for a check.
    func admitWaiting(_ origin: String) {
        let waiting = update(origin) { pool in
            var taken: [PullTransfer] = []
            swap(&taken, &pool.waiting)
            return taken
        }
        for transfer in waiting ?? [] where !transfer.isOver { admit(transfer) }
    }
}
