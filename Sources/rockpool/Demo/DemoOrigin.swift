import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

import struct Glibc.linger

/// An origin server for `rockpool demo`, in the node's own process: it serves the demo site on a loopback port, can
/// be taken down and up again, and tells which requests reached it.
///
/// Down means what a dead server means: the listener is closed, so connecting is refused, and open connections are
/// reset. The controls are on a second listener that is always up.
final class DemoOrigin: Sendable {
    private struct State {
        var listener: (any Channel)?
        /// False from the moment the origin goes down: a connection accepted just before is then refused as well.
        var isOpen = false
        var control: (any Channel)?
        var connections: [ObjectIdentifier: any Channel] = [:]
        /// The last change of up and down; the next one starts after it.
        var change: EventLoopFuture<Void>
    }

    let log = DemoRequestLog()
    let controlPort: Int
    private let port: ReservedPort
    private let group: any EventLoopGroup
    private let site: DemoSite
    private let latency: TimeAmount
    private let state: Mutex<State>

    var originPort: Int { port.number }
    var isUp: Bool { state.withLock { $0.listener != nil } }

    /// Starts both listeners on free ports of 127.0.0.1.
    ///
    /// - Parameters:
    ///   - siteDirectory: the folder with index.html.
    ///   - group: the event loops to run on.
    ///   - latency: how long every answer waits: the distance to the origin.
    static func start(
        siteDirectory: String, group: any EventLoopGroup, latency: TimeAmount = .milliseconds(120)
    ) async throws -> DemoOrigin {
        let controlPort = try ReservedPort()
        let site = try DemoSite(
            directory: siteDirectory, controlAddress: "http://127.0.0.1:\(controlPort.number)/")
        let origin = try DemoOrigin(
            site: site, controlPort: controlPort.number, group: group, latency: latency)
        let control = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let operations = channel.pipeline.syncOperations
                    try operations.configureHTTPServerPipeline(withErrorHandling: true)
                    try operations.addHandler(DemoControlHandler(origin: origin))
                }
            }
            .bind(host: "127.0.0.1", port: controlPort.number).get()
        origin.state.withLock { $0.control = control }
        do {
            try await origin.setUp(true).get()
        } catch {
            try? await control.close()
            throw error
        }
        return origin
    }

    private init(site: DemoSite, controlPort: Int, group: any EventLoopGroup, latency: TimeAmount) throws {
        self.site = site
        self.controlPort = controlPort
        self.group = group
        self.latency = latency
        port = try ReservedPort()
        state = Mutex(State(change: group.next().makeSucceededVoidFuture()))
    }

    /// Takes the origin up or down; the future is done when connecting works, or is refused.
    func setUp(_ up: Bool) -> EventLoopFuture<Void> {
        let promise = group.next().makePromise(of: Void.self)
        let before = state.withLock { state in
            defer { state.change = promise.futureResult }
            return state.change
        }
        // Outside the lock: a future that is done already runs its continuation at once.
        before.flatMapError { _ in self.group.next().makeSucceededVoidFuture() }
            .flatMap { up ? self.listen() : self.vanish() }
            .cascade(to: promise)
        return promise.futureResult
    }

    func shutdown() async throws {
        try await setUp(false).get()
        let control = state.withLock { state in
            defer { state.control = nil }
            return state.control
        }
        try await control?.close()
    }

    private func listen() -> EventLoopFuture<Void> {
        guard !isUp else { return group.next().makeSucceededVoidFuture() }
        state.withLock { $0.isOpen = true }
        return ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try self.add(channel)
                    let operations = channel.pipeline.syncOperations
                    try operations.configureHTTPServerPipeline(withErrorHandling: true)
                    try operations.addHandler(
                        DemoOriginHandler(site: self.site, log: self.log, latency: self.latency))
                }
            }
            .bind(host: "127.0.0.1", port: port.number)
            .map { listener in self.state.withLock { $0.listener = listener } }
    }

    /// Closes the listener first, so that no connection comes after those that are reset.
    private func vanish() -> EventLoopFuture<Void> {
        let listener = state.withLock { state in
            defer { state.listener = nil }
            state.isOpen = false
            return state.listener
        }
        guard let listener else { return group.next().makeSucceededVoidFuture() }
        return listener.close().flatMap {
            let connections = self.state.withLock { Array($0.connections.values) }
            return EventLoopFuture.andAllComplete(
                connections.map { self.reset($0) }, on: listener.eventLoop)
        }
    }

    private func add(_ channel: any Channel) throws {
        let id = ObjectIdentifier(channel)
        let isOpen = state.withLock { state in
            if state.isOpen { state.connections[id] = channel }
            return state.isOpen
        }
        guard isOpen else { throw ChannelError.ioOnClosedChannel }
        channel.closeFuture.whenComplete { _ in
            self.state.withLock { _ = $0.connections.removeValue(forKey: id) }
        }
    }

    /// Closes with a zero linger time: the peer gets a RST instead of a clean end.
    private func reset(_ channel: any Channel) -> EventLoopFuture<Void> {
        let set = (channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
        return (set ?? channel.eventLoop.makeSucceededVoidFuture())
            .flatMapError { _ in channel.eventLoop.makeSucceededVoidFuture() }
            .flatMap { channel.close() }
    }
}
