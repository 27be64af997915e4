import EdgePrimitives
import Synchronization

/// Counts wrong tokens by network, in a table of fixed size. It never stands in the way of the right token.
package final class GuessLimiter: Sendable {
    /// Wrong tokens of a network in a minute that are answered with 401.
    package static let allowed = 10
    private static let windowMilliseconds: Int64 = 60_000
    private static let sets = 256
    private static let ways = 4

    private struct Entry {
        var network: [UInt8]
        var start: MonotonicTime
        var count: Int
    }

    private struct Table {
        var entries = [Entry?](repeating: nil, count: GuessLimiter.sets * GuessLimiter.ways)
        var total: UInt64 = 0
    }

    private let table = Mutex(Table())

    package init() {}

    /// Wrong tokens since the start.
    package var total: UInt64 { table.withLock { $0.total } }

    /// What a network gets that has used up its allowance.
    package struct Refusal: Equatable, Sendable {
        package let retryAfterSeconds: Int64
        /// Whether it is the first in this minute.
        package let isFirst: Bool

        package init(retryAfterSeconds: Int64, isFirst: Bool) {
            self.retryAfterSeconds = retryAfterSeconds
            self.isFirst = isFirst
        }
    }

    /// Notes a wrong token; the value is nil while the network is within its allowance.
    package func note(_ network: [UInt8], at now: MonotonicTime) -> Refusal? {
        // Hasher is seeded anew in each process, so that nobody can aim at the entries of somebody else.
        var hasher = Hasher()
        hasher.combine(network)
        let set = Int(UInt(bitPattern: hasher.finalize()) % UInt(Self.sets)) * Self.ways
        return table.withLock { table in
            table.total += 1
            let slots = set..<set + Self.ways
            let slot =
                slots.first { table.entries[$0]?.network == network }
                ?? slots.first { table.entries[$0] == nil }
                ?? slots.min { Self.order(table.entries[$0]) < Self.order(table.entries[$1]) } ?? set
            var entry =
                table.entries[slot].flatMap { $0.network == network ? $0 : nil }
                ?? Entry(network: network, start: now, count: 0)
            if now.milliseconds(since: entry.start) >= Self.windowMilliseconds {
                entry = Entry(network: network, start: now, count: 0)
            }
            entry.count += 1
            table.entries[slot] = entry
            guard entry.count > Self.allowed else { return nil }
            let left = Self.windowMilliseconds - now.milliseconds(since: entry.start)
            return Refusal(
                retryAfterSeconds: max(1, (left + 999) / 1_000), isFirst: entry.count == Self.allowed + 1)
        }
    }

    /// The fewest guesses go first, of those the oldest: who guesses much is not forgotten for who guesses once.
    private static func order(_ entry: Entry?) -> (Int, Int64) {
        (entry?.count ?? 0, entry?.start.nanoseconds ?? 0)
    }
}
