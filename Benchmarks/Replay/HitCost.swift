import EdgePolicy
import EdgePrimitives
import EdgeStore

/// What a hit costs in the tier: lookup of a single stored response, which marks its use.
enum HitCost {
    static func measure() {
        for count in [1_000, 100_000, 1_000_000] {
            let tier = MemoryTier(budgetBytes: 1 << 40, maxVariants: 64)
            let metadata = StoredMetadata(status: 200, responseTime: WallTime(seconds: 0))
            let keys = (0..<count).map { Trace.key([UInt64($0)]) }
            for key in keys {
                tier.insert(StoredResponse(key: key, metadata: metadata, declaredBytes: 1_000))
            }
            var generator = SeededGenerator(seed: 1)
            let rounds = 2_000_000
            // Skewed: the square of a uniform number, so that a quarter of the keys gets half of the
            // requests.
            let order = (0..<rounds).map { _ -> Int in
                let uniform = Double.random(in: 0..<1, using: &generator)
                return Int(uniform * uniform * Double(count))
            }
            var found = 0
            let start = SystemClock.monotonic().nanoseconds
            for position in order {
                if case .single(let response) = tier.lookup(keys[position]) {
                    found &+= response.chargedBytes
                }
            }
            let spent = Double(SystemClock.monotonic().nanoseconds - start) / Double(rounds)
            precondition(found == rounds * 1_000)
            var missed = 0
            let missStart = SystemClock.monotonic().nanoseconds
            for position in order {
                let key = keys[position]
                if case .none = tier.lookup(Digest128(high: key.low, low: key.high)) { missed += 1 }
            }
            let missSpent = Double(SystemClock.monotonic().nanoseconds - missStart) / Double(rounds)
            precondition(missed == rounds)
            let snapshot = tier.snapshot
            print(
                "\(count) responses: hit with its mark \(Int(spent.rounded())) ns, "
                    + "miss \(Int(missSpent.rounded())) ns, "
                    + "index and order \(snapshot.indexBytes / snapshot.count) bytes a response")
        }
    }
}
