import Foundation
import Glibc

/// An origin that does what a script says, to the byte: over plain sockets, on threads of its own.
///
/// Every request is recorded with its raw head before the script for it runs.
public final class ScriptedServer: Sendable {
    public typealias Script = @Sendable (RecordedRequest) -> [ScriptStep]

    private struct State {
        var requests: [RecordedRequest] = []
        /// Requests whose script has run to its end.
        var answered = 0
        var failures: [String] = []
        var connections: [Int: SocketStream] = [:]
        var accepted = 0
        var listener: Int32 = -1
        var isStopped = false
    }

    public let port: Int
    private let address: String
    /// Holds the port while nothing listens on it.
    private let reservation: Int32
    private let state = Watched(State())
    private let script: Watched<Script>
    private let readsBodies: Bool

    /// - Parameters:
    ///   - address: one of the loopback's.
    ///   - port: that of a server at another address; 0: any that is free.
    ///   - readsBodies: whether a request's content is read before its script runs.
    public init(
        address: String = "127.0.0.1", port: Int = 0, readsBodies: Bool = true, _ script: @escaping Script
    ) throws {
        self.address = address
        self.readsBodies = readsBodies
        self.script = Watched(script)
        (reservation, self.port) = try Self.bind(address, port: port)
        try listen()
    }

    /// The base URL of the server.
    public var url: String { "http://\(address):\(port)" }

    deinit {
        stop()
        close(reservation)
    }

    /// Answers from now on as `script` says.
    public func answer(_ script: @escaping Script) { self.script.change { $0 = script } }

    // MARK: What came

    public var requests: [RecordedRequest] { state.change { $0.requests } }
    public var requestCount: Int { state.change { $0.requests.count } }
    public var isRefusing: Bool { state.change { $0.listener < 0 } }
    public var connectionCount: Int { state.change { $0.accepted } }
    /// What scripts could not do.
    public var failures: [String] { state.change { $0.failures } }

    /// Waits until that many requests have come in all; answers them.
    @discardableResult
    public func waitForRequests(count: Int) async throws -> [RecordedRequest] {
        try await wait("\(count) requests") { $0.requests.count >= count }
        return requests
    }

    /// Waits until that many scripts have ended.
    public func waitForAnswers(count: Int) async throws {
        try await wait("\(count) answers") { $0.answered >= count }
    }

    /// Waits until no connection is open.
    public func waitForNoConnection() async throws {
        try await wait("the end of every connection") { $0.connections.isEmpty }
    }

    private func wait(_ what: String, _ isMet: @escaping @Sendable (State) -> Bool) async throws {
        let isInTime = try await onThread { self.state.block(until: .standard, isMet) }
        if !isInTime {
            throw TestFailure("the origin waited in vain for \(what); requests: \(requests.map(\.head))")
        }
    }

    // MARK: Coming and going

    /// Refuses connections from now on, and ends those there are.
    public func refuseConnections() {
        let open = state.change { state in
            // Its thread closes it: closed here, the number could be another server's by the time that thread accepts.
            if state.listener >= 0 { shutdown(state.listener, Int32(SHUT_RDWR)) }
            state.listener = -1
            return Array(state.connections.values)
        }
        for connection in open { connection.shutDown() }
    }

    /// Listens again, on the same port.
    public func acceptConnections() throws { try listen() }

    public func stop() {
        state.change { $0.isStopped = true }
        refuseConnections()
    }

    private static func bind(_ text: String, port: Int) throws -> (Int32, Int) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var on: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
        guard SocketStream.withLoopback(text, port: port, { Glibc.bind(descriptor, $0, $1) }) == 0 else {
            throw TestFailure("bind: errno \(errno)")
        }
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        return (descriptor, Int(in_port_t(bigEndian: address.sin_port)))
    }

    private func listen() throws {
        let (descriptor, _) = try Self.bind(address, port: port)
        guard Glibc.listen(descriptor, 512) == 0 else { throw TestFailure("listen: errno \(errno)") }
        state.change { $0.listener = descriptor }
        // The thread holds the parts, not the server, so that a forgotten server still ends.
        let run = connectionRunner
        let state = state
        Thread.detachNewThread {
            while true {
                let accepted = accept(descriptor, nil, nil)
                if accepted < 0 {
                    if errno == EINTR || errno == ECONNABORTED { continue }
                    state.change { state in
                        if state.listener == descriptor { state.listener = -1 }
                        close(descriptor)
                    }
                    return
                }
                let stream = SocketStream(accepted)
                let number: Int? = state.change { state in
                    guard state.listener == descriptor, !state.isStopped else { return nil }
                    defer { state.accepted += 1 }
                    state.connections[state.accepted] = stream
                    return state.accepted
                }
                guard let number else { continue }
                Thread.detachNewThread { run(stream, number) }
            }
        }
    }

    // MARK: One connection

    private var connectionRunner: @Sendable (SocketStream, Int) -> Void {
        let state = state
        let script = script
        let readsBodies = readsBodies
        return { stream, number in
            do {
                var position = 0
                while let head = try Self.readHead(stream) {
                    var request = try RecordedRequest(head: head, connection: number, position: position)
                    if readsBodies { try Self.readBody(of: &request, stream) }
                    request.number = state.change { state in
                        var numbered = request
                        numbered.number = state.requests.count
                        state.requests.append(numbered)
                        return numbered.number
                    }
                    let goesOn = try Self.run(script.current(request), &request, stream) { read in
                        state.change { $0.requests[read.number] = read }
                    }
                    state.change { $0.answered += 1 }
                    guard goesOn else { break }
                    position += 1
                }
            } catch is ConnectionReset {
            } catch {
                state.change { $0.failures.append("\(error)") }
            }
            state.change { $0.connections[number] = nil }
            stream.close()
        }
    }

    /// The next head; nil where the peer ends the connection between requests.
    private static func readHead(_ stream: SocketStream) throws -> [UInt8]? {
        // An idle connection may stay so for as long as the server does.
        let deadline = Deadline(milliseconds: 120_000)
        if stream.buffer.isEmpty {
            guard try stream.readMore(until: deadline) else { return nil }
        }
        return try stream.read(through: Array("\r\n\r\n".utf8), until: deadline)
    }

    private static func readBody(of request: inout RecordedRequest, _ stream: SocketStream) throws {
        let deadline = Deadline(milliseconds: 30_000)
        if request.fields["Transfer-Encoding"] != nil {
            (request.body, request.trailers) = try ChunkedBody.read(stream, until: deadline)
        } else if let length = request.fields["Content-Length"].flatMap({ Int($0) }) {
            request.body = try stream.read(exactly: length, until: deadline)
        }
    }

    /// Runs one script; false where the connection is over.
    private static func run(
        _ steps: [ScriptStep], _ request: inout RecordedRequest, _ stream: SocketStream,
        bodyRead: (RecordedRequest) -> Void
    ) throws -> Bool {
        for step in steps {
            switch step {
            case .send(let bytes): try stream.write(bytes, until: Deadline(milliseconds: 30_000))
            case .wait(let gate): try gate.pass()
            case .reach(let mark): mark.change { $0 = true }
            case .readBody:
                try readBody(of: &request, stream)
                bodyRead(request)
            case .close: return false
            case .halfClose:
                stream.shutDownWriting()
                while try stream.readMore(until: Deadline(milliseconds: 60_000)) {}
                return false
            case .reset:
                stream.reset()
                return false
            case .hang:
                while try stream.readMore(until: Deadline(milliseconds: 60_000)) {}
                return false
            }
        }
        return true
    }
}
