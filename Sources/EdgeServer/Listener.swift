import EdgeNode
import EdgePrimitives
import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// The data listeners of a node: one socket for every loop and address (SO_REUSEPORT), so that the kernel spreads
/// connections and none changes its thread.
public final class Listener: Sendable {
    struct State {
        var channels: [any Channel] = []
        var connections: [ObjectIdentifier: NIOLoopBound<HTTP1Connection>] = [:]
        var isDraining = false
        var drained: EventLoopPromise<Void>?
        var accepting = Accepting()
    }

    let node: Node
    let group: MultiThreadedEventLoopGroup
    private let limits: ConnectionLimits
    let state = Mutex(State())
    let regions = RegionAllowance()
    /// Gets a line when client connections come to their bound, at most once a minute.
    let tell: @Sendable (String) -> Void

    public init(
        node: Node, group: MultiThreadedEventLoopGroup, limits: ConnectionLimits = ConnectionLimits(),
        tell: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.node = node
        self.group = group
        self.limits = limits
        self.tell = tell
    }

    /// Listens on `addresses`; answers the ports, which differ where 0 was asked for.
    public func start(_ addresses: [ListenAddress]) async throws -> [Int] {
        var contexts: [(any EventLoop, NIOLoopBound<LoopContext>)] = []
        for loop in group.makeIterator() {
            let context = try await loop.submit {
                NIOLoopBound(LoopContext(node: self.node, eventLoop: loop), eventLoop: loop)
            }.get()
            contexts.append((loop, context))
        }
        var ports: [Int] = []
        for address in addresses {
            var port = address.port
            for (number, (loop, context)) in contexts.enumerated() {
                // The first one listens alone, or another node on the same port would get a part of the requests; from
                // then on the others may join it, and whoever comes later and wants to be alone cannot.
                let channel = try await bind(address.host, port, loop, context, sharesPort: number > 0)
                state.withLock { $0.channels.append(channel) }
                port = channel.localAddress?.port ?? port
                if number == 0 { try await channel.setOption(Self.sharedPort, value: 1).get() }
            }
            ports.append(port)
        }
        return ports
    }

    private static let sharedPort = ChannelOptions.Types.SocketOption(
        level: SocketOptionLevel(SOL_SOCKET), name: SO_REUSEPORT)

    private func bind(
        _ host: String, _ port: Int, _ loop: any EventLoop, _ context: NIOLoopBound<LoopContext>,
        sharesPort: Bool
    ) async throws -> any Channel {
        try await ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(Self.sharedPort, value: sharesPort ? 1 : 0)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptGuard { self.acceptFailed() })
                }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 64 * 1024, high: 512 * 1024))
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try self.adopt(channel, context.value) }
            }
            .bind(host: host, port: port).get()
    }

    private static func client(_ address: SocketAddress?) -> ClientAddress {
        ClientAddress(text: Array((address?.ipAddress ?? "unknown").utf8))
    }

    /// Makes a client's connection of a channel; it counts until that is closed, whether it ever came to be
    /// active or not.
    package func adopt(_ channel: any Channel, _ context: LoopContext) throws {
        let connection = HTTP1Connection(
            node: context, limits: limits, client: Self.client(channel.remoteAddress), isTLS: false,
            regions: regions)
        let id = ObjectIdentifier(connection)
        opened(connection, channel.eventLoop)
        channel.closeFuture.whenComplete { _ in self.closed(id) }
        try channel.pipeline.syncOperations.addHandler(connection)
    }

    private func opened(_ connection: HTTP1Connection, _ loop: any EventLoop) {
        let bound = NIOLoopBound(connection, eventLoop: loop)
        let (isDraining, isFull) = state.withLock { state in
            state.connections[ObjectIdentifier(connection)] = bound
            return (state.isDraining, state.isFull)
        }
        if isFull { stopAccepting() }
        // It came before the sockets were closed, and after those were told that were there.
        if isDraining { loop.execute { bound.value.drain() } }
    }

    private func closed(_ id: ObjectIdentifier) {
        let (promise, isRoomy) = state.withLock { state in
            state.connections[id] = nil
            return (
                state.connections.isEmpty ? state.drained : nil, state.accepting.isStopped && !state.isFull
            )
        }
        if isRoomy { goOnAccepting() }
        promise?.succeed()
    }

    public var connectionCount: Int { state.withLock { $0.connections.count } }

    /// Stops accepting, lets what is under way finish, and returns when all connections have ended or `seconds`
    /// are over.
    public func drain(within seconds: Int64) async {
        let promise = group.next().makePromise(of: Void.self)
        let (channels, connections, isEmpty) = state.withLock { state in
            state.isDraining = true
            state.drained = promise
            return (state.channels, Array(state.connections.values), state.connections.isEmpty)
        }
        for channel in channels { try? await channel.close().get() }
        // All of a loop at once: none takes another request in between.
        for onLoop in Dictionary(grouping: connections, by: { ObjectIdentifier($0.eventLoop) }).values {
            onLoop[0].eventLoop.execute {
                for connection in onLoop { connection.value.drain() }
            }
        }
        if isEmpty { promise.succeed() }
        let timeout = group.next().scheduleTask(in: .seconds(seconds)) { promise.succeed() }
        try? await promise.futureResult.get()
        timeout.cancel()
    }
}
