import Hummingbird
import NIOCore

extension Request {
    /// The members of the JSON object that is the body; nil where there is no body.
    func jsonMembers(maxBytes: Int) async throws -> [JSONMember]? {
        let bytes = try await boundedBody(maxBytes)
        if let type = headers[.contentType] {
            let media = type.prefix { $0 != ";" }.filter { $0 != " " && $0 != "\t" }.lowercased()
            guard media == "application/json" || bytes.isEmpty else {
                throw Problem(415, "the body is application/json")
            }
        }
        guard !bytes.isEmpty else { return nil }
        let value: JSONValue
        do {
            value = try JSONReader.read(bytes)
        } catch {
            let place = "line \(error.line), column \(error.column)"
            guard let name = error.duplicate else {
                throw Problem.badRequest("the body is not JSON: \(place): \(error.message)")
            }
            throw Problem.badRequest("`\(name.prefix(100))` is there twice: \(place)", field: name)
        }
        guard case .object(let members) = value else {
            throw Problem.badRequest("the body is not a JSON object")
        }
        return members
    }

    /// Refuses a body that says something, for a path that takes none.
    func refuseBody(maxBytes: Int) async throws {
        if let member = try await jsonMembers(maxBytes: maxBytes)?.first {
            throw Problem.badRequest(
                "`\(member.name.prefix(100))` is no field here: this takes none", field: member.name)
        }
    }

    func parameters(_ known: String...) throws -> QueryParameters {
        try QueryParameters(target: head.path ?? "", known: known)
    }

    private func boundedBody(_ maxBytes: Int) async throws -> [UInt8] {
        var tooLarge = Problem(413, "the body is larger than \(maxBytes) bytes")
        tooLarge.closesConnection = true
        if let length = headers[.contentLength].flatMap({ Int($0) }), length > maxBytes { throw tooLarge }
        var bytes: [UInt8] = []
        for try await buffer in body {
            guard bytes.count + buffer.readableBytes <= maxBytes else { throw tooLarge }
            bytes.append(contentsOf: buffer.readableBytesView)
        }
        return bytes
    }
}
