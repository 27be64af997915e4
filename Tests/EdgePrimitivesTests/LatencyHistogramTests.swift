import EdgePrimitives
import Testing

struct LatencyHistogramTests {
    @Test func `bounds ascend from 5 µs to 50 s`() {
        let bounds = LatencyHistogram.bounds
        #expect(bounds.first == 5_000)
        #expect(bounds.last == 50_000_000_000)
        #expect(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 && $1 <= $0 * 2 })
    }

    @Test func `a bound belongs to its own bucket, what is above to the next`() throws {
        for (index, bound) in LatencyHistogram.bounds.enumerated() {
            let histogram = LatencyHistogram()
            histogram.record(nanoseconds: bound)
            histogram.record(nanoseconds: bound + 1)
            let counts = histogram.snapshot.counts
            #expect(counts[index] == 1)
            #expect(counts[index + 1] == 1)
            #expect(histogram.snapshot.sumNanoseconds == UInt64(2 * bound + 1))
        }
    }

    @Test func `what is less than none counts as none`() {
        let histogram = LatencyHistogram()
        histogram.record(nanoseconds: -5)
        histogram.record(from: MonotonicTime(nanoseconds: 9), to: MonotonicTime(nanoseconds: 4))
        #expect(histogram.snapshot.counts[0] == 2)
        #expect(histogram.snapshot.sumNanoseconds == 0)
    }

    @Test func `nothing recorded has no quantile`() {
        #expect(LatencyHistogram().snapshot.quantile(0.5) == nil)
        #expect(LatencyHistogram().snapshot.count == 0)
    }

    @Test(arguments: [0.0, 0.01, 0.5, 0.9, 0.99, 1.0])
    func `quantiles lie in the bucket of the true one`(quantile: Double) throws {
        // Latencies 10 µs, 20 µs, … 10 ms.
        let histogram = LatencyHistogram()
        let latencies = (1...1_000).map { Int64($0) * 10_000 }
        for latency in latencies.shuffled() { histogram.record(nanoseconds: latency) }
        let exact = latencies[max(0, Int((quantile * 1_000).rounded(.up)) - 1)]
        let estimate = try #require(histogram.snapshot.quantile(quantile))
        let upper = try #require(LatencyHistogram.bounds.first { $0 >= exact })
        let lower = LatencyHistogram.bounds.last { $0 < exact } ?? 0
        #expect(estimate >= lower && estimate <= upper, "\(estimate) for \(exact)")
    }

    @Test func `beyond the last bound the quantile is that bound`() {
        let histogram = LatencyHistogram()
        histogram.record(nanoseconds: .max / 2)
        #expect(histogram.snapshot.quantile(0.5) == LatencyHistogram.bounds.last)
    }

    @Test func `snapshots add up`() {
        let (left, right) = (LatencyHistogram(), LatencyHistogram())
        left.record(nanoseconds: 6_000)
        right.record(nanoseconds: 6_000)
        right.record(nanoseconds: 1_000_000)
        let sum = left.snapshot + right.snapshot
        #expect(sum.count == 3)
        #expect(sum.sumNanoseconds == 1_012_000)
    }

    @Test func `threads lose nothing`() async {
        let histogram = LatencyHistogram()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask { for value in 0..<10_000 { histogram.record(nanoseconds: Int64(value)) } }
            }
        }
        #expect(histogram.snapshot.count == 40_000)
        #expect(histogram.snapshot.sumNanoseconds == 4 * 49_995_000)
    }
}
