import EdgeNode
import EdgeStore
import EdgeTesting
import Foundation
import Glibc
import Synchronization
import Testing

/// A node with a disk tier: what outlives memory and the process, and what a disk that fails may cost.
@Suite(.wholeNodes) struct DiskScenarioTests {
    private static let cacheable = ["Cache-Control: max-age=3600", "ETag: \"v1\""]

    private static func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "disk-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        try await body(folder.path)
    }

    /// A body of `count` bytes that tell where they are.
    private static func content(_ count: Int) -> String {
        var bytes = [UInt8](repeating: 0, count: count)
        for index in 0..<count { bytes[index] = 97 + UInt8((index / 7 + index / 1013) % 26) }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func configure(
        memory: Int64 = 64 << 20, disk: Int64 = 64 << 20
    ) -> (inout NodeConfiguration) -> Void {
        {
            $0.cache.memoryBytes = memory
            $0.cache.diskBytes = disk
        }
    }

    private static func flush(_ node: TestNode) async throws {
        let disk = try #require(node.node.store.disk)
        await Task.detached { disk.flush() }.value
    }

    @Test(arguments: [0, 10, 16_384, 16_385, 100_000, 1 << 20, 3_000_000])
    func `a response outlives the process, without the origin`(count: Int) async throws {
        let body = Self.content(count)
        try await Self.withFolder { folder in
            try await withNode(
                script: { _ in [.response(200, Self.cacheable, body: body)] },
                volume: try POSIXVolume(directory: folder), configure: Self.configure()
            ) { node, _ in
                #expect(try await node.fetch("GET", "/r").text == body)
                try await Self.flush(node)
            }
            try await withNode(
                script: { _ in [.reset] }, volume: try POSIXVolume(directory: folder),
                configure: Self.configure()
            ) { node, origin in
                #expect(node.node.store.disk?.recovery.responses == 1)
                for _ in 0..<4 {
                    let response = try await node.fetch("GET", "/r")
                    #expect(response.status == 200)
                    #expect(response.text == body)
                    #expect(response.cacheStatus?.hasPrefix("rockpool; hit") == true)
                    #expect(response.fields["ETag"] == "\"v1\"")
                }
                if count > 10 {
                    let part = try await node.fetch("GET", "/r", ["Range: bytes=5-9"])
                    #expect(part.status == 206)
                    #expect(part.text == String(body.dropFirst(5).prefix(5)))
                }
                #expect(try await node.fetch("HEAD", "/r").fields["Content-Length"] == "\(count)")
                #expect(origin.requestCount == 0)
            }
        }
    }

    @Test(arguments: [0, 1]) func `a body comes from the disk whole where no descriptor is left for it`(
        regions: Int
    ) async throws {
        let body = Self.content(3_000_000)
        try await Self.withFolder { folder in
            for life in 0..<2 {
                try await withNode(
                    script: { _ in [life == 0 ? .response(200, Self.cacheable, body: body) : .reset] },
                    volume: try POSIXVolume(directory: folder), configure: Self.configure()
                ) { node, _ in
                    node.setBudget(clients: 100, regions: regions)
                    for _ in 0..<3 { #expect(try await node.fetch("GET", "/r").text == body) }
                    try await Self.flush(node)
                }
            }
        }
    }

    @Test func `variants outlive the process each under its own key`() async throws {
        try await Self.withFolder { folder in
            let script: ScriptedServer.Script = { request in
                let language = request.fields["Accept-Language"] ?? "none"
                return [.response(200, Self.cacheable + ["Vary: Accept-Language"], body: "in \(language)")]
            }
            for round in 0..<2 {
                try await withNode(
                    script: script, volume: try POSIXVolume(directory: folder), configure: Self.configure()
                ) { node, origin in
                    for language in ["de", "fr", "en"] {
                        let response = try await node.fetch("GET", "/r", ["Accept-Language: \(language)"])
                        #expect(response.text == "in \(language)")
                    }
                    #expect(origin.requestCount == (round == 0 ? 3 : 0))
                    try await Self.flush(node)
                }
            }
        }
    }

    @Test func `what was invalidated does not come back`() async throws {
        try await Self.withFolder { folder in
            try await withNode(
                script: { [.response(200, Self.cacheable, body: "\($0.method) \($0.number)")] },
                volume: try POSIXVolume(directory: folder), configure: Self.configure()
            ) { node, _ in
                #expect(try await node.fetch("GET", "/r").text == "GET 0")
                try await Self.flush(node)
                _ = try await node.fetch("POST", "/r", body: "x")
                try await Self.flush(node)
            }
            try await withNode(
                script: { _ in [.response(200, Self.cacheable, body: "new")] },
                volume: try POSIXVolume(directory: folder), configure: Self.configure()
            ) { node, _ in
                let response = try await node.fetch("GET", "/r")
                #expect(response.text == "new")
            }
        }
    }

    @Test func `a validation after a restart freshens what is on disk`() async throws {
        let body = Self.content(200_000)
        try await Self.withFolder { folder in
            let script: ScriptedServer.Script = { request in
                request.fields["If-None-Match"] == "\"v1\""
                    ? [.response(304, ["Cache-Control: max-age=3600", "ETag: \"v1\"", "X-Round: 2"])]
                    : [.response(200, ["Cache-Control: max-age=0", "ETag: \"v1\""], body: body)]
            }
            for round in 0..<3 {
                try await withNode(
                    script: script, volume: try POSIXVolume(directory: folder), configure: Self.configure()
                ) { node, origin in
                    let response = try await node.fetch("GET", "/r")
                    #expect(response.text == body)
                    #expect(response.fields["X-Round"] == (round == 0 ? nil : "2"))
                    #expect(origin.requestCount == (round == 2 ? 0 : 1))
                    try await Self.flush(node)
                }
            }
        }
    }

    @Test func `a body beyond the memory budget is served from disk, whole and in parts`() async throws {
        let body = Self.content(24 << 20)
        try await Self.withFolder { folder in
            try await withNode(
                script: { _ in [.response(200, Self.cacheable, body: body)] },
                volume: try POSIXVolume(directory: folder),
                configure: Self.configure(memory: 16 << 20, disk: 256 << 20)
            ) { node, origin in
                let clients = try (0..<3).map { _ in try node.connect() }
                for client in clients { try await client.send(RawClient.request("GET", "/r")) }
                for client in clients { #expect(try await client.response().text == body) }
                let hit = try await node.fetch("GET", "/r")
                #expect(hit.cacheStatus?.hasPrefix("rockpool; hit") == true)
                #expect(hit.text == body)
                let part = try await node.fetch("GET", "/r", ["Range: bytes=20000000-20000099"])
                #expect(part.text == String(body.dropFirst(20_000_000).prefix(100)))
                #expect(origin.requestCount == 1)
                #expect(node.node.store.memory.snapshot.usedBytes < 1 << 20)
            }
        }
    }

    @Test func `parts of a large body are kept as blocks and completed`() async throws {
        let body = Self.content(3_000_000)
        let script: ScriptedServer.Script = { request in
            guard let range = request.fields["Range"]?.dropFirst(6).split(separator: "-"), range.count == 2,
                let first = Int(range[0]), let last = Int(range[1])
            else { return [.response(200, Self.cacheable, body: body)] }
            let end = min(last, body.utf8.count - 1)
            return [
                .response(
                    206, Self.cacheable + ["Content-Range: bytes \(first)-\(end)/\(body.utf8.count)"],
                    body: String(decoding: Array(body.utf8)[first...end], as: UTF8.self))
            ]
        }
        try await Self.withFolder { folder in
            try await withNode(
                script: script, volume: try POSIXVolume(directory: folder), configure: Self.configure()
            ) { node, _ in
                _ = try await node.fetch("GET", "/r", ["Range: bytes=1500000-1500009"])
                try await Self.flush(node)
            }
            try await withNode(
                script: script, volume: try POSIXVolume(directory: folder), configure: Self.configure()
            ) { node, origin in
                let hit = try await node.fetch("GET", "/r", ["Range: bytes=1600000-1600009"])
                #expect(hit.text == String(body.dropFirst(1_600_000).prefix(10)))
                #expect(origin.requestCount == 0)
                #expect(try await node.fetch("GET", "/r").text == body)
                #expect(
                    origin.requests.map { $0.fields["Range"] } == [
                        "bytes=0-1048575", "bytes=2097152-2999999",
                    ])
            }
        }
    }

    // MARK: A disk that fails

    /// A volume whose operations fail while told to.
    private final class FailingVolume: DiskVolume {
        let inner: any DiskVolume
        let code = Atomic<Int32>(0)
        /// Every operation on a file waits for it, while there is one.
        let stuck = Mutex<Gate?>(nil)

        init(_ inner: any DiskVolume) { self.inner = inner }

        func wait() { try? stuck.withLock { $0 }?.pass() }

        func check(_ operation: DiskError.Operation) throws(DiskError) {
            wait()
            let code = code.load(ordering: .relaxed)
            if code != 0 { throw DiskError(operation, "simulated", code) }
        }

        func list() throws(DiskError) -> [String] { try inner.list() }
        func open(_ name: String, create: Bool) throws(DiskError) -> any DiskFile {
            try check(create ? .create : .open)
            return FailingFile(try inner.open(name, create: create), self)
        }
        func remove(_ name: String) throws(DiskError) { try inner.remove(name) }
        func rename(_ name: String, to newName: String) throws(DiskError) {
            try inner.rename(name, to: newName)
        }
        func syncDirectory() throws(DiskError) { try inner.syncDirectory() }
    }

    private final class FailingFile: DiskFile {
        let inner: any DiskFile
        let volume: FailingVolume

        init(_ inner: any DiskFile, _ volume: FailingVolume) {
            self.inner = inner
            self.volume = volume
        }

        func write(_ parts: [UnsafeRawBufferPointer], at offset: Int64) throws(DiskError) {
            try volume.check(.write)
            try inner.write(parts, at: offset)
        }
        func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(DiskError) -> Int {
            volume.wait()
            return try inner.read(into: buffer, at: offset)
        }
        func reserve(_ bytes: Int64) throws(DiskError) { try inner.reserve(bytes) }
        func size() throws(DiskError) -> Int64 { try inner.size() }
        func sync() throws(DiskError) { try inner.sync() }
        var descriptor: CInt? { inner.descriptor }
    }

    @Test(arguments: [ENOSPC, EIO, EROFS])
    func `a disk that fails costs no request anything, and comes back by itself`(code: Int32) async throws {
        try await Self.withFolder { folder in
            let volume = FailingVolume(try POSIXVolume(directory: folder))
            try await withNode(
                script: { [.response(200, Self.cacheable, body: "body of \($0.target)")] }, volume: volume,
                configure: Self.configure()
            ) { node, origin in
                let disk = try #require(node.node.store.disk)
                #expect(try await node.fetch("GET", "/before").text == "body of /before")
                try await Self.flush(node)
                volume.code.store(code, ordering: .relaxed)
                for number in 0..<5 {
                    #expect(try await node.fetch("GET", "/\(number)").text == "body of /\(number)")
                    try await Self.flush(node)
                    #expect(try await node.fetch("GET", "/\(number)").cacheStatus?.contains("hit") == true)
                }
                guard case .failing(let why) = disk.snapshot.health else {
                    Issue.record("the disk is said to be well")
                    return
                }
                #expect(why.contains("simulated"))
                #expect(try await node.fetch("GET", "/before").cacheStatus?.contains("hit") == true)

                volume.code.store(0, ordering: .relaxed)
                let limit = Deadline(milliseconds: 20_000)
                while disk.snapshot.health != .good, !limit.isOver {
                    disk.retry()
                    try await Task.sleep(for: .milliseconds(20))
                }
                #expect(disk.snapshot.health == .good)
                let written = disk.snapshot.insertions
                _ = try await node.fetch("GET", "/after")
                try await Self.flush(node)
                #expect(disk.snapshot.insertions == written + 1)
            }
        }
    }

    @Test func `a disk that hangs holds nobody up`() async throws {
        try await Self.withFolder { folder in
            let volume = FailingVolume(try POSIXVolume(directory: folder))
            let gate = Gate("the disk")
            defer { gate.open() }
            try await withNode(
                script: { [.response(200, Self.cacheable, body: "\($0.target) \($0.number)")] },
                volume: volume,
                configure: Self.configure()
            ) { node, origin in
                #expect(try await node.fetch("GET", "/stored").text == "/stored 0")
                try await Self.flush(node)
                node.node.store.memory.removeAll()
                volume.stuck.withLock { $0 = gate }
                for number in 1...10 {
                    let miss = try await node.fetch("GET", "/\(number)")
                    #expect(miss.text == "/\(number) \(number)")
                    #expect(try await node.fetch("GET", "/\(number)").cacheStatus?.contains("hit") == true)
                }
                // What only the disk has is pulled again when the disk does not answer.
                let slow = try await node.fetch("GET", "/stored")
                #expect(slow.text == "/stored 11")
                guard case .good = try #require(node.node.store.disk).snapshot.health else {
                    Issue.record("a disk that hangs has not failed")
                    return
                }
                volume.stuck.withLock { $0 = nil }
                gate.open()
                try await Self.flush(node)
            }
        }
    }
}
