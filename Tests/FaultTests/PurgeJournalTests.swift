import EdgePrimitives
import Synchronization
import Testing

@testable import EdgeStore

/// The journal of purges on a disk that fails and on one that loses its power: a purge that was acknowledged holds.
@Suite struct PurgeJournalTests {
    private static func purge(_ number: Int) -> Purge {
        Purge(
            scope: .tag(Array("tag-\(number)".utf8)), isSoft: number % 7 == 3, value: "tag-\(number)",
            client: "192.0.2.1")
    }

    /// Appends purges at once and waits for all: the positions of those that were acknowledged, nil for failures.
    private static func append(_ purges: [Purge], to journal: PurgeJournal) async -> [PurgePosition?] {
        await withTaskGroup(of: (Int, PurgePosition?).self) { group in
            for (index, purge) in purges.enumerated() {
                group.addTask {
                    let result = await withCheckedContinuation { continuation in
                        journal.append(purge) { continuation.resume(returning: $0) }
                    }
                    return (index, try? result.get().position)
                }
            }
            var positions = [PurgePosition?](repeating: nil, count: purges.count)
            for await (index, position) in group { positions[index] = position }
            return positions
        }
    }

    private static func verdict(_ journal: PurgeJournal, _ purge: Purge, pulledAt: PurgePosition)
        -> PurgeVerdict
    {
        guard case .tag(let tag) = purge.scope else { return .untouched }
        return journal.stamps.verdict(
            pulledAt: pulledAt, keyText: Array("http://a.example/".utf8), tags: [tag])
    }

    @Test func `every purge is there after a restart, with its time, caller and place`() async throws {
        let volume = SimulatedVolume(seed: 1)
        let first = try PurgeJournal(volume: volume)
        #expect(first.finding == .none)
        let scopes: [PurgeScope] = [
            .url(Array("//a.example/x?y".utf8)), .anyQuery(Array("//a.example/x".utf8)),
            .prefix(Array("//a.example/".utf8)), .host(Array("a.example:81".utf8)), .tag([0xC3, 0xA4]), .all,
        ]
        let purges = scopes.enumerated().map { index, scope in
            Purge(scope: scope, isSoft: index % 2 == 0, value: "välue \(index)", client: "::1")
        }
        var positions: [PurgePosition?] = []
        for purge in purges { positions += await Self.append([purge], to: first) }
        let before = first.recent(10)
        first.shutdown()
        let second = try PurgeJournal(volume: volume)
        defer { second.shutdown() }
        #expect(second.finding == .whole(purges: purges.count))
        #expect(second.recent(10) == before)
        #expect(second.recent(10).map(\.purge) == purges.reversed())
        #expect(second.stamps.head == positions.last ?? nil)
        let next = await Self.append([Self.purge(1)], to: second)
        #expect(next.first.flatMap { $0 }?.number == UInt64(purges.count + 1))
    }

    @Test(arguments: [(3 * Purge.largestValueBytes - 9, true), (3 * Purge.largestValueBytes - 8, false)])
    func `what the log could not read again is refused`(bytes: Int, isTaken: Bool) async throws {
        let volume = SimulatedVolume(seed: 3)
        let first = try PurgeJournal(volume: volume)
        let long = Purge(
            scope: .tag(Array("a tag".utf8)), isSoft: false, value: String(repeating: "x", count: bytes),
            client: "::1 ")
        let positions = await Self.append([long], to: first)
        #expect((positions[0] != nil) == isTaken)
        _ = await Self.append([Self.purge(1)], to: first)
        first.shutdown()
        let second = try PurgeJournal(volume: volume)
        defer { second.shutdown() }
        #expect(second.finding == .whole(purges: isTaken ? 2 : 1))
    }

    @Test(arguments: UInt64(0)..<40) func `a purge that was acknowledged holds after a power cut or a kill`(
        seed: UInt64
    ) async throws {
        var random = SeededGenerator(seed: seed)
        var volume = SimulatedVolume(seed: seed)
        var acknowledged: [(Purge, PurgePosition)] = []
        var number = 0
        for round in 0..<6 {
            let journal = try PurgeJournal(volume: volume)
            if round > 0 { #expect(journal.finding != .none) }
            let start = journal.stamps.head
            for (purge, position) in acknowledged {
                let before = PurgePosition(epoch: position.epoch, number: position.number - 1)
                let found = Self.verdict(journal, purge, pulledAt: before)
                #expect(found != .untouched, "\(purge.value) of \(position), at \(start)")
                if !purge.isSoft { #expect(found == .hidden) }
            }
            volume.stop(atOperation: Int.random(in: 1...20, using: &random))
            for _ in 0..<4 {
                let batch = (0..<Int.random(in: 1...5, using: &random)).map { Self.purge(number + $0) }
                number += batch.count
                for (purge, position) in zip(batch, await Self.append(batch, to: journal)) {
                    if let position { acknowledged.append((purge, position)) }
                }
            }
            journal.shutdown()
            volume =
                Bool.random(using: &random) ? volume.powerCut() : volume.kill(cutLastWrite: seed % 3 == 0)
        }
        #expect(!acknowledged.isEmpty)
    }

    @Test func `a purge that cannot be kept is refused and not applied, and the next one is kept`()
        async throws
    {
        let volume = SimulatedVolume(seed: 3)
        let journal = try PurgeJournal(volume: volume)
        let start = journal.stamps.head
        for fault in [
            SimulatedVolume.Fault.writeFails, .writeTorn, .writeRunsFull, .syncFails, .directoryFails,
        ] {
            _ = await Self.append([Self.purge(1)], to: journal)
            let head = journal.stamps.head
            volume.schedule(fault)
            if fault == .directoryFails {
                // Only writing anew touches the directory, and only a failure before makes it do so.
                volume.schedule(.syncFails)
                _ = await Self.append([Self.purge(2)], to: journal)
            }
            let refused = await Self.append([Self.purge(2)], to: journal)
            #expect(refused == [nil], "\(fault)")
            #expect(journal.stamps.head == head)
            #expect(Self.verdict(journal, Self.purge(2), pulledAt: start) == .untouched)
            let kept = await Self.append([Self.purge(4)], to: journal)
            #expect(kept.first.flatMap { $0 } != nil, "\(fault)")
            volume.clearFaults()
        }
        #expect(journal.counters.failures >= 5)
        journal.shutdown()
        let next = try PurgeJournal(volume: volume)
        defer { next.shutdown() }
        #expect(next.finding != .none)
        #expect(Self.verdict(next, Self.purge(4), pulledAt: start) == .hidden)
    }

    @Test(arguments: UInt64(0)..<60) func `damage anywhere hides everything that was stored before`(
        seed: UInt64
    ) async throws {
        let volume = SimulatedVolume(seed: seed)
        let journal = try PurgeJournal(volume: volume)
        _ = await Self.append((0..<10).map(Self.purge), to: journal)
        let head = journal.stamps.head
        journal.shutdown()
        let size = try #require(volume.content(of: "journal")).count
        var random = SeededGenerator(seed: seed)
        if seed % 2 == 0 {
            _ = volume.flipBits(count: 1, in: "journal")
        } else {
            volume.truncate("journal", to: Int.random(in: 1..<size, using: &random))
        }
        let next = try PurgeJournal(volume: volume)
        defer { next.shutdown() }
        if case .whole(let count) = next.finding {
            // It hit what nothing depends on: padding, or the older of the two heads.
            #expect(count == 10 && next.stamps.head == head)
            for number in 0..<10 {
                #expect(
                    Self.verdict(next, Self.purge(number), pulledAt: .init(epoch: head.epoch, number: 0))
                        != .untouched)
            }
            return
        }
        #expect(next.stamps.head > head)
        for position in [PurgePosition.zero, head, PurgePosition(epoch: head.epoch, number: head.number + 5)]
        {
            let verdict = next.stamps.verdict(
                pulledAt: position, keyText: Array("http://any.example/".utf8), tags: [])
            #expect(verdict == .hidden)
        }
        let kept = await Self.append([Self.purge(1)], to: next)
        #expect(kept.first.flatMap { $0 }.map { $0 > head } == true)
    }

    @Test(arguments: [1, 2, 3]) func `a log that lost whole entries is damaged`(lost: Int) async throws {
        let volume = SimulatedVolume(seed: 9)
        let journal = try PurgeJournal(volume: volume)
        _ = await Self.append([Self.purge(0)], to: journal)
        let size = try #require(volume.content(of: "journal")).count
        for number in 0..<lost { _ = await Self.append([Self.purge(number)], to: journal) }
        let pulledAt = journal.stamps.head
        journal.shutdown()
        volume.truncate("journal", to: size)
        let next = try PurgeJournal(volume: volume)
        defer { next.shutdown() }
        #expect(next.finding == .damaged(provedPurges: 1))
        #expect(Self.verdict(next, Self.purge(5), pulledAt: pulledAt) == .hidden)
    }

    @Test(arguments: ["flipped", "removed"])
    func `a journal that is spoilt while it is in use loses no purge`(
        how: String
    ) async throws {
        let volume = SimulatedVolume(seed: 11)
        let journal = try PurgeJournal(volume: volume)
        let start = journal.stamps.head
        _ = await Self.append([Self.purge(0)], to: journal)
        if how == "flipped" {
            _ = volume.flipBits(count: 1, in: "journal", range: 260..<300)
        } else {
            try volume.remove("journal")
        }
        for _ in 0..<10 { _ = await Self.append((0..<500).map { _ in Self.purge(1) }, to: journal) }
        journal.shutdown()
        let next = try PurgeJournal(volume: volume)
        defer { next.shutdown() }
        for number in 0..<2 {
            #expect(Self.verdict(next, Self.purge(number), pulledAt: start) == .hidden)
        }
    }

    @Test func `the journal is written anew when most of it is out of force, and means the same`()
        async throws
    {
        let volume = SimulatedVolume(seed: 5)
        let journal = try PurgeJournal(volume: volume)
        let start = journal.stamps.head
        var largest = 0
        for round in 0..<30 {
            _ = await Self.append((0..<500).map { Self.purge(($0 + round) % 20) }, to: journal)
            largest = max(largest, volume.content(of: "journal")?.count ?? 0)
        }
        let expected = (0..<25).map { Self.verdict(journal, Self.purge($0), pulledAt: start) }
        let head = journal.stamps.head
        journal.shutdown()
        // 15,000 entries came by.
        #expect(largest < 6_000 * 80)
        let next = try PurgeJournal(volume: volume)
        defer { next.shutdown() }
        #expect(next.stamps.head == head)
        let found = (0..<25).map { Self.verdict(next, Self.purge($0), pulledAt: start) }
        #expect(zip(found, expected).allSatisfy { ($0 == .hidden) == ($1 == .hidden) })
        #expect(found == expected)
    }

    @Test func `purges that come at once share syncs`() async throws {
        let journal = try PurgeJournal(volume: SimulatedVolume(seed: 6))
        defer { journal.shutdown() }
        _ = await Self.append((0..<2_000).map(Self.purge), to: journal)
        let counters = journal.counters
        #expect(counters.total == 2_000)
        #expect(counters.syncs <= 2_000)
        #expect(counters.purges[2 * 4] + counters.purges[2 * 4 + 1] == 2_000)
    }
}
