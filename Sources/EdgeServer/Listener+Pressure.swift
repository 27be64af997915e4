import EdgeNode
import EdgePrimitives
import NIOCore
import NIOPosix
import Synchronization

/// What happens when client connections come to their bound, or the system gives none any more.
///
/// The listening channels stop reading; connections between two requests are ended, those first that have
/// waited longest; when one has gone, accepting goes on.
extension Listener {
    struct Accepting {
        /// The most connections.
        var limit = Int.max
        var isStopped = false
        var isLooking = false
        var isTimed = false
        /// When connections were last ended.
        var lookedAt: MonotonicTime?
        var regions = Int.max
        var line = PressureLine()
    }

    /// Between two looks for connections that wait, so that a flood of new ones costs no loop its time.
    private static let leastPauseMilliseconds: Int64 = 20
    /// While accepting has stopped and nothing ends: somebody may have begun to wait, or the system give
    /// again.
    private static let retryMilliseconds: Int64 = 250
    /// So much of the bound is ended at once where it waits.
    private static let endedShare = 16

    /// Bounds client connections and the descriptors that their answers may hold.
    public func setBudget(clients: Int, regions count: Int) {
        let (added, isFull) = state.withLock { state in
            defer { state.accepting.regions = count }
            state.accepting.limit = max(1, clients)
            return (count - state.accepting.regions, state.isFull)
        }
        node.pressure.limit = max(1, clients)
        regions.add(added)
        if isFull { stopAccepting() } else { goOnAccepting() }
    }

    /// The system had no descriptor or no memory for a connection.
    func acceptFailed() {
        node.pressure.noteFailure()
        stopAccepting()
    }

    func stopAccepting() {
        let isNew = state.withLock { state in
            guard !state.accepting.isStopped, !state.isDraining else { return false }
            state.accepting.isStopped = true
            return true
        }
        guard isNew else { return }
        node.pressure.notePause()
        carryOut()
        let now = SystemClock.monotonic()
        let passed = state.withLock { $0.accepting.lookedAt.map { now.milliseconds(since: $0) } }
        let rest = Self.leastPauseMilliseconds - (passed ?? Self.leastPauseMilliseconds)
        if rest <= 0 { look() } else { after(rest) { $0.look() } }
        retryLater()
    }

    func goOnAccepting() {
        let isNew = state.withLock { state in
            guard state.accepting.isStopped else { return false }
            state.accepting.isStopped = false
            return true
        }
        if isNew { carryOut() }
    }

    /// Has each listening channel do what holds by then: two orders from two threads may overtake one
    /// another.
    private func carryOut() {
        for channel in state.withLock({ $0.channels }) {
            let setReading: @Sendable () -> Void = {
                let reads = self.state.withLock { !$0.accepting.isStopped }
                channel.setOption(.autoRead, value: reads).whenFailure { _ in }
            }
            if channel.eventLoop.inEventLoop { setReading() } else { channel.eventLoop.execute(setReading) }
        }
    }

    private func retryLater() {
        let isNew = state.withLock { state in
            defer { state.accepting.isTimed = true }
            return !state.accepting.isTimed
        }
        guard isNew else { return }
        after(Self.retryMilliseconds) { listener in
            let (isStopped, isFull) = listener.state.withLock { state in
                state.accepting.isTimed = false
                return (state.accepting.isStopped && !state.isDraining, state.isFull)
            }
            guard isStopped else { return }
            if isFull {
                listener.look()
                listener.retryLater()
            } else {
                listener.goOnAccepting()
            }
        }
    }

    private func after(_ milliseconds: Int64, _ body: @escaping @Sendable (Listener) -> Void) {
        group.next().scheduleTask(in: .milliseconds(milliseconds)) { [weak self] in
            if let self { body(self) }
        }
    }

    // MARK: Ending those that wait

    private func look() {
        let loops = state.withLock { state -> [[NIOLoopBound<HTTP1Connection>]] in
            guard state.accepting.isStopped, !state.accepting.isLooking, !state.isDraining else { return [] }
            state.accepting.isLooking = !state.connections.isEmpty
            state.accepting.lookedAt = SystemClock.monotonic()
            return Array(
                Dictionary(grouping: state.connections.values) { ObjectIdentifier($0.eventLoop) }.values)
        }
        guard !loops.isEmpty else { return }
        let resting = loops.map { connections in
            connections[0].eventLoop.submit {
                connections.compactMap { connection in connection.value.rest.map { ($0, connection) } }
            }
        }
        EventLoopFuture.whenAllSucceed(resting, on: group.next()).whenComplete { found in
            self.endOldest((try? found.get())?.flatMap { $0 } ?? [])
        }
    }

    private func endOldest(_ resting: [(HTTP1Connection.Rest, NIOLoopBound<HTTP1Connection>)]) {
        let count = state.withLock { state in
            let surplus = state.connections.count - state.accepting.limit
            return max(surplus + 1, min(state.accepting.limit, state.connections.count) / Self.endedShare, 1)
        }
        let leaving = resting.sorted { $0.0.goesBefore($1.0) }.prefix(count)
        let ended = Dictionary(grouping: leaving.map(\.1)) { ObjectIdentifier($0.eventLoop) }.values.map {
            connections in
            connections[0].eventLoop.submit {
                for connection in connections where connection.value.endRest() {
                    self.node.pressure.noteEnded()
                }
            }
        }
        EventLoopFuture.andAllComplete(ended, on: group.next()).whenComplete { _ in
            let line = self.state.withLock { state in
                state.accepting.isLooking = false
                let pressure = self.node.pressure
                return state.accepting.line.look(
                    .init(pauses: pressure.pauses, ended: pressure.ended, failures: pressure.failures),
                    open: state.connections.count, limit: state.accepting.limit, at: SystemClock.monotonic())
            }
            if let line { self.tell(line) }
        }
    }
}

extension Listener.State {
    var isFull: Bool { connections.count >= accepting.limit }
}
