import EdgePolicy
import EdgePrimitives
import NIOCore
import Testing

@testable import EdgeStore

/// A disk tier on a simulated volume, used step by step.
struct TierBench {
    static let budgetBytes: Int64 = 4 << 20
    static let geometry = DiskGeometry(budgetBytes: budgetBytes)

    private(set) var volume: SimulatedVolume
    private(set) var tier: DiskTier

    init(volume: SimulatedVolume = SimulatedVolume(seed: 4), budgetBytes: Int64 = budgetBytes) throws {
        self.volume = volume
        tier = try DiskTier(volume: volume, budgetBytes: budgetBytes, backlogBytes: 64 << 20)
    }

    /// Ends the process and begins another one; `change` meddles in between.
    mutating func restart(
        budgetBytes: Int64 = budgetBytes, backlogBytes: Int = 64 << 20,
        _ change: (SimulatedVolume) throws -> Void = { _ in }
    ) throws {
        let next = volume.kill()
        tier.shutdown()
        volume = next
        try change(next)
        tier = try DiskTier(volume: next, budgetBytes: budgetBytes, backlogBytes: backlogBytes)
    }

    static func version(_ key: Int, _ number: Int = 0, length: Int = 1_000) -> Version {
        Version(
            number: number, slot: Slot(key: key, language: 0), content: UInt64(key * 1_000 + number),
            length: length, hasValidator: true, isPartial: false,
            metadata: StoredMetadata(status: 200, responseTime: WallTime(seconds: 7)), tags: [])
    }

    func response(_ version: Version) -> StoredResponse {
        version.response(
            .memory(DiskContent.buffer(version.content, version.length)), bodyID: version.bodyID(tier))
    }

    func insert(_ key: Int, _ number: Int = 0, length: Int = 1_000, isAdmitted: Bool = true) {
        tier.insert(response(Self.version(key, number, length: length)), isAdmitted: isAdmitted)
        tier.flush()
    }

    /// The number of what is found under the key.
    func number(_ key: Int) -> Int? {
        tier.loadNow(DiskContent.key(key)).first.flatMap { DiskContent.number($0.response) }
    }

    func has(_ key: Int) -> Bool { tier.mayHold(DiskContent.key(key)) }

    func remove(_ key: Int) {
        tier.remove(DiskContent.key(key))
        tier.flush()
    }

    /// Stores fillers until `isDone`, from key 10,000 on; false if that never comes.
    func fill(length: Int = 12_000, until isDone: () -> Bool) -> Bool {
        for key in 10_000..<12_000 {
            if isDone() { return true }
            insert(key, length: length)
        }
        return false
    }

    func isThere(_ generation: UInt32) -> Bool {
        volume.names.contains(DiskFormat.segmentName(generation))
    }
}

@Suite struct DiskTierTests {
    // MARK: Starting

    @Test func theReportTellsWhatWasFound() throws {
        var bench = try TierBench()
        for key in 0..<10 { bench.insert(key) }
        bench.insert(0, 1)
        bench.insert(20, length: 40_000)
        bench.insert(21, length: 20_000)
        bench.remove(5)
        try bench.restart { volume in
            volume.place("notes.txt", [1, 2, 3])
            volume.placeGarbage("00000abc.segment", count: 9_000)
            volume.placeGarbage("00000abc.journal", count: 9_000)
            volume.placeGarbage("00000abd.journal", count: 100)
        }
        defer { bench.tier.shutdown() }
        let report = bench.tier.recovery
        #expect(report.responses == 11)
        #expect(report.blocks == 3 + 2)
        #expect(report.segments == 1)
        #expect(report.droppedSegments == 2)
        #expect(report.foreignFiles == 1)
        #expect(report.damagedEntries == 0)
        #expect(bench.volume.names.contains("notes.txt"))
        #expect(!bench.volume.names.contains("00000abc.segment"))
        #expect(bench.number(0) == 1)
        #expect(bench.number(5) == nil)
    }

    @Test func damagedEntriesAreCounted() throws {
        var bench = try TierBench()
        for key in 0..<10 { bench.insert(key) }
        try bench.restart { volume in
            let first = Int(DiskFormat.firstOffset)
            volume.flipBits(count: 1, in: DiskFormat.journalName(1), range: first + 64..<first + 128)
        }
        defer { bench.tier.shutdown() }
        #expect(bench.tier.recovery.damagedEntries == 1)
        #expect(bench.tier.recovery.responses == 9)
    }

    @Test func theOpenSegmentIsWrittenFurther() throws {
        var bench = try TierBench()
        for life in 0..<5 {
            bench.insert(life)
            try bench.restart()
        }
        defer { bench.tier.shutdown() }
        #expect(bench.tier.snapshot.segmentCount == 1)
        #expect(bench.tier.recovery.responses == 5)
        for life in 0..<5 { #expect(bench.number(life) == 0) }
    }

    /// A power cut may leave entries behind one that is lost. They don't count, nor later, when the gap was
    /// written over.
    @Test(arguments: 1..<5) func entriesBehindAGapDoNotComeBack(_ written: Int) throws {
        var bench = try TierBench()
        for key in 0..<6 { bench.insert(key) }
        try bench.restart { volume in
            let journal = DiskFormat.journalName(1)
            var content = try #require(volume.content(of: journal))
            let place = Int(DiskFormat.firstOffset) + 2 * DiskFormat.entryBytes
            content.replaceSubrange(
                place..<place + DiskFormat.entryBytes, with: [UInt8](0, DiskFormat.entryBytes))
            volume.place(journal, content)
        }
        #expect((0..<6).filter { bench.has($0) } == [0, 1])
        for key in 0..<written { bench.insert(50 + key) }
        for _ in 0..<2 {
            try bench.restart()
            #expect((0..<6).filter { bench.has($0) } == [0, 1])
            for key in 0..<written { #expect(bench.number(50 + key) == 0) }
        }
        bench.tier.shutdown()
    }

    @Test(arguments: ["volume", "00000001.segment", "00000001.journal"])
    func aNewerFormatIsLeftAsItIs(_ name: String) throws {
        let bench = try TierBench()
        bench.insert(1)
        let volume = bench.volume.kill()
        bench.tier.shutdown()
        var content = try #require(volume.content(of: name))
        content[8] = 2
        // The checksum stands behind 40 bytes of header.
        let checksum = CRC32C.checksum(Array(content[..<40]))
        withUnsafeBytes(of: checksum.littleEndian) { content.replaceSubrange(40..<44, with: $0) }
        volume.place(name, content)
        volume.placeGarbage("00000009.journal", count: 50)
        let before = volume.names.map { ($0, volume.content(of: $0)) }
        let error = #expect(throws: DiskTierError.self) {
            try DiskTier(volume: volume, budgetBytes: TierBench.budgetBytes, backlogBytes: 0)
        }
        guard case .newerFormat(2)? = error else {
            Issue.record("\(String(describing: error)) instead of a newer format")
            return
        }
        let after = volume.names.map { ($0, volume.content(of: $0)) }
        #expect(before.map(\.0) == after.map(\.0))
        #expect(before.map(\.1) == after.map(\.1))
    }

    @Test func tooSmallABudgetIsRefused() {
        #expect(throws: DiskTierError.self) {
            try DiskTier(volume: SimulatedVolume(seed: 1), budgetBytes: 4 << 20 - 1, backlogBytes: 0)
        }
    }

    @Test func theLargestGenerationOfForeignFilesIsNoTrap() throws {
        var bench = try TierBench()
        bench.insert(1)
        try bench.restart { volume in
            volume.placeGarbage("ffffffff.segment", count: 5_000)
            volume.placeGarbage("ffffffff.journal", count: 5_000)
        }
        bench.insert(2)
        try bench.restart()
        defer { bench.tier.shutdown() }
        #expect(bench.number(1) == 0)
        #expect(bench.number(2) == 0)
    }

    @Test func aSmallerBudgetGivesUpTheOldest() throws {
        var bench = try TierBench(budgetBytes: 8 << 20)
        for key in 0..<500 { bench.insert(key, length: 12_000) }
        let most = (0..<500).filter { bench.has($0) }.count
        try bench.restart(budgetBytes: 4 << 20)
        defer { bench.tier.shutdown() }
        #expect(bench.tier.snapshot.usedBytes <= 4 << 20)
        let sizes = bench.volume.names.map { bench.volume.content(of: $0)?.count ?? 0 }
        #expect(sizes.reduce(0, +) <= 4 << 20)
        let left = (0..<500).filter { bench.has($0) }
        #expect(left.count > most / 4 && left.count < most * 2 / 3)
        #expect(left == Array((500 - left.count)..<500))
        for key in left { #expect(bench.number(key) == 0) }
        #expect(bench.tier.recovery.responses == left.count)
    }

    /// A budget that whole segments fill to the last byte leaves no place for anything else.
    @Test(arguments: [Int64(4_317_184), 4_456_448]) func theVolumesOwnFileCounts(_ budget: Int64) throws {
        let bench = try TierBench(budgetBytes: budget)
        defer { bench.tier.shutdown() }
        #expect(bench.fill { bench.tier.snapshot.evictions > 0 })
        let sizes = bench.volume.names.map { bench.volume.content(of: $0)?.count ?? 0 }
        #expect(Int64(sizes.reduce(0, +)) <= budget)
    }

    // MARK: Admission and eviction

    @Test func onceFullOnlyWhatWasSeenBeforeIsTaken() throws {
        let bench = try TierBench()
        defer { bench.tier.shutdown() }
        bench.insert(1, isAdmitted: false)
        #expect(bench.number(1) == 0)
        #expect(bench.fill { bench.tier.snapshot.evictions > 0 })
        let refusals = bench.tier.snapshot.refusals
        bench.insert(2, isAdmitted: false)
        #expect(!bench.has(2))
        #expect(bench.tier.snapshot.refusals == refusals + 1)
        bench.insert(2, 1, isAdmitted: false)
        #expect(bench.number(2) == 1)
        // What is there is replaced without being asked for.
        bench.insert(2, 2, isAdmitted: false)
        #expect(bench.number(2) == 2)
        #expect(!bench.tier.admits(DiskContent.key(3)))
        #expect(bench.tier.admits(DiskContent.key(3)))
    }

    @Test func whatWasUsedOutlivesItsSegment() throws {
        var bench = try TierBench()
        for key in 0..<20 { bench.insert(key) }
        for key in 0..<5 { #expect(bench.number(key) == 0) }
        #expect(bench.fill { !bench.isThere(1) })
        #expect(bench.tier.snapshot.bytesRewritten > 0)
        for key in 0..<5 { #expect(bench.has(key), "key \(key)") }
        for key in 5..<20 { #expect(!bench.has(key), "key \(key)") }
        try bench.restart()
        defer { bench.tier.shutdown() }
        for key in 0..<5 { #expect(bench.number(key) == 0) }
        for key in 5..<20 { #expect(bench.number(key) == nil) }
    }

    /// The use that saved it is used up: without another it goes the next time.
    @Test func aUseSavesOnce() throws {
        let bench = try TierBench()
        defer { bench.tier.shutdown() }
        bench.insert(1)
        #expect(bench.number(1) == 0)
        #expect(bench.fill { !bench.isThere(1) })
        #expect(bench.has(1))
        #expect(bench.fill { !bench.has(1) })
    }

    @Test func whatMemoryHoldsIsInUse() throws {
        let bench = try TierBench()
        defer { bench.tier.shutdown() }
        bench.tier.setResidency { $0 == DiskContent.key(3) }
        for key in 0..<6 { bench.insert(key) }
        #expect(bench.fill { !bench.isThere(1) })
        #expect((0..<6).filter { bench.has($0) } == [3])
    }

    /// However much of a segment was used, no more than half of one is written again.
    @Test func reinsertionHasABound() throws {
        let bench = try TierBench()
        defer { bench.tier.shutdown() }
        var keys = 0
        while !bench.isThere(2), keys < 1_000 {
            bench.insert(keys)
            keys += 1
        }
        for key in 0..<keys { #expect(bench.number(key) == 0) }
        #expect(bench.fill { !bench.isThere(1) })
        let rewritten = bench.tier.snapshot.bytesRewritten
        #expect(rewritten > UInt64(TierBench.geometry.segmentBytes / 4))
        #expect(rewritten <= UInt64(TierBench.geometry.segmentBytes / 2))
        #expect((0..<keys).contains { !bench.has($0) })
    }

    /// A removal that comes while a used record is being written again.
    @Test func whatIsRemovedWhileItMovesStaysRemoved() throws {
        var bench = try TierBench()
        bench.insert(1)
        #expect(bench.number(1) == 0)
        let tier = bench.tier
        let isTried = Answer()
        #expect(bench.fill { bench.tier.snapshot.segmentCount > 30 })
        bench.volume.beforeOperation = { operation in
            guard operation.kind == .read, operation.name == DiskFormat.segmentName(1) else { return }
            tier.remove(DiskContent.key(1))
            isTried.set(true)
        }
        #expect(bench.fill { !bench.isThere(1) })
        bench.volume.beforeOperation = nil
        #expect(isTried.isTrue)
        #expect(!bench.has(1))
        try bench.restart()
        defer { bench.tier.shutdown() }
        #expect(!bench.has(1))
    }

    // MARK: What must not come back

    /// Its segment is being given up, but its files are still there.
    @Test func whatIsRemovedWhileItsSegmentLeavesStaysRemoved() throws {
        var bench = try TierBench()
        for key in 0..<4 { bench.insert(key) }
        #expect(bench.fill { !bench.has(1) || !bench.isThere(1) })
        for key in 0..<4 { bench.remove(key) }
        try bench.restart()
        defer { bench.tier.shutdown() }
        for key in 0..<4 { #expect(!bench.has(key)) }
    }

    /// Memory lets go of a response before its turn to be written: the one it replaced is gone all the same.
    @Test func whatWasReplacedByOneThatWasNotWrittenStaysAway() throws {
        var bench = try TierBench()
        bench.insert(1)
        try bench.restart(backlogBytes: 0)
        let entered = WorkerGate()
        let release = WorkerGate()
        let blocks = bench.tier.blocks(Digest128(high: 1, low: 2))
        let bytes = ByteBuffer(repeating: 1, count: 8)
        let isTaken = bench.tier.write(bytes, at: 0, of: blocks, completeLength: 8) { _ in
            entered.open()
            release.wait()
        }
        #expect(isTaken)
        entered.wait()
        bench.tier.insert(bench.response(TierBench.version(1, 1)))
        release.open()
        bench.tier.flush()
        #expect(bench.tier.snapshot.backlogDrops == 1)
        try bench.restart()
        defer { bench.tier.shutdown() }
        #expect(!bench.has(1))
    }

    /// A read fails once, the response is removed, and the process starts again.
    @Test func whatWasRemovedAfterAReadFailedStaysRemoved() throws {
        var bench = try TierBench()
        bench.insert(1)
        try bench.restart()
        bench.volume.schedule(.readFails)
        #expect(bench.number(1) == nil)
        bench.remove(1)
        try bench.restart()
        defer { bench.tier.shutdown() }
        #expect(bench.number(1) == nil)
    }

    /// The oldest segment's files cannot be removed for a while. What was in it and was removed stays away.
    @Test func aSegmentWhoseFilesStayDoesNotComeBack() throws {
        var bench = try TierBench()
        bench.insert(1)
        #expect(bench.fill { bench.tier.snapshot.segmentCount > 32 })
        bench.remove(1)
        bench.volume.setProbability(1, of: .directoryFails)
        for key in 20_000..<20_030 { bench.insert(key, length: 12_000) }
        #expect(bench.tier.snapshot.health != .good)
        let sizes = bench.volume.names.map { bench.volume.content(of: $0)?.count ?? 0 }
        #expect(Int64(sizes.reduce(0, +)) <= TierBench.budgetBytes)
        bench.volume.clearFaults()
        try bench.restart()
        defer { bench.tier.shutdown() }
        #expect(!bench.has(1))
    }

    // MARK: Blocks

    @Test func aStrongValidatorFindsTheBlocksOfAnEarlierPull() throws {
        var bench = try TierBench()
        bench.insert(1, length: 60_000)
        let written = bench.tier.snapshot.bytesWritten
        #expect(written > 60_000)
        bench.remove(1)
        try bench.restart()
        defer { bench.tier.shutdown() }
        let version = TierBench.version(1, length: 60_000)
        let blocks = bench.tier.blocks(version.bodyID(bench.tier))
        let block = try #require(blocks.block(at: 30_000, of: 60_000))
        #expect(blocks.isStored(block))
        #expect(bench.tier.blocks(version.bodyID(bench.tier)).id == blocks.id)
        bench.insert(1, length: 60_000)
        #expect(bench.tier.snapshot.bytesWritten < 20_000)
        let response = try #require(bench.tier.loadNow(DiskContent.key(1)).first?.response)
        let outcome = BodyReader.compare(
            response.body, with: DiskContent.bytes(version.content, version.length))
        #expect(outcome.wrong == nil && outcome.readBytes == 60_000)
    }

    /// The index knows a block from the journal, but a power cut took its bytes.
    @Test func aBlockThatDoesNotProveItselfIsWrittenAgain() throws {
        var bench = try TierBench()
        bench.insert(1, length: 60_000)
        bench.remove(1)
        try bench.restart { volume in
            var content = try #require(volume.content(of: DiskFormat.segmentName(1)))
            let start = Int(DiskFormat.firstOffset) + 20_000
            content.replaceSubrange(start..<start + 512, with: [UInt8](0, 512))
            volume.place(DiskFormat.segmentName(1), content)
        }
        bench.insert(1, length: 60_000)
        try bench.restart()
        defer { bench.tier.shutdown() }
        let version = TierBench.version(1, length: 60_000)
        let response = try #require(bench.tier.loadNow(DiskContent.key(1)).first?.response)
        let outcome = BodyReader.compare(
            response.body, with: DiskContent.bytes(version.content, version.length))
        #expect(outcome.wrong == nil && outcome.readBytes == 60_000)
    }

    /// A validation writes the fields again and not the body.
    @Test func aRefreshWritesTheFieldsOnly() throws {
        let bench = try TierBench()
        defer { bench.tier.shutdown() }
        let old = bench.response(TierBench.version(1, length: 60_000))
        bench.tier.insert(old)
        bench.tier.flush()
        let written = bench.tier.snapshot.bytesWritten
        let version = TierBench.version(1, 1, length: 60_000)
        let new = old.freshened(
            metadata: version.metadata, fields: version.fields, head: version.head,
            secondaryKey: old.secondaryKey, pulledAt: .zero)
        bench.tier.insert(new, isRefresh: true)
        bench.tier.flush()
        #expect(bench.number(1) == 1)
        #expect(bench.tier.snapshot.bytesWritten - written < 4_096)
    }

    @Test func anotherRepresentationHasBlocksOfItsOwn() throws {
        let bench = try TierBench()
        defer { bench.tier.shutdown() }
        let validator = StrongValidator.entityTag(Array("\"a\"".utf8))
        let key = DiskContent.key(1)
        func id(
            _ key: Digest128, _ slot: Slot?, _ validator: StrongValidator?, _ length: Int64
        ) -> Digest128 {
            let secondaryKey = slot?.secondaryKey
            return bench.tier.bodyID(
                key: key, secondaryKey: secondaryKey, validator: validator, length: length, pulledAt: .zero)
        }
        let ids = [
            id(key, nil, validator, 100), id(key, nil, validator, 101),
            id(DiskContent.key(2), nil, validator, 100), id(key, Slot(key: 1, language: 1), validator, 100),
            id(key, Slot(key: 1, language: 2), validator, 100),
            id(key, nil, .entityTag(Array("\"b\"".utf8)), 100), id(key, nil, nil, 100),
            id(key, nil, nil, 100),
        ]
        #expect(Set(ids).count == ids.count)
        #expect(id(key, nil, validator, 100) == ids[0])
    }

    @Test func blocksOfABodyOnItsWayAreWritten() throws {
        let bench = try TierBench()
        defer { bench.tier.shutdown() }
        let version = TierBench.version(1, length: 40_000)
        let bytes = DiskContent.bytes(version.content, version.length)
        let blocks = bench.tier.blocks(version.bodyID(bench.tier))
        var offset = 0
        while let block = blocks.block(at: Int64(offset), of: 40_000) {
            let part = ByteBuffer(bytes: bytes[offset..<Int(block.range.upperBound)])
            let answer = Answer()
            let isTaken = bench.tier.write(part, at: Int64(offset), of: blocks, completeLength: 40_000) {
                answer.set($0)
            }
            bench.tier.flush()
            #expect(isTaken && answer.isTrue)
            offset = Int(block.range.upperBound)
        }
        let body = SparseBody(completeLength: 40_000, blocks: blocks)
        bench.tier.insert(version.response(.sparse(body), bodyID: nil))
        bench.tier.flush()
        let response = try #require(bench.tier.loadNow(DiskContent.key(1)).first?.response)
        #expect(BodyReader.compare(response.body, with: bytes).readBytes == 40_000)
    }

    /// Who reads a block goes on reading it when its segment leaves; until then its space counts.
    @Test func aRegionOutlivesItsSegment() async throws {
        let bench = try TierBench()
        defer { bench.tier.shutdown() }
        bench.insert(1, length: 40_000)
        let version = TierBench.version(1, length: 40_000)
        let bytes = DiskContent.bytes(version.content, version.length)
        let blocks = bench.tier.blocks(version.bodyID(bench.tier))
        let block = try #require(blocks.block(at: 0, of: 40_000))
        #expect(blocks.region(of: block) == nil)
        #expect(BodyReader.prepare(block, of: blocks))
        var region = blocks.region(of: block)
        // Its one use saves the block for once, but not its place in the first segment.
        #expect(bench.fill { !bench.isThere(1) })
        let whole = try #require(region.flatMap { BodyReader.bytes($0) })
        #expect(DiskContent.isEqual(whole, bytes[..<block.count]))
        let part = try #require(region.flatMap { BodyReader.bytes($0.slice(100..<5_000)) })
        #expect(DiskContent.isEqual(part, bytes[100..<5_000]))
        let used = bench.tier.snapshot.usedBytes
        #expect(used <= TierBench.budgetBytes)
        region = nil
        // Its files are closed by another thread.
        for _ in 0..<1_000 where bench.tier.snapshot.usedBytes == used {
            try await Task.sleep(for: .milliseconds(2))
        }
        #expect(bench.tier.snapshot.usedBytes == used - TierBench.geometry.segmentCost)
    }
}
