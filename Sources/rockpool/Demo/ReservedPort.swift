import Glibc

/// A free TCP port of 127.0.0.1, kept for its owner by a socket that is bound to it and never listens.
///
/// A listener with SO_REUSEADDR may come and go on the port. While there is none, connecting is refused, no other
/// program gets the port, and the kernel never picks it as the source port of a connection: without this, a client
/// that keeps trying the closed port would sooner or later connect to itself.
final class ReservedPort: Sendable {
    let number: Int
    private let descriptor: CInt

    struct Failure: Error {
        let errno: CInt
    }

    init() throws {
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Failure(errno: errno) }
        var on: CInt = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<CInt>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 ? getsockname(descriptor, $0, &length) : -1
            }
        }
        guard result == 0 else {
            let code = errno
            close(descriptor)
            throw Failure(errno: code)
        }
        self.descriptor = descriptor
        number = Int(UInt16(bigEndian: address.sin_port))
    }

    deinit { close(descriptor) }
}
