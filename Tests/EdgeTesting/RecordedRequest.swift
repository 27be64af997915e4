/// A request as it reached a ``ScriptedServer``.
public struct RecordedRequest: Sendable {
    /// The head as it came, blank line included.
    public let head: String
    public let method: String
    public let target: String
    public let fields: FieldLines
    /// The content, decoded where it was chunked; empty where the script did not read it.
    public internal(set) var body: [UInt8] = []
    public internal(set) var trailers = FieldLines()
    /// Which connection of the server, from 0, and which request on it, from 0.
    public let connection: Int
    public let position: Int
    /// Which request of the server, from 0.
    public internal(set) var number = 0

    init(head: [UInt8], connection: Int, position: Int) throws {
        self.head = String(decoding: head, as: UTF8.self)
        let lines = self.head.split(separator: "\r\n")
        let parts = lines.first?.split(separator: " ") ?? []
        guard parts.count == 3 else { throw TestFailure("no request line: \(self.head.debugDescription)") }
        method = String(parts[0])
        target = String(parts[1])
        fields = try FieldLines(lines.dropFirst())
        self.connection = connection
        self.position = position
    }

    public var text: String { String(decoding: body, as: UTF8.self) }
}
