import EdgePolicy
import EdgePrimitives
import Synchronization

/// The paths that cost the origin most: 256 counters for any number of paths (the space-saving algorithm of Metwally,
/// Agrawal and El Abbadi). A path that has no counter takes over the smallest, with its count as the error that its
/// own may have; so a path that makes more than 1/256 of what is counted is always there.
///
/// Counts are halved every hour: the table tells of now, not of last month.
struct MissTable {
    static let capacity = 256
    /// A longer key is cut here.
    static let maxKeyBytes = 512
    static let halvingMilliseconds: Int64 = 3_600_000

    struct Entry: Sendable {
        /// Host and path, without the query.
        var key: [UInt8]
        var reason: Reason?
        var count: UInt64
        /// How much of the count may be others'.
        var error: UInt64

        /// What the path has at least.
        var certain: UInt64 { count - error }
    }

    private var hashes: [Int] = []
    private(set) var entries: [Entry] = []
    private var halved: MonotonicTime?

    mutating func add(
        host: ArraySlice<UInt8>, path: ArraySlice<UInt8>, reason: Reason?, now: MonotonicTime
    ) {
        halve(now)
        let path = path.prefix(max(0, Self.maxKeyBytes - host.count))
        var hasher = Hasher()
        host.withUnsafeBytes { hasher.combine(bytes: $0) }
        path.withUnsafeBytes { hasher.combine(bytes: $0) }
        let hash = hasher.finalize()
        for index in hashes.indices where hashes[index] == hash {
            let key = entries[index].key
            guard key.count == host.count + path.count, key.starts(with: host),
                key[host.count...].elementsEqual(path)
            else { continue }
            entries[index].count += 1
            entries[index].reason = reason
            return
        }
        let key = Array(host) + path
        if entries.count < Self.capacity {
            hashes.append(hash)
            entries.append(Entry(key: key, reason: reason, count: 1, error: 0))
            return
        }
        var smallest = 0
        for index in entries.indices where entries[index].count < entries[smallest].count { smallest = index }
        let inherited = entries[smallest].count
        hashes[smallest] = hash
        entries[smallest] = Entry(key: key, reason: reason, count: inherited + 1, error: inherited)
    }

    private mutating func halve(_ now: MonotonicTime) {
        guard let last = halved else {
            halved = now
            return
        }
        guard now.milliseconds(since: last) >= Self.halvingMilliseconds else { return }
        halved = now
        for index in entries.indices {
            entries[index].count /= 2
            entries[index].error = min(entries[index].error / 2, entries[index].count)
        }
    }

    /// A loop's table; the admin side reads it.
    final class Shared: Sendable {
        let table = Mutex(MissTable())
    }
}

/// A path that clients ask for and the cache has not, with how often that was.
public struct TopMiss: Sendable, Equatable {
    /// Host and path, without scheme and query.
    public let url: [UInt8]
    /// Why the last such request was none that the cache could answer.
    public let reason: Reason?
    /// At least so many in about the last hour.
    public let count: UInt64
}

extension Node {
    /// The paths that cost the origin most, the most first: misses, passes and revalidations.
    public func topMisses(_ limit: Int) -> [TopMiss] {
        var merged: [[UInt8]: (count: UInt64, reason: Reason?, ofThat: UInt64)] = [:]
        for loop in counters {
            for entry in loop.missTable.table.withLock({ $0.entries }) where entry.certain > 0 {
                let before = merged[entry.key]
                let isMost = entry.certain >= before?.ofThat ?? 0
                merged[entry.key] = (
                    (before?.count ?? 0) + entry.certain, isMost ? entry.reason : before?.reason,
                    max(entry.certain, before?.ofThat ?? 0)
                )
            }
        }
        return merged.map { TopMiss(url: $0, reason: $1.reason, count: $1.count) }
            .sorted { ($1.count, $0.url) < ($0.count, $1.url) }
            .prefix(limit).map { $0 }
    }
}

/// Byte strings in order, for results that don't change from one time to the next.
private func < (left: (UInt64, [UInt8]), right: (UInt64, [UInt8])) -> Bool {
    left.0 == right.0 ? left.1.lexicographicallyPrecedes(right.1) : left.0 < right.0
}
