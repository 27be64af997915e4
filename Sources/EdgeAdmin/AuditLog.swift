import EdgeNode
import EdgePrimitives
import Logging

/// A line in the program's log for whatever an operator does, done or not.
struct AuditLog: Sendable {
    /// As long as the longest value that is not refused.
    private static let maxScalars = ScopeText.maxURLBytes
    let logger: Logger

    func done(_ record: PurgeRecord) {
        let scope = Self.scope(record.scope, record.value, anyQuery: record.anyQuery ?? false)
        logger.notice("purge \(record.id): \(scope) soft=\(record.soft) client=\(record.client) outcome=done")
    }

    func notDone(_ order: PurgeOrder, _ why: String) {
        let scope =
            switch order.scope {
            case .url(let url, let anyQuery): Self.scope("url", url, anyQuery: anyQuery)
            case .prefix(let prefix): Self.scope("prefix", prefix, anyQuery: false)
            case .host(let host): Self.scope("host", host, anyQuery: false)
            case .tag(let tag): Self.scope("tag", tag, anyQuery: false)
            case .all: Self.scope("all", nil, anyQuery: false)
            }
        let outcome = Self.quoted(why)
        logger.notice("purge: \(scope) soft=\(order.isSoft) client=\(order.client) outcome=\(outcome)")
    }

    func note(_ order: PurgeOrder, _ result: Result<PurgeRecord, PurgeError>) {
        switch result {
        case .success(let record): done(record)
        case .failure(.refused(let why)), .failure(.failed(let why)): notDone(order, why)
        }
    }

    /// A request that was no order, or anything else than a purge.
    ///
    /// - Parameter waiting: keys of the configuration that wait for a restart.
    func note(_ action: String, client: String, outcome: String, waiting: [String] = []) {
        let rest = waiting.isEmpty ? "" : " waitingForRestart=\(waiting.joined(separator: ","))"
        logger.notice(
            "\(action): client=\(client) outcome=\(outcome == "done" ? outcome : Self.quoted(outcome))\(rest)"
        )
    }

    private static func scope(_ scope: String, _ value: String?, anyQuery: Bool) -> String {
        "scope=\(scope)" + (value.map { " value=\(quoted($0))" } ?? "") + (anyQuery ? " anyQuery=true" : "")
    }

    /// `text` in quotes, so that nothing in it ends the line or looks like a field of it.
    static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars.prefix(maxScalars) {
            switch scalar {
            case "\"", "\\":
                quoted += "\\"
                quoted.unicodeScalars.append(scalar)
            case _ where !PlainText.shows(scalar):
                quoted += "\\u{" + String(scalar.value, radix: 16) + "}"
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + (text.unicodeScalars.count > maxScalars ? "\"..." : "\"")
    }
}
