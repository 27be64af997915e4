import EdgePrimitives
import Foundation

/// A model of a CDN cache's traffic: buckets of responses with the share of requests that each bucket gets,
/// and a histogram of sizes drawn independently. Requests are drawn with a fixed seed.
struct TrafficModel {
    private struct Popularity: Decodable {
        let oneHits: Double
        let popularityWeights: [Double]
        let popularityBuckets: [Double]
    }

    private struct Sizes: Decodable {
        let valSizeRange: [Double]
        let valSizeRangeProbability: [Double]
    }

    private let popularity: Popularity
    /// Sums of the buckets' shares and of the histogram, for drawing by binary search.
    private let bucketSums: [Double]
    private let bucketStarts: [UInt64]
    private let sizeSums: [Double]
    private let sizes: [Double]

    init?(folder: URL) {
        let model = folder.appendingPathComponent("meta-cdn-model")
        guard let first = try? Data(contentsOf: model.appendingPathComponent("pop.json")),
            let second = try? Data(contentsOf: model.appendingPathComponent("sizes.json")),
            let popularity = try? JSONDecoder().decode(Popularity.self, from: first),
            let sizes = try? JSONDecoder().decode(Sizes.self, from: second)
        else { return nil }
        self.popularity = popularity
        bucketSums = Self.sums(popularity.popularityWeights)
        bucketStarts = Self.sums(popularity.popularityBuckets).map { UInt64($0) }
        sizeSums = Self.sums(sizes.valSizeRangeProbability)
        self.sizes = sizes.valSizeRange
    }

    /// `count` requests. With `crawlShare`, in the middle third every request comes with that probability
    /// from a crawler that asks for each response once; its positions are returned beside.
    func draw(count: Int, crawlShare: Double, seed: UInt64) -> (requests: [TraceRequest], isCrawl: [Bool]) {
        var regular = SeededGenerator(seed: seed)
        var crawler = SeededGenerator(seed: seed ^ 0x6372_6177)
        var requests: [TraceRequest] = []
        var isCrawl: [Bool] = []
        requests.reserveCapacity(count)
        var fresh: UInt64 = 1 << 40
        while requests.count < count {
            let position = requests.count
            let inMiddle = position >= count / 3 && position < count * 2 / 3
            if inMiddle, Double.random(in: 0..<1, using: &crawler) < crawlShare {
                fresh += 1
                requests.append(request(fresh))
                isCrawl.append(true)
                continue
            }
            requests.append(request(nextIdentity(&regular, once: &fresh)))
            isCrawl.append(false)
        }
        return (requests, isCrawl)
    }

    private func nextIdentity(_ generator: inout SeededGenerator, once: inout UInt64) -> UInt64 {
        if Double.random(in: 0..<1, using: &generator) < popularity.oneHits {
            once += 1
            return once
        }
        let bucket = Self.find(bucketSums, Double.random(in: 0..<1, using: &generator))
        let start = bucket == 0 ? 0 : bucketStarts[bucket - 1]
        return UInt64.random(in: start..<max(start + 1, bucketStarts[bucket]), using: &generator)
    }

    /// A response's size follows from its identity, so that every request for it agrees.
    private func request(_ identity: UInt64) -> TraceRequest {
        var own = SeededGenerator(seed: identity &* 0x9e37_79b9)
        let bucket = Self.find(sizeSums, Double.random(in: 0..<1, using: &own))
        let upper = Int(sizes[min(bucket + 1, sizes.count - 1)])
        let lower = Int(sizes[bucket])
        let bytes = upper > lower ? Int.random(in: lower..<upper, using: &own) : lower
        return TraceRequest(key: Trace.key([identity]), bytes: bytes)
    }

    private static func sums(_ values: [Double]) -> [Double] {
        var sum = 0.0
        return values.map {
            sum += $0
            return sum
        }
    }

    /// The first index whose sum is above `share` of the whole.
    private static func find(_ sums: [Double], _ share: Double) -> Int {
        let wanted = share * (sums.last ?? 0)
        var low = 0
        var high = sums.count - 1
        while low < high {
            let middle = (low + high) / 2
            if sums[middle] > wanted { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
