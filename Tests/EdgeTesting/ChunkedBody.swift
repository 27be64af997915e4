/// Reads chunked content (RFC 9112 7.1) strictly: anything that is not in the grammar fails the test.
enum ChunkedBody {
    static func read(_ stream: SocketStream, until deadline: Deadline) throws -> ([UInt8], FieldLines) {
        var body: [UInt8] = []
        while true {
            let size = try readSize(stream, deadline)
            if size == 0 { return (body, try readTrailers(stream, deadline)) }
            body += try stream.read(exactly: size, until: deadline)
            guard try stream.read(exactly: 2, until: deadline) == Array("\r\n".utf8) else {
                throw TestFailure("no CRLF behind a chunk")
            }
        }
    }

    /// The next chunk's content; nil at the last chunk, whose trailers are read.
    static func readChunk(_ stream: SocketStream, until deadline: Deadline) throws -> [UInt8]? {
        let size = try readSize(stream, deadline)
        if size == 0 {
            _ = try readTrailers(stream, deadline)
            return nil
        }
        let body = try stream.read(exactly: size, until: deadline)
        _ = try stream.read(exactly: 2, until: deadline)
        return body
    }

    private static func readSize(_ stream: SocketStream, _ deadline: Deadline) throws -> Int {
        let line = String(decoding: try stream.readLine(until: deadline), as: UTF8.self)
        guard let size = Int(line, radix: 16), size >= 0 else {
            throw TestFailure("no chunk size: \(line.debugDescription)")
        }
        return size
    }

    private static func readTrailers(_ stream: SocketStream, _ deadline: Deadline) throws -> FieldLines {
        var lines: [Substring] = []
        while true {
            let line = String(decoding: try stream.readLine(until: deadline), as: UTF8.self)
            if line.isEmpty { return try FieldLines(lines) }
            lines.append(line[...])
        }
    }
}
