import EdgeNode
import EdgeOrigin
import EdgePolicy
import EdgeServer
import EdgeStore
import NIOCore
import NIOPosix

/// A whole node in this process: store, pulls, one listener on a free port.
public final class TestNode: Sendable {
    public let node: Node
    public let port: Int
    public let listener: Listener
    private let group: MultiThreadedEventLoopGroup

    /// Starts a node in front of the origin at `originURL` that serves every host.
    ///
    /// - Parameters:
    ///   - volume: where the disk tier lies; nil for none.
    ///   - purgeVolume: where the log of purges lies; without one it is forgotten.
    ///   - configure: changes to that configuration.
    public static func start(
        origin originURL: String, loops: Int = 1, limits: ConnectionLimits = ConnectionLimits(),
        volume: (any DiskVolume)? = nil, purgeVolume: (any DiskVolume)? = nil, accessLog: AccessLog? = nil,
        _ configure: (inout NodeConfiguration) -> Void = { _ in }
    ) async throws -> TestNode {
        var configuration = NodeConfiguration.forSingleOrigin(url: originURL)
        configuration.cache.memoryBytes = 64 << 20
        configuration.log.access = .off
        // A test that waits for its turn on a busy machine is no origin that says nothing.
        configuration.origins["main"]?.firstByteTimeoutMilliseconds = 60_000
        configuration.origins["main"]?.stallTimeoutMilliseconds = 60_000
        configure(&configuration)
        let disk = try volume.map {
            try DiskTier(volume: $0, budgetBytes: configuration.cache.diskBytes, backlogBytes: 8 << 20)
        }
        let ledger: any PurgeLedger =
            try purgeVolume.map { try PurgeJournal(volume: $0) } ?? VolatilePurgeLedger(epoch: 1)
        let node = Node(
            configuration: configuration, nodeID: Array("test-node".utf8), accessLog: accessLog, disk: disk,
            ledger: ledger)
        node.pulls.start()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: loops)
        let listener = Listener(node: node, group: group, limits: limits)
        do {
            let ports = try await listener.start([ListenAddress(host: "127.0.0.1", port: 0)])
            return TestNode(node, listener, group, ports[0])
        } catch {
            node.pulls.shutdown()
            try await group.shutdownGracefully()
            throw error
        }
    }

    private init(_ node: Node, _ listener: Listener, _ group: MultiThreadedEventLoopGroup, _ port: Int) {
        self.node = node
        self.listener = listener
        self.group = group
        self.port = port
    }

    /// Bounds client connections, and the copies of descriptors that bodies from the disk may hold.
    public func setBudget(clients: Int, regions: Int = 1_000) {
        listener.setBudget(clients: clients, regions: regions)
    }

    public var connectionCount: Int { listener.connectionCount }

    /// Waits until so many connections are there as `isMet` says; it shows in what follows if they never are.
    public func waitForConnections(_ isMet: (Int) -> Bool) async throws {
        try await poll { isMet(connectionCount) }
    }

    /// Waits until so many requests joined a pull that was under way.
    public func waitForFollowers(_ count: UInt64) async throws {
        try await poll { node.counters.reduce(0) { $0 + $1.followersJoined.current } >= count }
    }

    /// Waits until no response is on its way from the origin.
    public func waitForFills() async throws {
        try await poll { node.fillCount == 0 }
    }

    private func poll(_ isMet: () -> Bool) async throws {
        let deadline = Deadline.standard
        while !isMet(), !deadline.isOver { try await Task.sleep(for: .milliseconds(2)) }
    }

    /// Begins to drain; the value is whether that ended before `seconds` were over.
    public func drain(within seconds: Int64) -> Task<Bool, Never> {
        Task {
            let limit = Deadline(milliseconds: seconds * 1_000 - 200)
            await listener.drain(within: seconds)
            return !limit.isOver
        }
    }

    public func stop() async throws {
        await listener.drain(within: 0)
        try await group.shutdownGracefully()
        node.releaseLoops()
        try await onThread {
            self.node.pulls.shutdown()
            self.node.store.disk?.shutdown()
            self.node.ledger.shutdown()
        }
    }

    /// One request on a connection of its own.
    public func fetch(
        _ method: String = "GET", _ target: String, _ fields: [String] = [], body: String? = nil,
        version: String = "1.1"
    ) async throws -> ClientResponse {
        try await RawClient.exchange(port: port, method, target, version: version, fields, body: body)
    }

    public func connect(receiveBufferBytes: Int32? = nil) throws -> RawClient {
        try RawClient(port: port, receiveBufferBytes: receiveBufferBytes)
    }
}

/// Runs `body` with an origin that answers as `script` says and a node in front of it, and ends both.
public func withNode(
    script: @escaping ScriptedServer.Script, readsBodies: Bool = true, loops: Int = 1,
    limits: ConnectionLimits = ConnectionLimits(), volume: (any DiskVolume)? = nil,
    purgeVolume: (any DiskVolume)? = nil, accessLog: AccessLog? = nil,
    configure: (inout NodeConfiguration) -> Void = { _ in },
    _ body: (TestNode, ScriptedServer) async throws -> Void
) async throws {
    let origin = try ScriptedServer(readsBodies: readsBodies, script)
    defer { origin.stop() }
    let node = try await TestNode.start(
        origin: origin.url, loops: loops, limits: limits, volume: volume, purgeVolume: purgeVolume,
        accessLog: accessLog, configure)
    do {
        try await body(node, origin)
    } catch {
        origin.stop()
        try await node.stop()
        throw error
    }
    origin.stop()
    try await node.stop()
}
