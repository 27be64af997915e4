import EdgeNode
import Logging

/// A line in the program's log for whatever an operator does, done or not.
struct AuditLog: Sendable {
    let logger: Logger

    func done(_ record: PurgeRecord) {
        logger.notice(
            "purge \(record.id): \(Self.scope(record.scope, record.value, anyQuery: record.anyQuery ?? false)) soft=\(record.soft) client=\(record.client) outcome=done"
        )
    }

    func notDone(_ order: PurgeOrder, _ why: String) {
        let (scope, value, anyQuery): (String, String?, Bool) =
            switch order.scope {
            case .url(let url, let anyQuery): ("url", url, anyQuery)
            case .prefix(let prefix): ("prefix", prefix, false)
            case .host(let host): ("host", host, false)
            case .tag(let tag): ("tag", tag, false)
            case .all: ("all", nil, false)
            }
        logger.notice(
            "purge: \(Self.scope(scope, value, anyQuery: anyQuery)) soft=\(order.isSoft) client=\(order.client) outcome=\(Self.quoted(why))"
        )
    }

    /// A request that was no order, or anything else than a purge.
    func note(_ action: String, client: String, outcome: String) {
        logger.notice("\(action): client=\(client) outcome=\(outcome == "done" ? outcome : Self.quoted(outcome))")
    }

    private static func scope(_ scope: String, _ value: String?, anyQuery: Bool) -> String {
        "scope=\(scope)" + (value.map { " value=\(quoted($0))" } ?? "") + (anyQuery ? " anyQuery=true" : "")
    }

    /// `text` in quotes, so that nothing in it ends the line or looks like a field of it.
    static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"", "\\":
                quoted += "\\"
                quoted.unicodeScalars.append(scalar)
            case _ where [.control, .format, .lineSeparator, .paragraphSeparator].contains(
                scalar.properties.generalCategory):
                quoted += "\\u{" + String(scalar.value, radix: 16) + "}"
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
