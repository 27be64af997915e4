import EdgeNode
import EdgePrimitives
import EdgeTesting
import Glibc
import NIOCore
import NIOPosix
import Testing

@testable import EdgeServer

/// A node that has only so many descriptors: who gets them, and who goes for whom.
@Suite(.wholeNodes) struct DescriptorTests {
    // MARK: Shares

    private static let needs = DescriptorBudget.Needs(fixed: 60, disk: 150, origins: 64, admin: 272)

    @Test(arguments: [1024, 4096, 1 << 20]) func `what the node cannot do without comes first`(limit: Int)
        throws
    {
        let budget = try #require(DescriptorBudget(limit: limit, Self.needs))
        #expect(!budget.isTight)
        #expect(budget.origins == 64 && budget.admin == 272)
        #expect(budget.clients + budget.regions + 60 + 150 + 64 + 272 == limit)
        #expect(budget.clients > budget.regions)
    }

    @Test func `whatever the limit, the shares are within it and nobody has none`() {
        for fixed in [20, 60, 1_000] {
            for disk in [0, 150, 7_000] {
                for origins in [1, 64, 5_000] {
                    for admin in [4, 272] {
                        let needs = DescriptorBudget.Needs(
                            fixed: fixed, disk: disk, origins: origins, admin: admin)
                        let least = DescriptorBudget.least(needs)
                        #expect(DescriptorBudget(limit: least - 1, needs) == nil)
                        for limit in [least, least + 1, least + 7, least + 100, 2 * least, 100 * least] {
                            guard let budget = DescriptorBudget(limit: limit, needs) else {
                                Issue.record("\(limit) of \(needs)")
                                continue
                            }
                            let shared = budget.clients + budget.regions + budget.origins + budget.admin
                            #expect(shared == limit - fixed - disk)
                            #expect(budget.clients >= 7 && budget.regions >= 0)
                            #expect(budget.isTight || budget.origins == origins && budget.admin == admin)
                            #expect(2 * (budget.clients + budget.regions) >= limit - fixed - disk)
                        }
                    }
                }
            }
        }
    }

    @Test func `copies of descriptors are given as far as there are any`() {
        let allowance = RegionAllowance()
        #expect(allowance.take())
        allowance.give()
        allowance.add(2 - .max)
        #expect([allowance.take(), allowance.take(), allowance.take()] == [true, true, false])
        allowance.give()
        #expect(allowance.take())
        allowance.add(-1)
        allowance.give()
        #expect(!allowance.take())
        allowance.give()
        #expect(allowance.take())
    }

    // MARK: What is said

    @Test func `that accepting stopped is a line, once a minute`() {
        var line = PressureLine()
        let start = SystemClock.monotonic()
        #expect(line.look(.init(), open: 0, limit: 9, at: start) == nil)
        let first = line.look(.init(pauses: 1, ended: 2), open: 8, limit: 9, at: start)
        #expect(first?.contains("8 are open, and 9 may be; accepting stopped 1 times, and 2 ") == true)
        #expect(line.look(.init(pauses: 5, ended: 9), open: 9, limit: 9, at: start + 59_999) == nil)
        let second = line.look(.init(pauses: 5, ended: 9, failures: 3), open: 9, limit: 9, at: start + 60_000)
        #expect(second?.contains("stopped 4 times, and 7 ") == true)
        #expect(second?.contains("no descriptor or no memory for 3") == true)
        #expect(
            line.look(.init(pauses: 5, ended: 9, failures: 3), open: 9, limit: 9, at: start + 200_000) == nil)
    }

    @Test func `those that wait go by how long, and those inside of a head after them`() {
        func rest(_ isInsideHead: Bool, _ milliseconds: Int64) -> HTTP1Connection.Rest {
            .init(isInsideHead: isInsideHead, milliseconds: milliseconds)
        }
        let order = [rest(true, 9_000), rest(false, 1), rest(true, 2_000), rest(false, 50), rest(false, 7)]
            .sorted { $0.goesBefore($1) }
        #expect(order.map(\.milliseconds) == [50, 7, 1, 9_000, 2_000])
    }

    // MARK: A listener at its bound

    private static let script: ScriptedServer.Script = { _ in
        [.response(200, ["Cache-Control: max-age=600"], body: "x")]
    }

    @Test func `at the bound whoever waited longest between requests goes for whoever comes`() async throws {
        try await withNode(script: Self.script, loops: 2) { node, _ in
            node.setBudget(clients: 20)
            var held: [RawClient] = []
            defer { for client in held { client.close() } }
            for _ in 0..<60 {
                let client = try node.connect()
                held.append(client)
                try await client.send("GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n")
                #expect(try await client.response().status == 200)
            }
            #expect(node.connectionCount <= 28)
            // The first ones are gone, the last one goes on.
            #expect(try await held[0].isClosedByPeer())
            let last = try #require(held.last)
            try await last.send("GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n")
            #expect(try await last.response().status == 200)
            #expect(node.node.pressure.ended >= 32)
            #expect(node.node.pressure.pauses > 0)
            #expect(node.node.pressure.limit == 20)
        }
    }

    /// Clients whose request is under way, as far as there are places; the others wait to be accepted.
    private static func busyClients(
        _ count: Int, of places: Int, _ node: TestNode, _ origin: ScriptedServer
    ) async throws -> [RawClient] {
        var clients: [RawClient] = []
        for number in 0..<count {
            let client = try node.connect()
            clients.append(client)
            try await client.send("GET /wait/\(number) HTTP/1.1\r\nHost: a.example\r\n\r\n")
            _ = try await origin.waitForRequests(count: min(number + 1, places))
        }
        return clients
    }

    @Test func `who is being answered is not ended, and accepting goes on when one leaves`() async throws {
        let gate = Gate("answer")
        try await withNode(script: { request in
            request.target.hasPrefix("/wait")
                ? [.wait(gate), .response(200, ["Cache-Control: no-store"], body: "x")]
                : [.response(200, ["Cache-Control: max-age=600"], body: "y")]
        }) { node, origin in
            node.setBudget(clients: 4)
            let busy = try await Self.busyClients(8, of: 4, node, origin)
            defer { for client in busy { client.close() } }
            let late = try node.connect()
            defer { late.close() }
            try await late.send("GET /y HTTP/1.1\r\nHost: a.example\r\n\r\n")
            gate.open()
            for client in busy { #expect(try await client.response().status == 200) }
            #expect(try await late.response().text == "y")
        }
    }

    @Test func `a higher bound lets those in that wait`() async throws {
        let gate = Gate("answer")
        try await withNode(script: { _ in
            [.wait(gate), .response(200, ["Cache-Control: no-store"], body: "x")]
        }) {
            node, origin in
            node.setBudget(clients: 1)
            let clients = try await Self.busyClients(12, of: 1, node, origin)
            defer { for client in clients { client.close() } }
            #expect(node.connectionCount < 12)
            node.setBudget(clients: 100)
            try await node.waitForConnections { $0 == 12 }
            #expect(node.connectionCount == 12)
            gate.open()
            for client in clients { #expect(try await client.response().status == 200) }
        }
    }

    // MARK: Channels that never come to be

    @Test func `a connection that never became active is not counted for ever`() async throws {
        try await withNode(script: Self.script) { node, _ in
            let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
            let loop = group.next()
            let context = try await loop.submit {
                NIOLoopBound(LoopContext(node: node.node, eventLoop: loop), eventLoop: loop)
            }.get()
            let connecting = ClientBootstrap(group: loop).channelInitializer { channel in
                loop.makeCompletedFuture { try node.listener.adopt(channel, context.value) }
            }.connect(host: "127.0.0.1", port: 1)
            await #expect(throws: (any Error).self) { _ = try await connecting.get() }
            try await node.waitForConnections { $0 == 0 }
            #expect(node.connectionCount == 0)
            try await group.shutdownGracefully()
        }
    }

    @Test(arguments: [(EMFILE, true), (ENFILE, true), (ENOBUFS, true), (ENOMEM, true), (ECONNABORTED, false)])
    func `shortages are told from other failures`(code: CInt, isShortage: Bool) {
        #expect(AcceptGuard.isShortage(code) == isShortage)
    }
}
