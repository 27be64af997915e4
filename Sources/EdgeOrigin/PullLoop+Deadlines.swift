import EdgePrimitives

/// What ends a pull that takes too long. libcurl's own deadlines are whole seconds, and it has none for the first byte.
extension PullLoop {
    func tick() {
        let now = Self.now()
        guard now >= nextTick else { return }
        nextTick = now + Self.deadlineTickMilliseconds
        if !transfers.isEmpty {
            var late: [(PullTransfer, PullFailure)] = []
            for transfer in transfers.values {
                guard let limits = transfer.settings?.configuration else { continue }
                if let failure = overdue(transfer, limits, now) { late.append((transfer, failure)) }
            }
            for (transfer, failure) in late { end(transfer, .failed(failure)) }
        }
        sweepConnections(now)
    }

    private func overdue(
        _ transfer: PullTransfer, _ limit: OriginConfiguration, _ now: MonotonicTime
    ) -> PullFailure? {
        let age = now.milliseconds(since: transfer.created)
        if limit.fetchTimeoutMilliseconds > 0, age >= limit.fetchTimeoutMilliseconds {
            return Self.failure(.fetchTimeout, .origin, "not done after \(limit.fetchTimeoutMilliseconds) ms")
        }
        if transfer.isCheck, age >= limit.firstByteTimeoutMilliseconds {
            return Self.failure(
                .firstByteTimeout, .origin, "no answer within \(limit.firstByteTimeoutMilliseconds) ms")
        }
        if let since = transfer.waitsSince {
            return now.milliseconds(since: since) >= limit.connectTimeoutMilliseconds ? Self.allOut : nil
        }
        if transfer.waitsForName {
            guard now.milliseconds(since: transfer.started) >= limit.connectTimeoutMilliseconds else {
                return nil
            }
            return PullFailure(
                kind: .connectTimeout, side: .origin, retry: .yes,
                detail: "looking up the origin's name took too long")
        }
        if !transfer.isActive, age >= limit.firstByteTimeoutMilliseconds {
            return Self.failure(.saturated, .edge, "no connection to the origin came free in time")
        }
        guard transfer.isActive, !transfer.isPaused else { return nil }
        let quiet = now.milliseconds(since: transfer.lastProgress)
        if !transfer.hasHead {
            let isUpload = transfer.request.body != .none
            // A client that takes its time to send is not the origin's fault; its connection has a deadline of its own.
            if isUpload, transfer.handle.waitsForClient { return nil }
            let wait = isUpload ? quiet : now.milliseconds(since: transfer.started)
            guard wait >= limit.firstByteTimeoutMilliseconds else { return nil }
            return Self.failure(
                .firstByteTimeout, .origin, "no answer within \(limit.firstByteTimeoutMilliseconds) ms")
        }
        // Most bodies are quiet for no time at all; who would share one is asked only then.
        guard quiet >= min(limit.stallTimeoutMilliseconds, transfer.request.stallTimeoutMilliseconds ?? .max),
            quiet >= Self.pauseMilliseconds(transfer, limit)
        else { return nil }
        return Self.failure(.stallTimeout, .origin, "nothing came for \(quiet) ms")
    }

    /// The longest pause within the body of a transfer.
    private static func pauseMilliseconds(_ transfer: PullTransfer, _ limit: OriginConfiguration) -> Int64 {
        pauseMilliseconds(
            own: transfer.request.stallTimeoutMilliseconds, configured: limit.stallTimeoutMilliseconds,
            isPatient: transfer.isEventStream || !transfer.sink.isShared)
    }

    /// - Parameters:
    ///   - own: what the rules say of this pull.
    ///   - isPatient: events may be far between, or a pause keeps nobody else waiting.
    static func pauseMilliseconds(
        own: Int64?, configured: Int64, isPatient: @autoclosure () -> Bool
    ) -> Int64 {
        if let own { return own }
        // What an operator chose holds for all bodies; the default is meant for those that others wait for as well.
        guard configured == OriginConfiguration.defaultStallMilliseconds, isPatient() else {
            return configured
        }
        return OriginConfiguration.patientStallMilliseconds
    }

    static func failure(_ kind: PullFailure.Kind, _ side: PullFailure.Side, _ detail: String) -> PullFailure {
        PullFailure(kind: kind, side: side, retry: .no, detail: detail)
    }
}
