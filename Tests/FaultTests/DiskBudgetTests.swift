import EdgePrimitives
import Glibc
import Testing

@testable import EdgeStore

/// A disk tier whose budget changes while it runs.
@Suite struct DiskBudgetTests {
    private static let large: Int64 = 64 << 20
    private static let small: Int64 = 8 << 20

    private static func setBudget(_ bench: TierBench, _ bytes: Int64) {
        bench.tier.setBudget(bytes, backlogBytes: 64 << 20)
        bench.tier.flush()
        waitForRoom(bench, bytes)
        #expect(bench.tier.snapshot.budgetBytes == bytes)
    }

    /// A segment is gone once whoever closes it has had its turn.
    private static func waitForRoom(_ bench: TierBench, _ bytes: Int64) {
        var turns = 0
        while bench.tier.snapshot.usedBytes > bytes, turns < 10_000 {
            bench.tier.flush()
            sched_yield()
            turns += 1
        }
    }

    @Test func `a smaller budget gives up the oldest at once and is kept from then on`() throws {
        var bench = try TierBench(budgetBytes: Self.large)
        for key in 0..<1_500 { bench.insert(key, length: 12_000) }
        #expect(bench.tier.snapshot.usedBytes > 2 * Self.small)
        Self.setBudget(bench, Self.small)
        #expect(bench.tier.snapshot.usedBytes <= Self.small)
        #expect(!bench.has(0))
        #expect(bench.number(1_499) == 0)
        for key in 2_000..<4_000 {
            bench.insert(key, length: 12_000)
            #expect(bench.tier.snapshot.usedBytes <= Self.small)
        }
        #expect(bench.number(3_999) == 0)
        #expect(bench.tier.snapshot.entryCount > 100)
        // What is there outlives the process, which is started with the new budget.
        try bench.restart(budgetBytes: Self.small)
        defer { bench.tier.shutdown() }
        #expect(bench.tier.recovery.droppedSegments == 0)
        #expect(bench.number(3_999) == 0)
    }

    @Test func `a larger budget keeps what there is and takes more`() throws {
        let bench = try TierBench(budgetBytes: Self.small)
        defer { bench.tier.shutdown() }
        for key in 0..<1_500 { bench.insert(key, length: 12_000) }
        let before = bench.tier.snapshot.entryCount
        #expect(!bench.has(0))
        Self.setBudget(bench, Self.large)
        #expect(bench.tier.snapshot.entryCount == before)
        #expect(bench.number(1_499) == 0)
        for key in 2_000..<4_500 { bench.insert(key, length: 12_000, isAdmitted: false) }
        #expect(bench.tier.snapshot.usedBytes > 3 * Self.small)
        #expect(bench.tier.snapshot.usedBytes <= Self.large)
        #expect(bench.number(2_000) == 0)
        #expect(bench.number(1_499) == 0)
    }

    @Test func `bodies of many blocks are whole whatever the budget was when they came`() throws {
        let bench = try TierBench(budgetBytes: Self.large)
        defer { bench.tier.shutdown() }
        let budgets: [Int64] = [Self.large, 16 << 20, Self.large, Self.small, 12 << 20, Self.large]
        for (round, budget) in budgets.enumerated() {
            Self.setBudget(bench, budget)
            bench.insert(round, length: 300_000)
            #expect(Self.isWhole(round, bench), "round \(round)")
        }
        // What came before the last change is still what it was.
        #expect(Self.isWhole(4, bench))
    }

    private static func isWhole(_ key: Int, _ bench: TierBench) -> Bool {
        guard let found = bench.tier.loadNow(DiskContent.key(key)).first?.response else { return false }
        let version = TierBench.version(key, length: 300_000)
        let expected = DiskContent.bytes(version.content, version.length)
        let body = BodyReader.compare(found.body, with: expected)
        return version.difference(found) == nil && body.wrong == nil && body.missingBytes == 0
    }

    @Test func `a disk that fails meanwhile is fitted to the budget when it is back`() throws {
        let bench = try TierBench(budgetBytes: Self.large)
        defer { bench.tier.shutdown() }
        for key in 0..<1_500 { bench.insert(key, length: 12_000) }
        bench.volume.setProbability(1, of: .directoryFails)
        Self.setBudget(bench, Self.small)
        bench.volume.clearFaults()
        bench.tier.checkPlace()
        bench.tier.flush()
        Self.waitForRoom(bench, Self.small)
        #expect(bench.tier.snapshot.usedBytes <= Self.small)
    }

    @Test func `fewer variants are kept from the next one on`() throws {
        let bench = try TierBench()
        defer { bench.tier.shutdown() }
        for language in 0..<6 { bench.tier.insert(Self.variant(language, bench), isAdmitted: true) }
        bench.tier.flush()
        bench.tier.setMaxVariants(2)
        bench.tier.insert(Self.variant(6, bench), isAdmitted: true)
        bench.tier.flush()
        #expect(bench.tier.loadNow(DiskContent.key(1)).count == 2)
    }

    private static func variant(_ language: Int, _ bench: TierBench) -> StoredResponse {
        var version = TierBench.version(1)
        version.slot = Slot(key: 1, language: language)
        return bench.response(version)
    }
}
