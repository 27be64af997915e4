import EdgeTesting
import Foundation

/// An origin that speaks HTTP/1.1 over TLS, in a process of its own that ends with the test.
///
/// It answers by path:
/// - `/host`: the Host that it got, not to be stored.
/// - `/protocol`: the protocol that was agreed upon; it prefers HTTP/2, which it does not speak.
/// - `/until-close`: a body that ends with the connection, close_notify included.
/// - `/cut/length`, `/cut/chunked`, `/cut/close`: at the first request half a body, and after ``goOn()`` the end of
///   the connection without close_notify; later the whole one.
/// - anything else: method, target and the name that was asked for in the handshake, fresh for an hour.
final class TLSOrigin: Sendable {
    let port: Int
    private let process: ChildProcess
    private let output = Watched(Output())

    private struct Output {
        /// The port, then the answers to what was asked.
        var lines: [String] = []
        var isOver = false
    }

    var url: String { "https://127.0.0.1:\(port)" }

    /// How many requests came, as the process counts them now.
    func requestCount() async throws -> Int {
        let before = output.current.lines.count
        try process.write("count\n")
        try await output.wait(for: "a count") { $0.isOver || $0.lines.count > before }
        guard let count = output.current.lines.dropFirst(before).first.flatMap({ Int($0) }) else {
            throw TestFailure("the TLS origin gave no count")
        }
        return count
    }

    /// - Parameter clientAuthority: whose certificates clients have to show; nil: nobody asks them.
    static func start(
        certificate: String, clientAuthority: String? = nil, in folder: CertificateFolder
    ) async throws -> TLSOrigin {
        let arguments =
            [folder.certificate(certificate), folder.key(certificate)]
            + (clientAuthority.map { [folder.certificate($0)] } ?? [])
        return try await onThread { try TLSOrigin(arguments) }
    }

    private init(_ arguments: [String]) throws {
        process = try ChildProcess(["python3", "-c", Self.program] + arguments)
        Self.read(process, into: output)
        let isThere = output.block(until: .standard) { $0.isOver || !$0.lines.isEmpty }
        guard isThere, let port = output.current.lines.first.flatMap({ Int($0) }) else {
            process.terminate()
            throw TestFailure("the TLS origin did not start")
        }
        self.port = port
    }

    /// Lets a body that waits be cut off.
    func goOn() throws { try process.write("cut\n") }

    /// Ends the process, which nobody may speak to any more.
    func stop() {
        process.terminate()
        _ = output.block(until: .standard) { $0.isOver }
    }

    /// Takes the output, on a thread of its own, which also sees to the end of the process.
    private static func read(_ process: ChildProcess, into output: Watched<Output>) {
        Thread.detachNewThread {
            var rest: [UInt8] = []
            while true {
                let more = process.read()
                if more.isEmpty { break }
                rest += more
                while let end = rest.firstIndex(of: 10) {
                    let line = String(decoding: rest[..<end], as: UTF8.self)
                    output.change { $0.lines.append(line) }
                    rest.removeFirst(end + 1)
                }
            }
            _ = process.wait()
            output.change { $0.isOver = true }
        }
    }

    /// Prints its port, and the number of requests when asked for it; ends with its input.
    private static let program = #"""
        import os, queue, socket, ssl, sys, threading

        # What came with the start belongs to tests that go on meanwhile.
        os.closerange(3, 1 + max(int(name) for name in os.listdir("/proc/self/fd")))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1], sys.argv[2])
        context.set_alpn_protocols(["h2", "http/1.1"])
        if len(sys.argv) > 3:
            context.load_verify_locations(sys.argv[3])
            context.verify_mode = ssl.CERT_REQUIRED
        context.sni_callback = lambda connection, name, _: setattr(connection, "asked_name", name)
        permits = queue.Queue()
        targets = []
        lock = threading.Lock()

        def head(*fields):
            lines = ("HTTP/1.1 200 OK",) + fields + ("", "")
            return "\r\n".join(lines).encode()

        def whole(body, cache="max-age=3600"):
            return head("Content-Length: %d" % len(body), "Cache-Control: " + cache) + body.encode()

        def answer(connection, method, target, host):
            with lock:
                is_first = target not in targets
                targets.append(target)
            if target == "/host":
                connection.sendall(whole(host, cache="no-store"))
            elif target == "/protocol":
                connection.sendall(whole(connection.selected_alpn_protocol() or "none"))
            elif target == "/until-close":
                connection.sendall(head("Cache-Control: max-age=3600", "Connection: close") + b"1234567890")
                connection.unwrap()
                return False
            elif target.startswith("/cut/") and not is_first:
                connection.sendall(whole("1234567890"))
            elif target.startswith("/cut/"):
                framing, body = {
                    "/cut/length": ("Content-Length: 10", b"12345"),
                    "/cut/chunked": ("Transfer-Encoding: chunked", b"5\r\n12345\r\n"),
                    "/cut/close": ("Connection: close", b"12345"),
                }[target]
                connection.sendall(head("Cache-Control: max-age=3600", framing) + body)
                permits.get()
                return False
            else:
                name = getattr(connection, "asked_name", None) or "no name"
                connection.sendall(whole("%s %s asked for %s" % (method, target, name)))
            return True

        def serve(plain):
            try:
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection = context.wrap_socket(plain, server_side=True)
                reader = connection.makefile("rb")
                goes_on = True
                while goes_on:
                    line = reader.readline().decode().split()
                    if not line:
                        break
                    host, length = "", 0
                    while True:
                        field = reader.readline().decode().strip()
                        if not field:
                            break
                        name, value = field.split(":", 1)
                        if name.lower() == "host":
                            host = value.strip()
                        if name.lower() == "content-length":
                            length = int(value)
                    reader.read(length)
                    goes_on = answer(connection, line[0], line[1], host)
                # Without unwrap there is no close_notify.
                connection.shutdown(socket.SHUT_RDWR)
                connection.close()
            except OSError:
                plain.close()

        def accept(listener):
            while True:
                plain, _ = listener.accept()
                threading.Thread(target=serve, args=(plain,), daemon=True).start()

        listener = socket.create_server(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        for line in sys.stdin:
            if line == "count\n":
                with lock:
                    print(len(targets), flush=True)
            else:
                permits.put(line)
        os._exit(0)
        """#
}
