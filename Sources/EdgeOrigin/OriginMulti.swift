import CCurl
import EdgePrimitives

/// libcurl's multi handle of one origin, so that its connections, used and idle, are bounded by themselves:
/// libcurl closes the oldest idle one before it opens one too many. The pull thread's own.
final class OriginMulti {
    /// How often idle connections are looked at where no pull makes libcurl do so.
    private static let longestSweepSeconds: Int64 = 5

    let handle = curl_multi_init()
    unowned let loop: PullLoop
    /// When libcurl wants to be called whatever happens.
    private(set) var deadline: MonotonicTime?
    /// libcurl was called since its messages were last read.
    private(set) var hasNews = false
    /// Handles that are in it.
    private(set) var attached = 0
    /// By `host:port`, which answer for the name libcurl has: each multi handle has a cache of its own.
    var toldNames: [String: Int] = [:]
    private var connections: Set<Int32> = []
    private var limit = 0
    private var idleSeconds: Int64 = 0
    private var lastLook = MonotonicTime(nanoseconds: 0)
    private var sweeper: UnsafeMutableRawPointer?
    private var isSweeping = false

    init(loop: PullLoop) {
        self.loop = loop
        let user = Unmanaged.passUnretained(self).toOpaque()
        _ = rockpool_multi_socket(handle, CurlCallbacks.socket, user)
        _ = rockpool_multi_timer(handle, CurlCallbacks.timer, user)
    }

    /// Ends it and its connections; nothing may be in it any more.
    func close() {
        if let sweeper {
            curl_multi_remove_handle(handle, sweeper)
            curl_easy_cleanup(sweeper)
        }
        curl_multi_cleanup(handle)
    }

    // MARK: Transfers

    /// Adds a handle for a pull from an origin with that configuration.
    func add(_ easy: UnsafeMutableRawPointer, _ origin: OriginConfiguration, now: MonotonicTime) {
        attached += 1
        // A check is outside of what pulls may have together, and must never wait in libcurl for a place.
        setLimit(max(origin.maxConnections, attached))
        idleSeconds = Int64(origin.idleConnectionSeconds)
        lastLook = now
        curl_multi_add_handle(handle, easy)
    }

    func remove(_ easy: UnsafeMutableRawPointer) {
        attached -= 1
        curl_multi_remove_handle(handle, easy)
    }

    private func setLimit(_ connections: Int) {
        guard limit != connections else { return }
        limit = connections
        _ = rockpool_multi_long(handle, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections)
        _ = rockpool_multi_long(handle, CURLMOPT_MAXCONNECTS, connections)
    }

    // MARK: Calling libcurl

    func setTimer(_ milliseconds: Int) {
        deadline = milliseconds < 0 ? nil : PullLoop.now() + Int64(milliseconds)
    }

    func act(on descriptor: Int32, _ ready: Int32) {
        var running: Int32 = 0
        hasNews = true
        curl_multi_socket_action(handle, descriptor, ready, &running)
    }

    /// Calls libcurl where its time has come.
    func runTimer(_ now: MonotonicTime) {
        guard let deadline, deadline <= now else { return }
        self.deadline = nil
        act(on: curl_socket_t(-1), 0)
    }

    /// The next pull that libcurl is done with, and how it ended.
    func nextEnd() -> (transfer: PullTransfer, result: CURLcode)? {
        hasNews = false
        var left: Int32 = 0
        while let message = curl_multi_info_read(handle, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle else {
                continue
            }
            let result = rockpool_message_result(message)
            if easy == sweeper {
                curl_multi_remove_handle(handle, easy)
                isSweeping = false
                continue
            }
            var user: UnsafeMutableRawPointer?
            _ = rockpool_getinfo_pointer(easy, CURLINFO_PRIVATE, &user)
            guard let user else { continue }
            return (Unmanaged<PullTransfer>.fromOpaque(user).takeUnretainedValue(), result)
        }
        return nil
    }

    // MARK: Connections

    func opened(_ descriptor: Int32) { connections.insert(descriptor) }
    func closed(_ descriptor: Int32) { connections.remove(descriptor) }

    /// Has connections closed that were idle for too long, or whose far end is closed.
    ///
    /// libcurl looks for such ones only when it is about to take or make one. Where no pull makes it, a
    /// handle does that never gets a socket.
    func sweep(_ now: MonotonicTime) {
        let interval = 1_000 * min(Self.longestSweepSeconds, max(1, idleSeconds))
        guard connections.count > attached, !isSweeping, now.milliseconds(since: lastLook) >= interval else {
            return
        }
        lastLook = now
        guard let easy = sweeper ?? Self.makeSweeper() else { return }
        sweeper = easy
        isSweeping = true
        _ = rockpool_setopt_long(easy, CURLOPT_MAXAGE_CONN, Int(idleSeconds))
        // It is not to cost a good connection its place.
        setLimit(max(limit, connections.count + 1))
        curl_multi_add_handle(handle, easy)
    }

    private static func makeSweeper() -> UnsafeMutableRawPointer? {
        guard let easy = curl_easy_init() else { return nil }
        _ = rockpool_setopt_text(easy, CURLOPT_URL, "http://127.0.0.1:9/")
        _ = rockpool_setopt_text(easy, CURLOPT_PROXY, "")
        _ = rockpool_setopt_long(easy, CURLOPT_NOSIGNAL, 1)
        _ = rockpool_setopt_long(easy, CURLOPT_FRESH_CONNECT, 1)
        _ = rockpool_setopt_open(easy) { _, _, _ in -1 }
        return easy
    }
}
