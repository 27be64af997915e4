import EdgePrimitives
import EdgeStore
import Testing

@Suite struct MemoryTierHammerTests {
    @Test func `readers and writers at once leave index and accounts in agreement`() async {
        let tier = MemoryTier(budgetBytes: 200_000, maxVariants: 4)
        let languages: [String?] = [nil, nil, nil, "de", "fr", "it", "es", "pt"]
        await withTaskGroup(of: Void.self) { group in
            for seed in 0..<6 {
                group.addTask {
                    var generator = SeededGenerator(seed: UInt64(seed))
                    for _ in 0..<4_000 { Self.step(tier, languages, &generator) }
                }
            }
            group.addTask {
                for _ in 0..<20 { tier.checkInvariants() }
            }
        }
        tier.checkInvariants()
        #expect(tier.snapshot.evictions > 0)
        #expect(tier.snapshot.fillBytes == 0)
    }

    /// One random act. A response found must be the one asked for, whatever others do meanwhile.
    private static func step(_ tier: MemoryTier, _ languages: [String?], _ generator: inout SeededGenerator) {
        let number = Int.random(in: 0..<300, using: &generator)
        let language = languages[Int.random(in: 0..<languages.count, using: &generator)]
        switch Int.random(in: 0..<20, using: &generator) {
        case 0..<9:
            for response in tier.all(number) {
                #expect(response.key == Fixture.key(number))
                tier.recordHit(response)
            }
        case 9..<15:
            let bytes = Int.random(in: 1...4_000, using: &generator)
            tier.insert(Fixture.response(number, bytes: bytes, language: language))
        case 15:
            if let old = tier.all(number).first {
                tier.replace(old, with: Fixture.response(number, bytes: 50, language: language))
            }
        case 16:
            tier.remove(Fixture.key(number))
        case 17:
            if let last = tier.all(number).last { tier.remove(last) }
        case 18:
            if tier.reserveFill(bytes: 3_000) { tier.releaseFill(bytes: 3_000) }
        default:
            tier.setBudget(Bool.random(using: &generator) ? 200_000 : 150_000)
        }
    }

    @Test func `a key that is replaced over and over is never missing`() async {
        let tier = MemoryTier(budgetBytes: 1_000_000, maxVariants: 4)
        tier.insert(Fixture.response(1))
        await withTaskGroup(of: Int.self) { group in
            group.addTask {
                for _ in 0..<3_000 { tier.insert(Fixture.response(1)) }
                return 0
            }
            group.addTask { (0..<10_000).count { _ in tier.all(1).isEmpty } }
            for await missing in group { #expect(missing == 0) }
        }
    }
}
