import EdgeTesting
import Foundation
import Glibc

/// An origin that answers every request at once with `fine` and counts open connections, on one thread: the
/// end of a connection that came before another's beginning is counted before it.
final class CountingOrigin: Sendable {
    struct Counts: Sendable {
        var open = 0
        var mostOpen = 0
        var accepted = 0
        var requests = 0
        /// Requests for `/hold` that wait for the gate to open.
        var held = 0
        var isReleased = false
    }

    let port: Int
    let counts = Watched(Counts())
    private let listener: Int32
    private let isStopped = Watched(false)

    var url: String { "http://127.0.0.1:\(port)" }

    init() throws {
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = listener
        let isListening = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && listen(descriptor, 512) == 0
                    && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard isListening else { throw TestFailure("listen: errno \(errno)") }
        port = Int(in_port_t(bigEndian: address.sin_port))
        let counts = counts
        let isStopped = isStopped
        Thread.detachNewThread {
            var server = Server(listener: descriptor, counts: counts)
            while !isStopped.current { server.turn() }
            server.closeAll()
        }
    }

    /// Answers what is held.
    func release() { counts.change { $0.isReleased = true } }

    func stop() { isStopped.change { $0 = true } }

    private struct Server {
        let listener: Int32
        let counts: Watched<Counts>
        /// What came and is not answered yet, by connection.
        var pending: [Int32: [UInt8]] = [:]
        var held: Set<Int32> = []

        init(listener: Int32, counts: Watched<Counts>) {
            self.listener = listener
            self.counts = counts
        }

        mutating func turn() {
            var entries = ([listener] + pending.keys).map {
                pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
            }
            poll(&entries, nfds_t(entries.count), 10)
            // Ends that are there now came before the connection that is accepted next.
            let begins = entries[0].revents != 0
            for descriptor in Array(pending.keys) { read(descriptor) }
            if begins { begin() }
            if counts.current.isReleased {
                for descriptor in held { answer(descriptor) }
                held = []
            }
        }

        private mutating func begin() {
            let descriptor = accept(listener, nil, nil)
            guard descriptor >= 0 else { return }
            // The end of another may be on its way through the kernel of a busy machine, though it was sent before.
            var others = pending.keys.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            poll(&others, nfds_t(others.count), 2)
            for other in Array(pending.keys) { read(other) }
            pending[descriptor] = []
            counts.change { counts in
                counts.accepted += 1
                counts.open += 1
                counts.mostOpen = max(counts.mostOpen, counts.open)
            }
        }

        private mutating func read(_ descriptor: Int32) {
            var piece = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = recv(descriptor, &piece, piece.count, Int32(MSG_DONTWAIT))
                if count > 0 {
                    pending[descriptor, default: []] += piece[..<count]
                    continue
                }
                if count < 0, errno == EAGAIN || errno == EINTR { break }
                end(descriptor)
                return
            }
            let text = String(decoding: pending[descriptor] ?? [], as: UTF8.self)
            // Content here is one byte, or none.
            let hasContent = text.hasPrefix("POST") || text.hasPrefix("PUT")
            guard text.hasSuffix("\r\n\r\n") && !hasContent || text.hasSuffix("\r\n\r\nx") else { return }
            pending[descriptor] = []
            counts.change { $0.requests += 1 }
            if text.contains(" /hold "), !counts.current.isReleased {
                held.insert(descriptor)
                counts.change { $0.held += 1 }
            } else {
                answer(descriptor)
            }
        }

        private func answer(_ descriptor: Int32) {
            let text = Array("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine".utf8)
            _ = send(descriptor, text, text.count, Int32(MSG_NOSIGNAL))
        }

        private mutating func end(_ descriptor: Int32) {
            pending[descriptor] = nil
            held.remove(descriptor)
            Glibc.close(descriptor)
            counts.change { $0.open -= 1 }
        }

        mutating func closeAll() {
            for descriptor in pending.keys { Glibc.close(descriptor) }
            Glibc.close(listener)
        }
    }
}
