import EdgePrimitives

/// Which keys were seen lately: two Bloom filters that take turns.
///
/// Keys are noted in the current filter. Once it holds `windowObjects` of them it becomes the older one, and
/// the one that was older starts again, empty. So a key stays known while the next `windowObjects` others
/// are noted at least, and is forgotten after twice as many at the latest.
///
/// 12 bits a key and 8 positions let a full filter hold a key wrongly in 0.3 % of cases (Bloom 1970), both
/// together in 0.6 %.
struct AdmissionFilter {
    private static let bitsPerKey = 12
    private static let positions: UInt64 = 8

    private struct Filter {
        var words: [UInt64]

        init(keys: Int) {
            words = [UInt64](repeating: 0, count: (keys * bitsPerKey + 63) / 64)
        }

        /// Keys are keyed digests already: their halves are the two hashes of double hashing (Kirsch and
        /// Mitzenmacher 2006).
        @inline(__always)
        private func position(_ key: Digest128, _ number: UInt64) -> (word: Int, bit: UInt64) {
            let hash = key.low &+ number &* (key.high | 1)
            let position = hash.multipliedFullWidth(by: UInt64(words.count) * 64).high
            return (Int(truncatingIfNeeded: position >> 6), 1 << (position & 63))
        }

        func contains(_ key: Digest128) -> Bool {
            for number in 0..<positions {
                let (word, bit) = position(key, number)
                if words[word] & bit == 0 { return false }
            }
            return true
        }

        mutating func insert(_ key: Digest128) {
            for number in 0..<positions {
                let (word, bit) = position(key, number)
                words[word] |= bit
            }
        }

        mutating func clear() {
            for index in words.indices { words[index] = 0 }
        }
    }

    private var current: Filter
    private var older: Filter
    /// The keys noted in `current`.
    private var noted = 0
    private(set) var windowObjects: Int

    /// An empty filter whose windows hold `windowObjects` keys each, at least 1.
    init(windowObjects: Int) {
        precondition(windowObjects > 0)
        self.windowObjects = windowObjects
        current = Filter(keys: windowObjects)
        older = Filter(keys: windowObjects)
    }

    /// The bytes of both filters: 3 for each key of the window.
    var byteCount: Int { (current.words.count + older.words.count) * MemoryLayout<UInt64>.stride }

    /// Whether `key` was seen in this window or the one before; it is noted as seen.
    mutating func seenBefore(_ key: Digest128) -> Bool {
        if current.contains(key) { return true }
        let wasSeen = older.contains(key)
        current.insert(key)
        noted += 1
        if noted >= windowObjects { rotate() }
        return wasSeen
    }

    private mutating func rotate() {
        swap(&current, &older)
        let fresh = Filter(keys: windowObjects)
        if current.words.count == fresh.words.count { current.clear() } else { current = fresh }
        noted = 0
    }

    /// Changes the window. The keys of the current window stay known for one window more, those of the
    /// window before are forgotten, unless the current one is still empty.
    ///
    /// `byteCount` follows within one window.
    mutating func resize(windowObjects: Int) {
        precondition(windowObjects > 0)
        guard windowObjects != self.windowObjects else { return }
        self.windowObjects = windowObjects
        if noted > 0 { swap(&current, &older) }
        current = Filter(keys: windowObjects)
        noted = 0
    }
}
