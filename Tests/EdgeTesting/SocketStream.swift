import Foundation
import Glibc
import Synchronization

/// A connected socket with a read buffer; every call blocks its thread, at most until a deadline.
// Sendable because one thread at a time drives it; `shutDown` is the one call for others.
final class SocketStream: @unchecked Sendable {
    private let descriptor: Int32
    private(set) var buffer: [UInt8] = []
    private(set) var isAtEnd = false
    private let isClosed = Mutex(false)

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        var on: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<Int32>.size))
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    }

    deinit { close() }

    static func connect(port: Int, receiveBufferBytes: Int32?) throws -> SocketStream {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw TestFailure("socket: \(errno)") }
        if var size = receiveBufferBytes {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        let result = withLoopback(port: port) { Glibc.connect(descriptor, $0, $1) }
        guard result == 0 else {
            Glibc.close(descriptor)
            throw TestFailure("connecting to port \(port): errno \(errno)")
        }
        return SocketStream(descriptor)
    }

    static func withLoopback<Result>(
        _ text: String = "127.0.0.1", port: Int, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr(text)
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    /// Reads what there is; false at the end of the stream. A reset throws ``ConnectionReset``.
    func readMore(until deadline: Deadline) throws -> Bool {
        if isAtEnd { return false }
        var piece = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = recv(descriptor, &piece, piece.count, 0)
            if count > 0 {
                buffer.append(contentsOf: piece[..<count])
                return true
            }
            if count == 0 {
                isAtEnd = true
                return false
            }
            switch errno {
            case EAGAIN: try waitFor(Int16(POLLIN), "bytes", deadline)
            case EINTR: continue
            default:
                isAtEnd = true
                throw ConnectionReset()
            }
        }
    }

    func take(_ count: Int) -> [UInt8] {
        let bytes = Array(buffer[..<count])
        buffer.removeFirst(count)
        return bytes
    }

    func read(exactly count: Int, until deadline: Deadline) throws -> [UInt8] {
        while buffer.count < count {
            guard try readMore(until: deadline) else {
                throw TestFailure("the connection ended after \(buffer.count) of \(count) bytes")
            }
        }
        return take(count)
    }

    func readToEnd(until deadline: Deadline) throws -> [UInt8] {
        while try readMore(until: deadline) {}
        return take(buffer.count)
    }

    /// A line without its CRLF.
    func readLine(until deadline: Deadline) throws -> [UInt8] {
        let line = try read(through: Array("\r\n".utf8), until: deadline)
        return line.dropLast(2)
    }

    func read(through end: [UInt8], until deadline: Deadline) throws -> [UInt8] {
        var searched = 0
        while true {
            if buffer.count >= end.count {
                for index in searched...(buffer.count - end.count)
                where buffer[index..<index + end.count].elementsEqual(end) {
                    return take(index + end.count)
                }
                searched = buffer.count - end.count + 1
            }
            guard try readMore(until: deadline) else {
                let seen = String(decoding: buffer.prefix(300), as: UTF8.self)
                throw TestFailure("the connection ended inside a head or line: \(seen.debugDescription)")
            }
        }
    }

    func write(_ bytes: [UInt8], until deadline: Deadline) throws {
        guard try write(bytes, stallingAfter: deadline) == bytes.count else {
            throw TestFailure("the peer took no more bytes")
        }
    }

    /// Writes until all is taken, or nothing has been for as long as `stall` says; answers how much was.
    func write(_ bytes: [UInt8], stallingAfter stall: Deadline) throws -> Int {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count >= 0 {
                sent += count
            } else if errno == EAGAIN {
                guard isReady(Int16(POLLOUT), stall) else { return sent }
            } else if errno != EINTR {
                throw ConnectionReset()
            }
        }
        return sent
    }

    func shutDownWriting() { Glibc.shutdown(descriptor, Int32(SHUT_WR)) }

    /// Ends both directions; a thread blocked on this socket goes on with an end of stream.
    func shutDown() {
        // Once it is closed, the number may be another's.
        isClosed.withLock { if !$0 { Glibc.shutdown(descriptor, Int32(SHUT_RDWR)) } }
    }

    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close()
    }

    func close() {
        isClosed.withLock { isClosed in
            if !isClosed { Glibc.close(descriptor) }
            isClosed = true
        }
    }

    private func waitFor(_ events: Int16, _ what: String, _ deadline: Deadline) throws {
        guard isReady(events, deadline) else {
            let seen = String(decoding: buffer.prefix(300), as: UTF8.self)
            throw TestFailure("waited in vain for \(what); unread so far: \(seen.debugDescription)")
        }
    }

    private func isReady(_ events: Int16, _ deadline: Deadline) -> Bool {
        var entry = pollfd(fd: descriptor, events: events, revents: 0)
        while true {
            let count = poll(&entry, 1, deadline.milliseconds)
            if count > 0 { return true }
            if count == 0 || errno != EINTR { return false }
        }
    }
}

/// The peer reset the connection.
public struct ConnectionReset: Error, CustomStringConvertible {
    public let description = "the connection was reset"
}
