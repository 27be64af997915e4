import EdgeNode
import EdgeTesting

/// What explain said would happen, to be compared with what did.
struct Prediction {
    /// Nil where no site has the host.
    private let explanation: Explanation?
    /// The origin fails in this step.
    private let isDown: Bool

    /// Nil for a request that explain is not for.
    init?(of step: ConformanceCase.Step, by node: Node, _ dates: DateText) async throws {
        let request = step.request
        let method = request?.method ?? "GET"
        let target = request?.target ?? "/r"
        guard ["GET", "HEAD"].contains(method), target.hasPrefix("/"), request?.host != false,
            request?.version ?? "1.1" == "1.1", request?.body == nil
        else { return nil }
        var headers = (request?.fields ?? []).map { line in
            let parts = dates.expand(line).split(separator: ":", maxSplits: 1)
            let value = parts.count > 1 ? parts[1].drop { $0 == " " } : ""
            return (name: String(parts[0]), value: String(value))
        }
        isDown = (step.origin?.all ?? []).contains { answer in
            if case .response = answer { false } else { true }
        }
        let host = headers.first { $0.name.lowercased() == "host" }?.value ?? "case.test"
        headers.removeAll { $0.name.lowercased() == "host" }
        explanation = try? await node.explain(
            ExplainQuestion(
                url: "http://\(host)\(target)", method: method, headers: headers, originDown: false))
    }

    func problems(with response: ClientResponse) -> [String] {
        guard let explanation else {
            return response.status == 421 ? [] : ["explain refused what was answered"]
        }
        let expected = isDown ? explanation.ifOriginDown : explanation.outcome
        var problems: [String] = []
        if let status = expected.status, status != response.status {
            problems.append("explained as \(status), answered \(response.status)")
        }
        let seen = response.cacheStatus
        switch expected.result {
        case "hit", "stale":
            if !isDown, seen.map(Self.withoutLifetime) != expected.cacheStatus.map(Self.withoutLifetime) {
                problems.append("explained as \(expected.cacheStatus ?? "-"), answered \(seen ?? "-")")
            }
            if seen?.contains("detail=\(expected.reason)") != true {
                problems.append("explained by \(expected.reason), answered \(seen ?? "-")")
            }
        case "error":
            if seen != nil || response.proxyStatus == nil {
                problems.append("explained as an answer of the node, answered \(seen ?? "-")")
            }
        default:
            if !isDown, seen?.hasPrefix(expected.cacheStatus ?? "-") != true {
                problems.append("explained as \(expected.cacheStatus ?? "-"), answered \(seen ?? "-")")
            }
        }
        if problems.isEmpty { return [] }
        return problems.map { "explain: \($0)" } + ["\(expected)"]
    }

    /// Cache-Status without its ttl, which a second more may change.
    private static func withoutLifetime(_ text: String) -> String {
        text.split(separator: "; ").filter { !$0.hasPrefix("ttl=") }.joined(separator: "; ")
    }
}
