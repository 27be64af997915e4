import Foundation

/// A client that sends what it is told, to the byte, and reads answers strictly.
///
/// What does not come before the deadline throws.
public final class RawClient: Sendable {
    private let stream: SocketStream

    public init(port: Int, receiveBufferBytes: Int32? = nil) throws {
        stream = try SocketStream.connect(port: port, receiveBufferBytes: receiveBufferBytes)
    }

    // MARK: Sending

    public func send(_ text: String) async throws { try await send(Array(text.utf8)) }

    public func send(_ bytes: [UInt8]) async throws {
        try await onThread { [stream] in try stream.write(bytes, until: Deadline(milliseconds: 30_000)) }
    }

    /// Sends until the peer has taken nothing for `stallMilliseconds`; answers how much it took.
    public func sendUntilBlocked(_ bytes: [UInt8], stallMilliseconds: Int64) async throws -> Int {
        try await onThread { [stream] in
            var sent = 0
            while sent < bytes.count {
                let piece = Array(bytes[sent..<min(sent + 65_536, bytes.count)])
                let count = try stream.write(piece, stallingAfter: Deadline(milliseconds: stallMilliseconds))
                sent += count
                if count < piece.count { break }
            }
            return sent
        }
    }

    public func endSending() { stream.shutDownWriting() }
    public func close() { stream.close() }
    public func reset() { stream.reset() }

    // MARK: Reading

    /// The next response, whole; 1xx are collected in ``ClientResponse/interims``.
    public func response(to method: String = "GET") async throws -> ClientResponse {
        try await onThread { [stream] in
            let deadline = Deadline.standard
            var response = try Self.head(stream, deadline)
            try Self.readBody(of: &response, method, stream, deadline)
            return response
        }
    }

    /// The next head alone; what follows is left to ``body(count:)``, ``chunk()`` or ``rest()``.
    public func head() async throws -> ClientResponse {
        try await onThread { [stream] in try Self.head(stream, .standard) }
    }

    public func body(count: Int) async throws -> String {
        try await onThread { [stream] in
            String(decoding: try stream.read(exactly: count, until: .standard), as: UTF8.self)
        }
    }

    /// Reads that many bytes and drops them.
    public func skip(count: Int) async throws {
        try await onThread { [stream] in
            var left = count
            while left > 0 { left -= try stream.read(exactly: min(left, 65_536), until: .standard).count }
        }
    }

    /// The content of the next chunk; nil at the last one.
    public func chunk() async throws -> String? {
        try await onThread { [stream] in
            try ChunkedBody.readChunk(stream, until: .standard).map { String(decoding: $0, as: UTF8.self) }
        }
    }

    /// Chunked content until there are `count` bytes of it, or its end.
    public func chunkedBody(count: Int) async throws -> String {
        var text = ""
        while text.utf8.count < count, let chunk = try await chunk() { text += chunk }
        return text
    }

    /// Everything until the peer ends the connection, in order or not.
    public func rest() async throws -> [UInt8] {
        try await onThread { [stream] in
            do {
                return try stream.readToEnd(until: .standard)
            } catch is ConnectionReset {
                return stream.buffer
            }
        }
    }

    /// Whether the peer ends the connection without another byte.
    public func isClosedByPeer() async throws -> Bool { try await rest().isEmpty }

    private static func head(_ stream: SocketStream, _ deadline: Deadline) throws -> ClientResponse {
        var interims: [ClientResponse] = []
        while true {
            let head = try stream.read(through: Array("\r\n\r\n".utf8), until: deadline)
            var response = try ClientResponse(head: head)
            if response.status >= 200 || response.status == 101 {
                response.interims = interims
                return response
            }
            interims.append(response)
        }
    }

    private static func readBody(
        of response: inout ClientResponse, _ method: String, _ stream: SocketStream, _ deadline: Deadline
    ) throws {
        if method == "HEAD" || response.status == 204 || response.status == 304 { return }
        if let coding = response.fields["Transfer-Encoding"] {
            guard coding == "chunked", response.fields["Content-Length"] == nil else {
                throw TestFailure("ambiguous framing: \(response.fields)")
            }
            response.framing = .chunked
            (response.body, response.trailers) = try ChunkedBody.read(stream, until: deadline)
        } else if let value = response.fields["Content-Length"] {
            guard let length = Int(value) else { throw TestFailure("Content-Length: \(value)") }
            response.framing = .length
            response.body = try stream.read(exactly: length, until: deadline)
        } else {
            response.framing = .close
            response.body = try stream.readToEnd(until: deadline)
        }
    }
}

extension RawClient {
    /// One request on a connection of its own.
    public static func exchange(
        port: Int, _ method: String = "GET", _ target: String, host: String = "case.test",
        version: String = "1.1",
        _ fields: [String] = [], body: String? = nil
    ) async throws -> ClientResponse {
        let client = try RawClient(port: port)
        defer { client.close() }
        try await client.send(request(method, target, host: host, version: version, fields, body: body))
        return try await client.response(to: method)
    }

    /// The text of a request; Host and Content-Length are added where `fields` has none.
    public static func request(
        _ method: String = "GET", _ target: String, host: String? = "case.test", version: String = "1.1",
        _ fields: [String] = [], body: String? = nil
    ) -> String {
        var text = "\(method) \(target) HTTP/\(version)\r\n"
        func has(_ name: String) -> Bool { fields.contains { $0.lowercased().hasPrefix(name + ":") } }
        if let host, !has("host") { text += "Host: \(host)\r\n" }
        for field in fields { text += field + "\r\n" }
        if let body, !has("content-length"), !has("transfer-encoding") {
            text += "Content-Length: \(body.utf8.count)\r\n"
        }
        return text + "\r\n" + (body ?? "")
    }
}
