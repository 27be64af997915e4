import EdgeTesting
import FuzzKit
import Testing

/// Some thousands of damaged messages with a fixed seed; `make fuzz-wire` sends millions.
@Suite(.wholeNodes) struct FuzzTests {
    private static let seed: UInt64 = 20_261_129

    private static var limits: WireFuzz.Limits {
        var limits = WireFuzz.Limits()
        limits.threads = 4
        limits.batch = 700
        // Other tests run in this process.
        limits.grownBytes = 2 << 30
        limits.grownDescriptors = 4_000
        limits.longestMilliseconds = 15_000
        return limits
    }

    @Test func `damaged messages are read alike in one piece and in many, and fast`() async throws {
        try await onThread {
            var parsers = ParserFuzz(seed: Self.seed)
            try parsers.run(3_000)
            #expect(parsers.count == 3_000)
        }
    }

    @Test func `a node takes damaged requests and is as before`() async throws {
        try await WireFuzz.requests(2_000, seed: Self.seed, limits: Self.limits) { _ in }
    }

    @Test func `a node takes damaged responses and is as before`() async throws {
        try await WireFuzz.responses(2_000, seed: Self.seed, limits: Self.limits) { _ in }
    }
}
