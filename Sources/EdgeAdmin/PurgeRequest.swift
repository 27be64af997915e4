import EdgeNode

/// The body of `POST /purge`.
enum PurgeRequest {
    private static let scopes = ["url", "prefix", "host", "tag", "all"]

    /// The order as it was meant; whether its text makes sense is left to ``check(_:)``.
    static func order(_ members: [JSONMember], client: String) throws -> PurgeOrder {
        for member in members where !(scopes + ["soft", "anyQuery"]).contains(member.name) {
            throw Problem.badRequest(
                "`\(member.name.prefix(100))` is no field of a purge; they are url, prefix, host, tag, all, soft, "
                    + "anyQuery", field: member.name)
        }
        let given = members.filter { scopes.contains($0.name) }
        guard let scope = given.first else {
            throw Problem.badRequest("nothing to purge: give one of url, prefix, host, tag, all")
        }
        guard given.count == 1 else {
            throw Problem.badRequest(
                "`\(given[1].name)` beside `\(scope.name)`: a purge has one scope", field: given[1].name)
        }
        let isSoft = try flag("soft", members) ?? false
        let anyQuery = try flag("anyQuery", members)
        guard anyQuery == nil || scope.name == "url" else {
            throw Problem.badRequest("`anyQuery` belongs to `url` only", field: "anyQuery")
        }
        return PurgeOrder(
            scope: try self.scope(scope, anyQuery: anyQuery ?? false), isSoft: isSoft, client: client)
    }

    private static func scope(_ member: JSONMember, anyQuery: Bool) throws -> PurgeOrder.Scope {
        let field = member.name
        if field == "all" {
            guard case .bool(let all) = member.value else { throw wrongType(field, "true", member.value) }
            guard all else { throw Problem.badRequest("`all` is true, or not there", field: field) }
            return .all
        }
        guard case .string(let text) = member.value else { throw wrongType(field, "a string", member.value) }
        switch field {
        case "url": return .url(text, anyQuery: anyQuery)
        case "prefix": return .prefix(text)
        case "host": return .host(text)
        default: return .tag(text)
        }
    }

    static func check(_ scope: PurgeOrder.Scope) throws {
        switch scope {
        case .url(let url, _): try ScopeText.checkURL(url, "url")
        case .prefix(let prefix): try ScopeText.checkURL(prefix, "prefix")
        case .host(let host): try ScopeText.checkHost(host, "host")
        case .tag(let tag): try ScopeText.checkTag(tag, "tag")
        case .all: break
        }
    }

    private static func flag(_ name: String, _ members: [JSONMember]) throws -> Bool? {
        guard let member = members.first(where: { $0.name == name }) else { return nil }
        guard case .bool(let value) = member.value else {
            throw wrongType(name, "true or false", member.value)
        }
        return value
    }

    private static func wrongType(_ field: String, _ right: String, _ value: JSONValue) -> Problem {
        let found =
            switch value {
            case .null: "null"
            case .bool(let value): "\(value)"
            case .number: "a number"
            case .string: "a string"
            case .array: "an array"
            case .object: "an object"
            }
        return .badRequest("`\(field)` is \(right), not \(found)", field: field)
    }
}

/// What `POST /purge` answers: the record without the caller.
struct PurgeReceipt: Encodable {
    let id: String
    let purgedAt: String
    let scope: String
    let value: String?
    let anyQuery: Bool?
    let soft: Bool

    init(_ record: PurgeRecord) {
        id = record.id
        purgedAt = record.purgedAt
        scope = record.scope
        value = record.value
        anyQuery = record.anyQuery
        soft = record.soft
    }
}

/// What `GET /purges` answers.
struct PurgeListing: Encodable {
    static let limit = 100
    let head: String
    let stamps: Int
    let purges: [PurgeRecord]

    init(_ overview: PurgeOverview) {
        head = overview.head
        stamps = overview.stamps
        purges = overview.recent
    }
}
