import EdgePrimitives
import Foundation
import Hummingbird
import NIOCore
import NIOHTTP1

/// An error as a problem document (RFC 9457).
package struct Problem: Error, Encodable, Sendable {
    package let type = "about:blank"
    package let title: String
    package let status: Int
    package let detail: String
    /// The field or parameter at fault, where one is.
    package var field: String?
    /// Each error of a configuration, one line each.
    package var errors: [String]?
    /// Fields that the answer has beside the document.
    var retryAfterSeconds: Int64?
    var allow: String?
    var closesConnection = false

    private enum CodingKeys: CodingKey {
        case type, title, status, detail, field, errors
    }

    package init(_ status: Int, _ detail: String, field: String? = nil) {
        self.status = status
        title = HTTPResponseStatus(statusCode: status).reasonPhrase
        self.detail = detail
        self.field = field.map { String($0.prefix(100)) }
    }

    static func badRequest(_ detail: String, field: String? = nil) -> Problem {
        Problem(400, detail, field: field)
    }

    static let mediaType = "application/problem+json"

    var bytes: [UInt8] {
        (try? AdminJSON.encode(self)) ?? Array(#"{"type":"about:blank","status":500}"#.utf8)
    }

    func response() -> Response {
        var response = Response(
            status: .init(code: status), headers: [.contentType: Self.mediaType],
            body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
        if status == 401 { response.headers[.wwwAuthenticate] = #"Bearer realm="rockpool""# }
        if let retryAfterSeconds { response.headers[.retryAfter] = "\(retryAfterSeconds)" }
        if let allow { response.headers[.allow] = allow }
        if closesConnection { response.headers[.connection] = "close" }
        return response
    }
}

/// JSON as the admin API writes it: names in order, slashes as they are.
enum AdminJSON {
    static func encode(_ document: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let encoded = try encoder.encode(document)
        guard encoded.contains(where: { $0 >= 0x7f }) else { return Array(encoded) }
        // Who asks with curl reads the answer on a terminal.
        return Array(PlainText.json(String(decoding: encoded, as: UTF8.self)).utf8)
    }

    static func response(_ document: some Encodable, _ status: HTTPResponse.Status = .ok) throws -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"],
            body: .init(byteBuffer: ByteBuffer(bytes: try encode(document))))
    }
}
