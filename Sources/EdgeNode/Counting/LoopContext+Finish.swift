import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import Synchronization

/// The end of a request that was no plain hit: counters, the table of misses, the access log.
extension LoopContext {
    func finish(_ record: inout AccessRecord) {
        let now = SystemClock.monotonic()
        let facts = record.facts
        counters.count(
            site: record.site.number, facts.outcome, facts.reason, bodyBytes: record.facts.bodyBytes)
        if let sent = record.headSent { counters.headSent(facts.outcome, from: record.started, to: sent) }
        switch facts.outcome {
        case .miss, .pass, .revalidated:
            counters.missTable.table.withLock {
                $0.add(
                    host: record.head.authority ?? [], path: record.head.path, reason: facts.reason, now: now)
            }
        case .hit, .stale, .error: break
        }
        followReload()
        guard let accessLane else { return }
        record.facts.microseconds = Self.microseconds(record.started, now)
        record.facts.headMicroseconds = record.headSent.map { Self.microseconds(record.started, $0) }
        accessLane.append(
            head: record.head, client: record.client, site: record.site.nameOctets, facts: record.facts,
            now: wallNow())
    }

    /// Counts and logs a request that could not be read.
    public func refused(_ refusal: RequestRefusal, client: ClientAddress) {
        counters.count(refusal)
        followReload()
        guard let accessLane else { return }
        var facts = AccessFacts()
        facts.status = refusal.status
        facts.reason = .badRequest
        facts.refusal = refusal
        accessLane.append(head: RequestHead(), client: client, site: [], facts: facts, now: wallNow())
    }

    private static func microseconds(_ start: MonotonicTime, _ end: MonotonicTime) -> Int64 {
        max(0, (end.nanoseconds - start.nanoseconds) / 1000)
    }
}
