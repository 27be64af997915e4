import NIOCore
import Synchronization

/// Who may stay when more want to connect to the admin listener than it has places for.
///
/// Strangers, who have not shown the token, never hold the last places. Whoever comes is let in, and where
/// there is no place the stranger goes who has waited longest: so a health check or a purge is answered
/// whoever holds connections.
struct PlaceTable<ID: Hashable & Sendable>: Sendable {
    private struct Place {
        var isTrusted = false
        /// When something last happened, by a count of what happened: it came, a whole request did, or its
        /// answer went. An answer takes a moment, but for those who guess: they wait as those do who say
        /// nothing.
        var since: UInt64
    }

    private let places: Int
    private let kept: Int
    private var held: [ID: Place] = [:]
    private var strangers = 0
    private var clock: UInt64 = 0

    /// - Parameters:
    ///   - places: how many connections there may be.
    ///   - kept: how many of them are for those who showed the token.
    init(places: Int, kept: Int) {
        self.places = max(1, places)
        self.kept = min(max(0, kept), self.places - 1)
    }

    var count: Int { held.count }

    /// Lets `id` in.
    ///
    /// - Returns: who has to go for it.
    mutating func arrive(_ id: ID) -> ID? {
        held[id] = Place(since: tick())
        strangers += 1
        guard strangers > places - kept || held.count > places else { return nil }
        let others = held.filter { $0.key != id }
        let unknown = others.filter { !$0.value.isTrusted }
        let leaving = (unknown.isEmpty ? others : unknown).min { $0.value.since < $1.value.since }
        if let leaving { leave(leaving.key) }
        return leaving?.key
    }

    /// It showed the token.
    mutating func trust(_ id: ID) {
        guard held[id]?.isTrusted == false else { return }
        held[id]?.isTrusted = true
        strangers -= 1
    }

    /// A whole request came, or its answer went.
    mutating func note(_ id: ID) {
        let now = tick()
        held[id]?.since = now
    }

    mutating func leave(_ id: ID) {
        if held.removeValue(forKey: id)?.isTrusted == false { strangers -= 1 }
    }

    private mutating func tick() -> UInt64 {
        clock += 1
        return clock
    }
}

/// The places of an admin listener, with the connections that hold them.
final class AdminPlaces: Sendable {
    private struct State {
        var table: PlaceTable<ObjectIdentifier>
        var channels: [ObjectIdentifier: any Channel] = [:]
        var ended: UInt64 = 0
    }

    private let state: Mutex<State>

    init(_ limits: AdminLimits) {
        state = Mutex(State(table: PlaceTable(places: limits.connections, kept: limits.keptConnections)))
    }

    /// Connections that were ended for others.
    var ended: UInt64 { state.withLock { $0.ended } }

    /// Lets `channel` in, and closes whoever has to go for it.
    func arrive(_ channel: any Channel) {
        let leaving = state.withLock { state -> (any Channel)? in
            state.channels[ObjectIdentifier(channel)] = channel
            guard let leaving = state.table.arrive(ObjectIdentifier(channel)) else { return nil }
            state.ended += 1
            return state.channels.removeValue(forKey: leaving)
        }
        leaving?.close(promise: nil)
    }

    func trust(_ channel: any Channel) { state.withLock { $0.table.trust(ObjectIdentifier(channel)) } }

    func note(_ channel: any Channel) { state.withLock { $0.table.note(ObjectIdentifier(channel)) } }

    func leave(_ channel: any Channel) {
        state.withLock { state in
            state.table.leave(ObjectIdentifier(channel))
            state.channels[ObjectIdentifier(channel)] = nil
        }
    }
}
