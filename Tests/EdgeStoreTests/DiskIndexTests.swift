import EdgePrimitives
import Testing

@testable import EdgeStore

@Suite struct DiskIndexTests {
    private static func location(_ number: Int) -> RecordLocation {
        RecordLocation(generation: UInt32(number % 1_000 + 1), offset: Int64(number) * 64, length: 640)
    }

    private static func entry(
        _ key: Digest128, _ variant: UInt32 = 0, _ kind: DiskIndexEntry.Kind = .response, at number: Int = 1,
        uses: UInt8 = 0, isVerified: Bool = false
    ) -> DiskIndexEntry {
        DiskIndexEntry(
            key: key, variant: variant, kind: kind, location: location(number), uses: uses,
            isVerified: isVerified)
    }

    private static func randomKey(_ generator: inout SeededGenerator) -> Digest128 {
        Digest128(high: generator.next(), low: generator.next())
    }

    private let key = Fixture.key(1)
    private let other = Fixture.key(2)

    // MARK: - Slots

    @Test func `a slot has 32 bytes`() {
        #expect(MemoryLayout<DiskIndexTable.Slot>.size == 32)
        #expect(MemoryLayout<DiskIndexTable.Slot>.stride == 32)
    }

    @Test(arguments: [0, 1, 2, 3] as [UInt8], [false, true])
    func `a slot keeps the largest values apart`(uses: UInt8, isVerified: Bool) {
        let maxOffset = Int64(UInt32.max) * 64
        let maxLength = ((1 << 26) - 1) * 64
        for kind in [DiskIndexEntry.Kind.response, .block] {
            for (offset, length) in [(0, 64), (maxOffset, 64), (0, maxLength), (maxOffset, maxLength)] {
                let location = RecordLocation(generation: .max, offset: offset, length: length)
                let entry = DiskIndexEntry(
                    key: key, variant: .max, kind: kind, location: location, uses: uses,
                    isVerified: isVerified)
                #expect(DiskIndexTable.Slot(entry).entry == entry)
            }
        }
    }

    @Test func `locations that do not fit are refused`() async {
        await #expect(processExitsWith: .failure) { DiskIndexTests.put(offset: 65, length: 64) }
        await #expect(processExitsWith: .failure) { DiskIndexTests.put(offset: -64, length: 64) }
        await #expect(processExitsWith: .failure) { DiskIndexTests.put(offset: 1 << 38, length: 64) }
        await #expect(processExitsWith: .failure) { DiskIndexTests.put(offset: 64, length: 1 << 32) }
        await #expect(processExitsWith: .failure) {
            DiskIndexTests.put(generation: 0, offset: 64, length: 64)
        }
        await #expect(processExitsWith: .success) { DiskIndexTests.put(offset: 64, length: 64) }
    }

    private static func put(generation: UInt32 = 1, offset: Int64, length: Int) {
        let location = RecordLocation(generation: generation, offset: offset, length: length)
        DiskIndex().put(
            DiskIndexEntry(
                key: Fixture.key(1), variant: 0, kind: .response, location: location, uses: 0,
                isVerified: false))
    }

    // MARK: - Operations

    @Test func `an entry is found under its key and kind only`() {
        let index = DiskIndex()
        #expect(index.put(Self.entry(key)) == nil)
        #expect(index.contains(key))
        #expect(index.find(key) == [Self.entry(key)])
        #expect(index.find(key, kind: .block).isEmpty)
        #expect(!index.contains(other))
        #expect(index.find(other).isEmpty)
        #expect(index.count == 1)
        index.checkInvariants()
    }

    @Test func `a block alone does not count as a stored response`() {
        let index = DiskIndex()
        index.put(Self.entry(key, 7, .block))
        #expect(!index.contains(key))
        #expect(index.find(key, kind: .block) == [Self.entry(key, 7, .block)])
        #expect(index.remove(key).isEmpty)
        #expect(index.count == 1)
    }

    @Test func `put replaces the entry of the same variant and kind`() {
        let index = DiskIndex()
        index.put(Self.entry(key, 1, at: 1, uses: 2))
        index.put(Self.entry(key, 1, .block, at: 2))
        index.put(Self.entry(key, 2, at: 3))
        #expect(index.put(Self.entry(key, 1, at: 4)) == Self.entry(key, 1, at: 1, uses: 2))
        #expect(index.count == 3)
        #expect(Self.sorted(index.find(key)) == [Self.entry(key, 1, at: 4), Self.entry(key, 2, at: 3)])
        #expect(index.find(key, kind: .block) == [Self.entry(key, 1, .block, at: 2)])
    }

    @Test func `a record moves only from where it still is`() {
        let index = DiskIndex()
        #expect(!index.move(Self.entry(key, at: 2), from: Self.location(1)))
        #expect(index.count == 0)
        index.put(Self.entry(key, at: 1))
        #expect(!index.move(Self.entry(key, 1, at: 2), from: Self.location(1)))
        #expect(!index.move(Self.entry(key, 0, .block, at: 2), from: Self.location(1)))
        #expect(index.move(Self.entry(key, at: 2, uses: 1), from: Self.location(1)))
        #expect(!index.move(Self.entry(key, at: 3), from: Self.location(1)))
        #expect(index.find(key) == [Self.entry(key, at: 2, uses: 1)])
    }

    @Test func `removal of a key takes all its responses and leaves its blocks`() {
        let index = DiskIndex()
        for variant in 0..<5 as Range<UInt32> {
            index.put(Self.entry(key, variant))
            index.put(Self.entry(key, variant, .block))
        }
        #expect(Self.sorted(index.remove(key)) == (0..<5).map { Self.entry(key, $0) })
        #expect(!index.contains(key))
        #expect(index.find(key, kind: .block).count == 5)
        #expect(index.remove(key).isEmpty)
        #expect(index.count == 5)
        index.checkInvariants()
    }

    @Test func `removal of one entry minds its location where one is given`() {
        let index = DiskIndex()
        index.put(Self.entry(key, 3, at: 5))
        #expect(index.remove(key, variant: 3, kind: .response, at: Self.location(6)) == nil)
        #expect(index.remove(key, variant: 3, kind: .block, at: nil) == nil)
        #expect(index.remove(key, variant: 2, kind: .response, at: nil) == nil)
        let removed = index.remove(key, variant: 3, kind: .response, at: Self.location(5))
        #expect(removed == Self.entry(key, 3, at: 5))
        index.put(Self.entry(key, 3, at: 7))
        #expect(index.remove(key, variant: 3, kind: .response, at: nil) == Self.entry(key, 3, at: 7))
        #expect(index.count == 0)
    }

    @Test func `uses count to three and back to none`() {
        let index = DiskIndex()
        let place = Self.location(1)
        #expect(index.noteUse(key, variant: 0, kind: .block) == nil)
        index.put(Self.entry(key, 0, .block))
        let noted = (0..<5).map { _ in index.noteUse(key, variant: 0, kind: .block) }
        #expect(noted == [0, 1, 2, 3, 3])
        #expect(index.takeUse(key, variant: 0, kind: .block, at: Self.location(2)) == nil)
        #expect(index.takeUse(key, variant: 1, kind: .block, at: place) == nil)
        let taken = (0..<5).map { _ in index.takeUse(key, variant: 0, kind: .block, at: place) }
        #expect(taken == [3, 2, 1, 0, 0])
        #expect(index.find(key, kind: .block) == [Self.entry(key, 0, .block)])
    }

    @Test func `what was verified is verified only where it was`() {
        let index = DiskIndex()
        index.put(Self.entry(key, uses: 2))
        index.markVerified(key, variant: 0, kind: .response, at: Self.location(2))
        index.markVerified(key, variant: 0, kind: .block, at: Self.location(1))
        index.markVerified(other, variant: 0, kind: .response, at: Self.location(1))
        #expect(index.find(key) == [Self.entry(key, uses: 2)])
        index.markVerified(key, variant: 0, kind: .response, at: Self.location(1))
        #expect(index.find(key) == [Self.entry(key, uses: 2, isVerified: true)])
        index.put(Self.entry(key, at: 2))
        #expect(index.find(key) == [Self.entry(key, at: 2)])
    }

    @Test func `removal of everything gives the memory back`() {
        let index = DiskIndex()
        let empty = index.byteCount
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<5_000 { index.put(Self.entry(Self.randomKey(&generator))) }
        #expect(index.byteCount > empty)
        index.removeAll()
        #expect(index.count == 0)
        #expect(index.byteCount == empty)
        index.checkInvariants()
        index.put(Self.entry(key))
        #expect(index.contains(key))
    }

    // MARK: - Tables

    /// All of one shard and one home, the last slot of its table, whatever its size.
    @Test func `keys of one home get along`() {
        let index = DiskIndex()
        let keys = (0..<200).map { Digest128(high: UInt64($0), low: .max) }
        for key in keys { index.put(Self.entry(key)) }
        index.checkInvariants()
        #expect(keys.allSatisfy { index.contains($0) })
        #expect(!index.contains(Digest128(high: 200, low: .max)))
        for key in keys where key.high % 3 != 0 { #expect(index.remove(key).count == 1) }
        index.checkInvariants()
        #expect(keys.allSatisfy { index.contains($0) == ($0.high % 3 == 0) })
    }

    @Test func `a key has many variants and blocks`() {
        let index = DiskIndex()
        for variant in 0..<300 as Range<UInt32> {
            index.put(Self.entry(key, variant, at: Int(variant)))
            index.put(Self.entry(key, variant, .block, at: Int(variant) + 1))
        }
        index.put(Self.entry(other))
        index.checkInvariants()
        #expect(Self.sorted(index.find(key)) == (0..<300).map { Self.entry(key, $0, at: Int($0)) })
        let removed = index.remove(key, variant: 150, kind: .block, at: Self.location(151))
        #expect(removed == Self.entry(key, 150, .block, at: 151))
        #expect(index.find(key, kind: .block).count == 299)
        #expect(index.remove(key).count == 300)
        #expect(index.count == 300)
        index.checkInvariants()
    }

    @Test(arguments: [100, 20_000])
    func `a presized index does not grow`(expected: Int) {
        let index = DiskIndex(expectedCount: expected)
        let bytes = index.byteCount
        var generator = SeededGenerator(seed: UInt64(expected))
        for _ in 0..<expected { index.put(Self.entry(Self.randomKey(&generator))) }
        #expect(index.byteCount == bytes)
        #expect(index.count == expected)
        index.removeAll()
        #expect(index.byteCount == bytes)
    }

    @Test func `growth loses nothing`() {
        let index = DiskIndex()
        var generator = SeededGenerator(seed: 5)
        let keys = (0..<10_000).map { _ in Self.randomKey(&generator) }
        for (number, key) in keys.enumerated() {
            index.put(Self.entry(key, UInt32(number % 7), at: number, uses: UInt8(number % 4)))
        }
        index.checkInvariants()
        for (number, key) in keys.enumerated() {
            let entry = Self.entry(key, UInt32(number % 7), at: number, uses: UInt8(number % 4))
            #expect(index.find(key) == [entry])
        }
    }

    /// No index costs more an entry than the shard of it that costs most. A million entries are 15,625 a
    /// shard.
    @Test func `an entry takes at most 100 bytes at every fill, also while its table grows`() {
        var table = DiskIndexTable(expectedCount: 0)
        var generator = SeededGenerator(seed: 11)
        var (worst, worstAtRest) = (0.0, 0.0)
        for count in 1...40_000 {
            let before = table.byteCount
            _ = table.put(DiskIndexTable.Slot(Self.entry(Self.randomKey(&generator))))
            guard count > 1_000 else { continue }
            // While it grows, the old table is still there.
            let held = table.byteCount + (table.byteCount == before ? 0 : before)
            worst = max(worst, Double(held) / Double(count))
            worstAtRest = max(worstAtRest, Double(table.byteCount) / Double(count))
        }
        #expect(worst <= 100)
        #expect(worstAtRest <= 57)
        table.checkInvariants { _ in true }
    }

    @Test func `a million entries take at most 100 bytes each`() {
        let index = DiskIndex()
        var generator = SeededGenerator(seed: 13)
        for _ in 0..<1_000_000 { index.put(Self.entry(Self.randomKey(&generator))) }
        #expect(index.count == 1_000_000)
        #expect(index.byteCount <= 57_000_000)
    }

    // MARK: - Against a model

    private struct Identity: Hashable {
        var key: Digest128
        var variant: UInt32
        var kind: DiskIndexEntry.Kind
    }

    private static func sorted(_ entries: [DiskIndexEntry]) -> [DiskIndexEntry] {
        entries.sorted { ($0.variant, $0.kind.rawValue) < ($1.variant, $1.kind.rawValue) }
    }

    /// Keys of one shard, a third of them of one home.
    private static func fewKeys(_ generator: inout SeededGenerator) -> [Digest128] {
        (0..<60).map { number in
            let low = number % 3 == 0 ? UInt64.max - 5 : generator.next()
            return Digest128(high: generator.next() >> 6, low: low)
        }
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func `random operations agree with a dictionary`(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let keys = Self.fewKeys(&generator)
        let index = DiskIndex()
        var model: [Identity: DiskIndexEntry] = [:]
        for step in 0..<8_000 {
            let identity = Identity(
                key: keys[Int.random(in: 0..<keys.count, using: &generator)],
                variant: UInt32.random(in: 0..<3, using: &generator),
                kind: Bool.random(using: &generator) ? .response : .block)
            Self.step(index, &model, identity, &generator)
            if step % 400 == 0 { Self.compare(index, model, keys) }
        }
        Self.compare(index, model, keys)
    }

    private static func compare(
        _ index: DiskIndex, _ model: [Identity: DiskIndexEntry], _ keys: [Digest128]
    ) {
        index.checkInvariants()
        #expect(index.count == model.count)
        for key in keys {
            let entries = model.values.filter { $0.key == key }
            let responses = sorted(entries.filter { $0.kind == .response })
            #expect(sorted(index.find(key)) == responses)
            #expect(sorted(index.find(key, kind: .block)) == sorted(entries.filter { $0.kind == .block }))
            #expect(index.contains(key) == !responses.isEmpty)
        }
    }

    private static func step(
        _ index: DiskIndex, _ model: inout [Identity: DiskIndexEntry], _ identity: Identity,
        _ generator: inout SeededGenerator
    ) {
        let (key, variant, kind) = (identity.key, identity.variant, identity.kind)
        let known = model[identity]
        let new = entry(
            key, variant, kind, at: Int.random(in: 0..<4, using: &generator),
            uses: UInt8.random(in: 0...3, using: &generator), isVerified: Bool.random(using: &generator))
        let place = location(Int.random(in: 0..<4, using: &generator))
        let isThere = known?.location == place
        switch Int.random(in: 0..<14, using: &generator) {
        case 0..<5:
            #expect(index.put(new) == known)
            model[identity] = new
        case 5:
            #expect(index.move(new, from: place) == isThere)
            if isThere { model[identity] = new }
        case 6:
            #expect(index.remove(key, variant: variant, kind: kind, at: place) == (isThere ? known : nil))
            if isThere { model[identity] = nil }
        case 7, 8:
            #expect(index.remove(key, variant: variant, kind: kind, at: nil) == known)
            model[identity] = nil
        case 9 where Int.random(in: 0..<4, using: &generator) == 0:
            let responses = model.values.filter { $0.key == key && $0.kind == .response }
            #expect(sorted(index.remove(key)) == sorted(responses))
            model = model.filter { $0.key.key != key || $0.key.kind != .response }
        case 10:
            #expect(index.noteUse(key, variant: variant, kind: kind) == known?.uses)
            if let known { model[identity]?.uses = min(3, known.uses + 1) }
        case 11:
            let taken = index.takeUse(key, variant: variant, kind: kind, at: place)
            #expect(taken == (isThere ? known?.uses : nil))
            if isThere, let known { model[identity]?.uses = known.uses - min(1, known.uses) }
        case 12:
            index.markVerified(key, variant: variant, kind: kind, at: place)
            if isThere { model[identity]?.isVerified = true }
        default:
            #expect(index.contains(key) == model.keys.contains { $0.key == key && $0.kind == .response })
        }
    }

    // MARK: - Threads

    @Test func `two threads at once leave the tables whole`() async {
        let index = DiskIndex()
        await withTaskGroup(of: Void.self) { group in
            for thread in 0..<2 as Range<UInt32> {
                group.addTask { Self.hammer(index, variant: thread) }
            }
            group.addTask {
                for _ in 0..<20 { index.checkInvariants() }
            }
        }
        index.checkInvariants()
        #expect(index.count > 0)
    }

    /// Each thread has a variant of its own under shared keys, and knows what must be there.
    private static func hammer(_ index: DiskIndex, variant: UInt32) {
        var generator = SeededGenerator(seed: UInt64(variant))
        let keys: [Digest128] = (0..<100).map { (number: UInt64) -> Digest128 in
            let shardBits: UInt64 = (number % 3) << 58
            return Digest128(high: shardBits | number, low: (number / 10) << 60)
        }
        var places: [Int: Int] = [:]
        for step in 0..<5_000 {
            let number = Int.random(in: 0..<keys.count, using: &generator)
            let key = keys[number]
            let known = places[number].map(location)
            switch Int.random(in: 0..<4, using: &generator) {
            case 0:
                #expect(index.put(entry(key, variant, at: step))?.location == known)
                places[number] = step
            case 1:
                let removed = index.remove(key, variant: variant, kind: .response, at: nil)
                #expect(removed?.location == known)
                places[number] = nil
            case 2:
                let found = index.find(key).first { $0.variant == variant }
                #expect(found?.location == known)
            default:
                #expect((index.noteUse(key, variant: variant, kind: .response) == nil) == (known == nil))
            }
        }
    }

    @Test func `of two that move a record one wins`() async {
        let index = DiskIndex()
        index.put(Self.entry(key, at: 0))
        let key = key
        let wins = await withTaskGroup(of: Int.self) { group in
            for _ in 0..<2 {
                group.addTask {
                    (0..<2_000).count { number in
                        index.move(Self.entry(key, at: number + 1), from: Self.location(number))
                    }
                }
            }
            return await group.reduce(0, +)
        }
        #expect(wins <= 2_000)
        #expect(index.find(key) == [Self.entry(key, at: wins)])
    }
}
