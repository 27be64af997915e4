import CCurl
import Glibc
import Testing

@testable import EdgeOrigin

/// One epoll, and sockets whose far ends the test holds.
private final class Sockets {
    let epoll = rockpool_epoll_create()
    var table: SocketTable
    private var open: [Int32] = []

    init() { table = SocketTable(epoll: epoll) }

    deinit {
        for descriptor in open { close(descriptor) }
        close(epoll)
    }

    func pair() throws -> (near: Int32, far: Int32) {
        var ends: [Int32] = [0, 0]
        try #require(
            socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0, &ends) == 0)
        open += ends
        return (ends[0], ends[1])
    }

    func takesEvent(_ descriptor: Int32) -> Bool { table.takesEvent(descriptor) }

    func send(_ descriptor: Int32) throws {
        try #require(write(descriptor, "x", 1) == 1)
    }

    /// What epoll tells now, without waiting.
    func ready() -> [Int32] {
        var descriptors = [Int32](repeating: 0, count: 64)
        var what = [Int32](repeating: 0, count: 64)
        let count = rockpool_epoll_wait(epoll, &descriptors, &what, 64, 0)
        return Array(descriptors.prefix(Int(max(0, count))))
    }
}

struct SocketTableTests {
    @Test func `a connection that is laid by and taken up again is heard without a gap`() throws {
        let sockets = Sockets()
        let (near, far) = try sockets.pair()
        sockets.table.opened(near)
        for _ in 0..<3 {
            sockets.table.watch(near, CURL_POLL_IN)
            #expect(sockets.ready().isEmpty)
            sockets.table.watch(near, CURL_POLL_REMOVE)
        }
        sockets.table.watch(near, CURL_POLL_IN)
        try sockets.send(far)
        #expect(sockets.ready() == [near])
        #expect(sockets.takesEvent(near))
    }

    @Test func `what comes unasked on a connection laid by is told once and kept from libcurl`() throws {
        let sockets = Sockets()
        let (near, far) = try sockets.pair()
        sockets.table.opened(near)
        sockets.table.watch(near, CURL_POLL_IN)
        sockets.table.watch(near, CURL_POLL_REMOVE)
        try sockets.send(far)
        #expect(sockets.ready() == [near])
        #expect(!sockets.takesEvent(near))
        #expect(sockets.ready().isEmpty)
        sockets.table.watch(near, CURL_POLL_IN)
        #expect(sockets.ready() == [near])
        #expect(sockets.takesEvent(near))
    }

    @Test func `a socket with the number of one that was closed is watched anew`() throws {
        let sockets = Sockets()
        let (near, _) = try sockets.pair()
        sockets.table.opened(near)
        sockets.table.watch(near, CURL_POLL_IN)
        sockets.table.watch(near, CURL_POLL_REMOVE)
        sockets.table.closed(near)
        let (other, far) = try sockets.pair()
        // The number is taken from under the process's other threads.
        try #require(dup2(other, near) == near)
        sockets.table.opened(near)
        sockets.table.watch(near, CURL_POLL_IN)
        try sockets.send(far)
        #expect(sockets.ready().contains(near))
    }

    @Test func `libcurl's inner sockets are watched as it says, and may come again unseen`() throws {
        let sockets = Sockets()
        let (near, far) = try sockets.pair()
        sockets.table.watch(near, CURL_POLL_IN)
        try sockets.send(far)
        #expect(sockets.ready() == [near])
        sockets.table.watch(near, CURL_POLL_REMOVE)
        #expect(sockets.ready().isEmpty)
        sockets.table.watch(near, CURL_POLL_IN)
        let (other, otherFar) = try sockets.pair()
        try #require(dup2(other, near) == near)
        #expect(sockets.ready().isEmpty)
        sockets.table.watch(near, CURL_POLL_IN)
        try sockets.send(otherFar)
        #expect(sockets.ready().contains(near))
    }

    @Test func `writing and reading are watched as asked`() throws {
        let sockets = Sockets()
        let (near, far) = try sockets.pair()
        sockets.table.opened(near)
        sockets.table.watch(near, CURL_POLL_OUT)
        #expect(sockets.ready() == [near])
        sockets.table.watch(near, CURL_POLL_IN)
        #expect(sockets.ready().isEmpty)
        sockets.table.watch(near, CURL_POLL_INOUT)
        #expect(sockets.ready() == [near])
        sockets.table.watch(near, CURL_POLL_REMOVE)
        #expect(sockets.ready().isEmpty)
        try sockets.send(far)
        #expect(sockets.ready().isEmpty)
    }
}
