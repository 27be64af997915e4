/// The fingerprints of responses that were evicted on probation, the last ones only: as many as there are
/// residents.
///
/// Eight entries make a bucket of one cache line, each a 32-bit fingerprint beside the sequence number of
/// its eviction. An entry whose number is too far back counts as forgotten, so that nothing is ever removed
/// for age and no queue is kept: 8 bytes an entry. A full bucket forgets its oldest entry early.
struct GhostTable {
    private static let ways = 8
    /// Fingerprint in the high half, sequence number in the low half; 0 is empty.
    private var entries: [UInt64]
    private var mask: Int
    private var sequence: UInt32 = 1

    init() {
        entries = [UInt64](repeating: 0, count: Self.ways)
        mask = 0
    }

    /// The bytes of the table.
    var byteCount: Int { entries.count * MemoryLayout<UInt64>.stride }

    /// Remembers `fingerprint` as the latest eviction among `limit` that count.
    mutating func remember(_ fingerprint: UInt64, limit: Int) {
        if limit * 3 > entries.count * 2 { grow(limit: limit) }
        sequence &+= 1
        place(Self.mark(fingerprint) | UInt64(sequence))
    }

    /// Whether `fingerprint` was among the last `limit` remembered; it is forgotten by being asked for.
    mutating func take(_ fingerprint: UInt64, limit: Int) -> Bool {
        let mark = Self.mark(fingerprint)
        let start = bucket(mark)
        for index in start..<start + Self.ways where entries[index] & 0xffff_ffff_0000_0000 == mark {
            guard entries[index] != 0 else { continue }
            let age = age(entries[index])
            entries[index] = 0
            return age < limit
        }
        return false
    }

    private static func mark(_ fingerprint: UInt64) -> UInt64 { fingerprint << 32 }

    private func bucket(_ entry: UInt64) -> Int {
        (Int(truncatingIfNeeded: entry >> 32) & mask) * Self.ways
    }

    private func age(_ entry: UInt64) -> Int {
        Int(sequence &- UInt32(truncatingIfNeeded: entry))
    }

    /// Puts `entry` where its bucket is empty, or over the oldest there.
    private mutating func place(_ entry: UInt64) {
        let start = bucket(entry)
        var oldest = start
        for index in start..<start + Self.ways {
            if entries[index] == 0 {
                oldest = index
                break
            }
            if age(entries[index]) > age(entries[oldest]) { oldest = index }
        }
        entries[oldest] = entry
    }

    private mutating func grow(limit: Int) {
        let old = entries
        var buckets = mask + 1
        while limit * 3 > buckets * Self.ways * 2 { buckets *= 2 }
        entries = [UInt64](repeating: 0, count: buckets * Self.ways)
        mask = buckets - 1
        for entry in old where entry != 0 && age(entry) < limit { place(entry) }
    }
}
