import Synchronization

/// The requests that reached the demo origin: how many, and the last twenty. The page shows them live, so that one
/// sees which requests the node answered by itself.
final class DemoRequestLog: Sendable {
    struct Line: Sendable {
        let number: Int
        /// Seconds since 1970.
        let time: Double
        let method: String
        let path: String
        let status: Int
        /// Whether the request carried a validator (RFC 9110 13.1).
        let isConditional: Bool
    }

    private struct Lines {
        var total = 0
        var last: [Line] = []
    }

    private static let kept = 20
    private let lines = Mutex(Lines())

    func add(time: Double, method: String, path: String, status: Int, isConditional: Bool) {
        lines.withLock {
            $0.total += 1
            if $0.last.count == Self.kept { $0.last.removeFirst() }
            $0.last.append(
                Line(
                    number: $0.total, time: time, method: method, path: path, status: status,
                    isConditional: isConditional))
        }
    }

    /// The count of all requests, and the last ones, oldest first.
    func snapshot() -> (total: Int, last: [Line]) {
        lines.withLock { ($0.total, $0.last) }
    }
}
