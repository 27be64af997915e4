/// A response as a ``RawClient`` read it.
public struct ClientResponse: Sendable, CustomStringConvertible {
    public enum Framing: Sendable, Equatable {
        case none, length, chunked, close
    }

    public let version: String
    public let status: Int
    public let fields: FieldLines
    public internal(set) var framing = Framing.none
    public internal(set) var body: [UInt8] = []
    public internal(set) var trailers = FieldLines()
    /// The 1xx responses before it.
    public internal(set) var interims: [ClientResponse] = []

    init(head: [UInt8]) throws {
        let text = String(decoding: head, as: UTF8.self)
        let lines = text.split(separator: "\r\n")
        let parts = lines.first?.split(separator: " ", maxSplits: 2) ?? []
        guard parts.count >= 2, parts[0].hasPrefix("HTTP/1."), let status = Int(parts[1]) else {
            throw TestFailure("no status line: \(text.debugDescription)")
        }
        version = String(parts[0])
        self.status = status
        fields = try FieldLines(lines.dropFirst())
    }

    public var text: String { String(decoding: body, as: UTF8.self) }

    /// Our member of Cache-Status.
    public var cacheStatus: String? { fields.all("Cache-Status").last.map { Self.ours($0) } }
    public var proxyStatus: String? { fields.all("Proxy-Status").last }

    private static func ours(_ value: String) -> String {
        value.split(separator: ",").last.map { $0.drop { $0 == " " } }.map(String.init) ?? value
    }

    public var description: String { "\(status)\n\(fields)\n\n\(text.prefix(200))" }
}
