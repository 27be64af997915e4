import EdgeNode
import EdgeOrigin
import EdgePolicy
import EdgePrimitives
import EdgeServer
import EdgeStore
import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// A whole node, damaged requests from one side or damaged responses from the other.
///
/// After each batch the node has to be as before: a plain request is answered, no fill and no pull is left, connections
/// are gone, and neither memory nor descriptors grow from batch to batch.
public final class WireFuzz: Sendable {
    public struct Limits: Sendable {
        public var threads = 8
        public var batch = 20_000
        /// Beyond what the process held after the first batch, of which the store may still fill its budget.
        public var grownBytes = 96 << 20
        public var grownDescriptors = 400
        /// What a connection may take whose client has said all: everything that can be known is known then.
        public var longestMilliseconds: Int64 = 9_000
        /// Whether lines of responses may begin with white space. libcurl before 8.1.0 works in freed memory for such a
        /// line that it sees first on a handle used before.
        public var foldsLines = true

        public init() {}
    }

    private static let memoryBytes: Int64 = 16 << 20
    private static let settleMilliseconds: Int64 = 30_000

    private let node: Node
    private let listener: Listener
    private let group: MultiThreadedEventLoopGroup
    private let port: Int
    private let origin: FuzzOrigin
    private let seed: UInt64
    private let limits: Limits
    private let recorder: FlightRecorder?
    private let say: @Sendable (String) -> Void
    private let failure = Mutex<FuzzFailure?>(nil)

    private init(
        seed: UInt64, honest: Bool, limits: Limits, recorder: FlightRecorder?,
        say: @escaping @Sendable (String) -> Void
    ) async throws {
        self.seed = seed
        self.limits = limits
        self.recorder = recorder
        self.say = say
        origin = try FuzzOrigin(
            seed: seed, isHonest: honest, foldsLines: limits.foldsLines, recorder: recorder)
        var configuration = NodeConfiguration.forSingleOrigin(url: "http://127.0.0.1:\(origin.port)")
        configuration.cache.memoryBytes = Self.memoryBytes
        configuration.origins["main"]?.connectTimeoutMilliseconds = 1_000
        configuration.origins["main"]?.firstByteTimeoutMilliseconds = 300
        configuration.origins["main"]?.stallTimeoutMilliseconds = 300
        node = Node(
            configuration: configuration, nodeID: Array("fuzz".utf8),
            accessLog: try AccessLog(.off, format: .json))
        node.pulls.start()
        group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        listener = Listener(node: node, group: group)
        port = try await listener.start([ListenAddress(host: "127.0.0.1", port: 0)])[0]
    }

    private func stop() async throws {
        origin.stop()
        await listener.drain(within: 0)
        try await group.shutdownGracefully()
        node.releaseLoops()
        node.pulls.shutdown()
    }

    /// Sends so many damaged requests to a node whose origin answers well.
    public static func requests(
        _ count: Int, seed: UInt64, limits: Limits = Limits(), recorder: FlightRecorder? = nil,
        say: @escaping @Sendable (String) -> Void
    ) async throws {
        let fuzz = try await WireFuzz(seed: seed, honest: true, limits: limits, recorder: recorder, say: say)
        try await fuzz.run("requests", count) { fuzz, batch in
            let sent = Atomic<Int>(0)
            try await fuzz.onThreads { thread in
                var mutator = Mutator(
                    seed: seed &+ UInt64(batch) &* 1_000 &+ UInt64(thread), pieces: Corpus.requestPieces)
                let wanted = min(limits.batch, count)
                while sent.load(ordering: .relaxed) < wanted {
                    sent.wrappingAdd(try fuzz.sendRequests(&mutator, thread), ordering: .relaxed)
                }
            }
            return sent.load(ordering: .relaxed)
        }
    }

    /// Has so many damaged responses sent to a node that is asked well.
    public static func responses(
        _ count: Int, seed: UInt64, limits: Limits = Limits(), recorder: FlightRecorder? = nil,
        say: @escaping @Sendable (String) -> Void
    ) async throws {
        let fuzz = try await WireFuzz(seed: seed, honest: false, limits: limits, recorder: recorder, say: say)
        try await fuzz.run("responses", count) { fuzz, batch in
            let start = fuzz.origin.damagedCount
            try await fuzz.onThreads { thread in
                var random = SeededGenerator(seed: seed &+ UInt64(batch) &* 1_000 &+ UInt64(thread))
                let wanted = min(limits.batch, count)
                while fuzz.origin.damagedCount - start < wanted {
                    try fuzz.ask(batch, &random)
                }
            }
            return fuzz.origin.damagedCount - start
        }
    }

    // MARK: Batches

    private func run(
        _ what: String, _ count: Int, _ batch: (WireFuzz, Int) async throws -> Int
    ) async throws {
        let started = SystemClock.monotonic()
        var done = 0
        var number = 0
        var base: (bytes: Int, descriptors: Int)?
        do {
            while done < count {
                done += try await batch(self, number)
                number += 1
                try await settle(number)
                let (bytes, descriptors) = (Self.residentBytes(), Self.descriptorCount())
                let seconds = Double(SystemClock.monotonic().milliseconds(since: started)) / 1_000
                say(
                    "\(what): \(done) of \(count), \(Int(Double(done) / max(0.001, seconds)))/s, "
                        + "\(bytes >> 20) MiB (\(node.store.memory.snapshot.usedBytes >> 20) stored), "
                        + "\(descriptors) descriptors")
                guard let base else {
                    base = (bytes, descriptors)
                    continue
                }
                if bytes > base.bytes + limits.grownBytes {
                    throw FuzzFailure("memory grew from \(base.bytes >> 20) to \(bytes >> 20) MiB")
                }
                if descriptors > base.descriptors + limits.grownDescriptors {
                    throw FuzzFailure("descriptors grew from \(base.descriptors) to \(descriptors)")
                }
            }
        } catch {
            try? await stop()
            throw error
        }
        try await stop()
    }

    /// Runs `body` on all threads at once, to the first failure or the end.
    private func onThreads(_ body: @escaping @Sendable (Int) throws -> Void) async throws {
        await withTaskGroup { tasks in
            for thread in 0..<limits.threads {
                tasks.addTask { [self] in
                    await withCheckedContinuation { continuation in
                        Wire.thread { [self] in
                            do {
                                try body(thread)
                            } catch {
                                let found = error as? FuzzFailure ?? FuzzFailure("\(error)")
                                failure.withLock { $0 = $0 ?? found }
                            }
                            continuation.resume()
                        }
                    }
                }
            }
        }
        if let failure = failure.withLock({ $0 }) { throw failure }
    }

    /// Waits until nothing is left of a batch, then asks for something plain.
    private func settle(_ batch: Int) async throws {
        let deadline = SystemClock.monotonic() + Self.settleMilliseconds
        while true {
            let left = whatIsLeft()
            if left.isEmpty { break }
            guard SystemClock.monotonic() < deadline else { throw FuzzFailure("stuck: \(left)") }
            try await Task.sleep(for: .milliseconds(5))
        }
        while true {
            let answer = try exchange([
                "GET /good/\(batch) HTTP/1.1\r\nHost: case.test\r\nConnection: close\r\n\r\n"
            ])
            if answer.starts(with: Array("HTTP/1.1 200 ".utf8)) { return }
            guard SystemClock.monotonic() < deadline else {
                throw FuzzFailure("a plain request is not answered any more", answer)
            }
            // After failures of the origin the node may take a while to ask it again.
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    private func whatIsLeft() -> String {
        let servers = node.pulls.snapshot()
        let figures = [
            ("fills", node.fillCount), ("pulls", servers.reduce(0) { $0 + $1.active }),
            ("queued pulls", servers.reduce(0) { $0 + $1.queued }), ("connections", listener.connectionCount),
            ("bytes of fills", Int(node.store.memory.snapshot.fillBytes)),
        ]
        return figures.filter { $0.1 > 0 }.map { "\($0.1) \($0.0)" }.joined(separator: ", ")
    }

    // MARK: Clients

    /// One connection with up to four damaged requests; how many of them the node took notice of.
    private func sendRequests(_ mutator: inout Mutator, _ thread: Int) throws -> Int {
        var bytes: [UInt8] = []
        let count = mutator.below(4) + 1
        for _ in 0..<count { bytes += mutator.damage(mutator.pick(Corpus.requests), with: Corpus.requests) }
        recorder?.note(bytes, slot: thread)
        let descriptor = try Wire.connect(port: port)
        defer {
            Wire.resetAtClose(descriptor)
            close(descriptor)
        }
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = mutator.below(3) == 0 ? mutator.below(rest.count) + 1 : rest.count
            guard Wire.send(Array(rest.prefix(piece)), descriptor) else { break }
            rest = rest.dropFirst(piece)
        }
        // Now and then the client just goes.
        if mutator.below(32) == 0 { return 1 }
        shutdown(descriptor, Int32(SHUT_WR))
        let started = SystemClock.monotonic()
        var answer: [UInt8] = []
        while Wire.receive(descriptor, &answer) {}
        let taken = SystemClock.monotonic().milliseconds(since: started)
        if taken > limits.longestMilliseconds {
            throw FuzzFailure("the connection ended \(taken) ms after all was said", bytes)
        }
        return min(count, max(1, Self.answers(answer)))
    }

    private static let versions = Array("HTTP/1.1 ".utf8)

    /// Status lines in what came, those of interim responses included.
    private static func answers(_ bytes: [UInt8]) -> Int {
        var count = 0
        var index = 0
        while let start = bytes[index...].firstIndex(of: UInt8(ascii: "H")) {
            if bytes[start...].starts(with: versions) { count += 1 }
            index = start + 1
        }
        return count
    }

    /// Some requests on one connection for URLs whose answers are damaged: new ones, known ones, parts, and good ones.
    private func ask(_ batch: Int, _ random: inout SeededGenerator) throws {
        var requests: [String] = []
        for _ in 0..<4 {
            let path = "/bad/\(batch)/\(Int.random(in: 0..<max(1, limits.batch / 4), using: &random))"
            let fields =
                [
                    "", "", "", "Range: bytes=0-3\r\n", "If-None-Match: \"one\"\r\n",
                    "Accept-Encoding: gzip\r\n",
                    "Cookie: a=b\r\n", "TE: trailers\r\n",
                ].randomElement(using: &random) ?? ""
            switch Int.random(in: 0..<16, using: &random) {
            case 0: requests.append("HEAD \(path) HTTP/1.1\r\nHost: case.test\r\n\(fields)\r\n")
            case 1:
                requests.append(
                    "POST \(path) HTTP/1.1\r\nHost: case.test\r\nContent-Length: 2\r\n\(fields)\r\nab")
            case 2:
                requests.append(
                    "GET \(path) HTTP/1.0\r\nHost: case.test\r\nConnection: keep-alive\r\n\(fields)\r\n")
            default: requests.append("GET \(path) HTTP/1.1\r\nHost: case.test\r\n\(fields)\r\n")
            }
        }
        let number = Int.random(in: 0..<1_000_000, using: &random)
        requests.append("GET /good/\(number) HTTP/1.1\r\nHost: case.test\r\nConnection: close\r\n\r\n")
        _ = try exchange(requests)
    }

    /// Sends requests on a connection of their own and reads to its end.
    private func exchange(_ requests: [String]) throws -> [UInt8] {
        let descriptor = try Wire.connect(port: port)
        defer {
            Wire.resetAtClose(descriptor)
            close(descriptor)
        }
        let bytes = Array(requests.joined().utf8)
        guard Wire.send(bytes, descriptor) else { return [] }
        var answer: [UInt8] = []
        while Wire.receive(descriptor, &answer) {}
        if errno == EAGAIN { throw FuzzFailure("the connection does not end", bytes) }
        return answer
    }

    // MARK: The process

    /// Resident memory (`/proc/self/statm`, second figure, in pages).
    private static func residentBytes() -> Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        guard fgets(&line, 256, file) != nil else { return 0 }
        let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let figures = text.split(separator: " ")
        return figures.count > 1 ? (Int(figures[1]) ?? 0) * Int(getpagesize()) : 0
    }

    private static func descriptorCount() -> Int {
        guard let folder = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        return count
    }
}
