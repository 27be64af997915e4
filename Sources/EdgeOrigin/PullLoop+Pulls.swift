import CCurl
import EdgeHTTP
import EdgePrimitives

/// The way of a pull: to a server and one of the origin's connections, and from its end to the next server or its sink.
extension PullLoop {
    fileprivate enum Admission {
        case go
        case wait
        case refuse(PullFailure)
    }

    /// Gives a pull a server and one of the origin's connections, or lets it wait for them.
    func admit(_ transfer: PullTransfer) {
        let now = Self.now()
        let placed: Admission? = update(transfer.request.origin) { pool in
            transfer.settings = pool.settings
            guard pool.active < pool.configuration.maxConnections else {
                // If it waited for a check, that is over: now it waits for a connection.
                transfer.waitsSince = nil
                if pool.queue.append(transfer, client: transfer.request.client) { return .wait }
                return .refuse(Self.failure(.saturated, .edge, "too many pulls wait for this origin"))
            }
            return Self.place(transfer, &pool, now)
        }
        let unknown = Self.failure(.internalError, .edge, "no origin of the name \(transfer.request.origin)")
        switch placed ?? .refuse(unknown) {
        case .go: launch(transfer)
        case .wait:
            transfers[transfer.number] = transfer
            armTick(now)
            // Where it is a check that is waited for, it may be due and not begun.
            upkeep(by: now)
        case .refuse(let failure):
            transfers[transfer.number] = nil
            transfer.fail(failure)
        }
    }

    /// How many pulls of one origin may wait for a check.
    private static let maxWaiting = PullQueue<PullTransfer>.capacity

    static let allOut = failure(.unhealthy, .origin, "every server of the origin is out")

    /// Chooses a server and takes one of the origin's connections.
    private static func place(_ transfer: PullTransfer, _ pool: inout OriginPool, _ now: MonotonicTime)
        -> Admission
    {
        let server: Int
        switch pool.choose(hashKey: transfer.request.hashKey, tried: transfer.tried, now: now) {
        case .server(let index): server = index
        case .afterCheck where transfer.request.waitsForCheck && pool.waiting.count < Self.maxWaiting:
            transfer.waitsSince = transfer.waitsSince ?? now
            pool.waiting.append(transfer)
            return .wait
        case .afterCheck, .none: return .refuse(allOut)
        }
        transfer.waitsSince = nil
        transfer.endpoint = pool.servers[server].endpoint
        transfer.isActive = true
        pool.active += 1
        pool.servers[server].active += 1
        pool.servers[server].pulls += 1
        return .go
    }

    func launch(_ transfer: PullTransfer) {
        let now = Self.now()
        transfers[transfer.number] = transfer
        armTick(now)
        guard hasAddress(transfer, now) else { return }
        let multi = multi(transfer.request.origin)
        transfer.multi = multi
        guard let settings = transfer.settings, let easy = handles?.prepare(transfer, settings) else {
            end(transfer, .failed(Self.failure(.internalError, .edge, "no handle for the pull")))
            return
        }
        transfer.reset(now: now)
        transfer.easy = easy
        tellName(transfer, easy, now)
        multi.add(easy, settings.configuration, now: now)
    }

    private func armTick(_ now: MonotonicTime) {
        if nextTick < now { nextTick = now + Self.deadlineTickMilliseconds }
    }

    func cancel(_ number: UInt64) {
        guard let transfer = transfers[number] else { return }
        end(transfer, .failed(Self.failure(.cancelled, .client, "cancelled")))
    }

    func finished(_ transfer: PullTransfer, _ result: CURLcode) {
        if result == CURLE_OK, transfer.hasHead, !transfer.isInsideHead, transfer.isWhole {
            end(transfer, .completed)
            return
        }
        if transfer.socketWasUnclean, !transfer.hasAnyLine {
            // Not this pull's doing: the same server on a connection of its own.
            transfer.isFresh = true
            detach(transfer)
            launch(transfer)
            return
        }
        end(transfer, .failed(CurlFailure.classify(result, transfer)))
    }

    private static func mayRetry(_ failure: PullFailure, _ request: PullRequest) -> Bool {
        switch failure.retry {
        case .no: false
        case .ifIdempotent: request.isIdempotent
        case .yes: true
        }
    }

    enum End {
        case completed
        case failed(PullFailure)
    }

    /// Takes a transfer out of libcurl and gives its handle back.
    func detach(_ transfer: PullTransfer) {
        guard let easy = transfer.easy else {
            transfer.freeList()
            return
        }
        transfer.easy = nil
        transfer.multi?.remove(easy)
        forgetName(transfer, easy)
        handles?.release(easy, transfer)
        let port = transfer.localPort
        transfer.localPort = nil
        if let port, departedPorts.contains(port) { endDeparted() }
    }

    func end(_ transfer: PullTransfer, _ end: End) {
        detach(transfer)
        let now = Self.now()
        transfer.waitsForName = false
        if case .failed(let failure) = end {
            if failure.isConnectionFailure { wasNotReached(transfer) }
            upkeep(by: now)
        }
        let retries = update(transfer.request.origin) { pool in
            guard transfer.isActive else {
                _ = pool.queue.remove { $0 === transfer }
                pool.waiting.removeAll { $0 === transfer }
                return false
            }
            transfer.isActive = false
            pool.active = max(0, pool.active - 1)
            if transfer.isCheck { return false }
            Self.settle(transfer, end, &pool, now)
            // Nothing was sent where no connection was made: any method may go to the next server.
            guard case .failed(let failure) = end, Self.mayRetry(failure, transfer.request),
                !transfer.hasAnyLine,
                transfer.handle.isUntouched, let endpoint = transfer.endpoint
            else { return false }
            transfer.tried.append(endpoint)
            guard pool.mayGoOn(transfer, now: now) else { return false }
            if let server = pool.index(of: endpoint) { pool.servers[server].retries += 1 }
            return true
        }
        if retries == true {
            admit(transfer)
        } else {
            transfers[transfer.number] = nil
            switch end {
            case .completed: transfer.complete()
            case .failed(let failure): transfer.fail(failure)
            }
        }
        startWaiting(transfer.request.origin)
    }

    /// What the end of a transfer says of its server.
    private static func settle(
        _ transfer: PullTransfer, _ end: End, _ pool: inout OriginPool, _ now: MonotonicTime
    ) {
        assert(!transfer.isCheck, "a check is judged by its own rules")
        guard let server = pool.index(of: transfer.endpoint) else { return }
        pool.servers[server].active = max(0, pool.servers[server].active - 1)
        switch end {
        case .completed: pool.timings.whole.record(from: transfer.created, to: now)
        case .failed(let failure):
            if failure.side == .origin {
                pool.servers[server].failures += 1
                pool.servers[server].lastFailure = failure.detail
            }
            // A head counts for the server, whatever came of the body.
            guard !transfer.hasHead, failure.speaksOfServer else { return }
            pool.servers[server].health.failed(
                key: transfer.request.hashKey, connecting: failure.isConnectionFailure,
                anotherIsWell: pool.isAnotherWell(but: server, now: now), now: now)
        }
    }

    func startWaiting(_ origin: String) {
        while true {
            let next = update(origin) { pool in
                pool.active < pool.configuration.maxConnections ? pool.queue.next() : nil
            }
            guard case .some(.some(let next)) = next else { return }
            admit(next)
        }
    }
}
