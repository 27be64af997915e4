import EdgePrimitives
import Glibc
import Testing

@testable import EdgeStore

/// Journals of any length, and with numbers such as no writer makes.
@Suite struct PurgeJournalSizeTests {
    private static let now = SystemClock.wall()

    private static func tag(_ number: Int, soft: Bool = false, bytes: Int = 0) -> Purge {
        let tag = "tag-\(number)" + String(repeating: "x", count: bytes)
        return Purge(scope: .tag(Array(tag.utf8)), isSoft: soft, value: tag, client: "::1")
    }

    private static func append(_ purges: [Purge], to journal: PurgeJournal) async {
        await withTaskGroup(of: Void.self) { group in
            for purge in purges {
                group.addTask {
                    await withCheckedContinuation { continuation in
                        journal.append(purge) { _ in continuation.resume() }
                    }
                }
            }
        }
    }

    private static func isHidden(_ journal: PurgeJournal, _ purge: Purge, pulledAt: PurgePosition) -> Bool {
        guard case .tag(let tag) = purge.scope else { return false }
        return journal.stamps.verdict(
            pulledAt: pulledAt, keyText: Array("http://a.example/".utf8), tags: [tag]) == .hidden
    }

    /// A journal with `header` and `entries`, all of it with checksums that are right.
    private static func content(
        _ header: PurgeJournalFormat.Header, committed: UInt64? = nil, _ entries: [PurgeEntry] = []
    ) -> [UInt8] {
        var bytes = PurgeJournalFormat.encodeStart(header)
        if let committed {
            let head = PurgeJournalFormat.encode(head: committed, in: header)
            bytes.replaceSubrange(64..<64 + head.count, with: head)
        }
        for entry in entries { bytes += PurgeJournalFormat.encode(entry, in: header) }
        return bytes
    }

    private static func entry(_ epoch: UInt64, _ number: UInt64, time: WallTime = now) -> PurgeEntry {
        PurgeEntry(position: .init(epoch: epoch, number: number), time: time, purge: tag(1, soft: true))
    }

    static let largest: [UInt64] = [.max, .max - 1, 1 << 63, 1 << 62 + 1]

    @Test(arguments: largest, ["epoch", "number", "floor", "committed", "entry"])
    func `a number that leaves no room for the next is damage, and the journal goes on`(
        number: UInt64, place: String
    ) async throws {
        let volume = SimulatedVolume(seed: 1)
        let epoch = place == "epoch" ? number : 7
        let header = PurgeJournalFormat.Header(
            epoch: epoch, floor: .init(epoch: place == "floor" ? number : epoch, number: 0),
            number: place == "number" ? number : 1)
        let entries = [Self.entry(epoch, 1), Self.entry(epoch, place == "entry" ? number : 2)]
        volume.place(
            "journal", Self.content(header, committed: place == "committed" ? number : 2, entries))
        let journal = try PurgeJournal(volume: volume)
        if case .damaged = journal.finding {} else { Issue.record("\(journal.finding)") }
        let before = journal.stamps.head
        #expect(before.epoch > 7 && before.epoch <= 1 << 62)
        await Self.append([Self.tag(1)], to: journal)
        #expect(Self.isHidden(journal, Self.tag(1), pulledAt: before))
        let head = journal.stamps.head
        journal.shutdown()
        let next = try PurgeJournal(volume: volume)
        defer { next.shutdown() }
        #expect(next.finding == .whole(purges: 1))
        #expect(next.stamps.head == head)
    }

    @Test(arguments: [Int64.min, .min + 1, -1, 253_402_300_800_000, .max])
    func `a purge at a time that no clock shows is damage`(milliseconds: Int64) throws {
        let volume = SimulatedVolume(seed: 1)
        let header = PurgeJournalFormat.Header(epoch: 7, floor: .init(epoch: 7, number: 0), number: 0)
        let wrong = Self.entry(7, 1, time: WallTime(milliseconds: milliseconds))
        volume.place("journal", Self.content(header, committed: 1, [wrong]))
        let journal = try PurgeJournal(volume: volume)
        defer { journal.shutdown() }
        #expect(journal.finding == .damaged(provedPurges: 0))
    }

    @Test func `the lengths inside of an entry are believed no further than it goes`() throws {
        let header = PurgeJournalFormat.Header(epoch: 7, floor: .init(epoch: 7, number: 0), number: 0)
        let right = PurgeJournalFormat.encode(Self.entry(7, 1), in: header)
        for offset in [26, 30 + 5, 34 + 10] {
            for length: UInt32 in [.max, .max / 2, 1 << 20, 0] {
                var payload = Array(right[8...])
                withUnsafeBytes(of: length.littleEndian) {
                    payload.replaceSubrange(offset - 8..<offset - 4, with: $0)
                }
                var writer = ByteWriter()
                writer.append(UInt32(payload.count))
                let sum = CRC32C.checksum(writer.bytes, continuing: header.checksum)
                writer.append(CRC32C.checksum(payload, continuing: sum))
                writer.append(raw: payload)
                // Whatever it says, nothing is read beyond it.
                _ = writer.bytes.withUnsafeBytes { PurgeJournalFormat.decodeEntry($0, in: header) }
            }
        }
        #expect(right.withUnsafeBytes { PurgeJournalFormat.decodeEntry($0, in: header) } == Self.entry(7, 1))
    }

    @Test func `a journal that is longer than any is not read, and said so`() async throws {
        let volume = SimulatedVolume(seed: 1)
        let first = try PurgeJournal(volume: volume)
        await Self.append([Self.tag(1)], to: first)
        let before = first.stamps.head
        first.shutdown()
        let next = try PurgeJournal(volume: HugeFiles(under: volume, claiming: .max))
        defer { next.shutdown() }
        #expect(next.finding == .tooLong(bytes: .max))
        #expect(next.finding.warning?.contains("\(Int64.max) bytes") == true)
        #expect(next.stamps.head > before)
        #expect(Self.isHidden(next, Self.tag(2), pulledAt: before))
    }

    /// 16 GiB of nothing behind a journal, on a real file system that gives holes no room.
    @Test func `a journal with a long tail of nothing costs no memory`() async throws {
        var path = Array("/tmp/rockpool-journal-XXXXXX".utf8CString)
        _ = try #require(mkdtemp(&path))
        let directory = String(decoding: path.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        defer {
            for name in ["journal", "journal.new", "lock"] { unlink(directory + "/" + name) }
            rmdir(directory)
        }
        let first = try PurgeJournal(volume: POSIXVolume(directory: directory))
        await Self.append([Self.tag(1)], to: first)
        first.shutdown()
        #expect(truncate(directory + "/journal", 16 << 30) == 0)
        let next = try PurgeJournal(volume: POSIXVolume(directory: directory))
        #expect(next.finding == .tooLong(bytes: 16 << 30))
        next.shutdown()
        #expect(truncate(directory + "/journal", 900 << 20) == 0)
        let third = try PurgeJournal(volume: POSIXVolume(directory: directory))
        defer { third.shutdown() }
        #expect(third.finding == .whole(purges: 0))
    }

    @Test func `a journal of many pieces is read whole`() async throws {
        let volume = SimulatedVolume(seed: 2)
        let first = try PurgeJournal(volume: volume)
        let start = first.stamps.head
        for round in 0..<8 {
            await Self.append((0..<8).map { Self.tag(round * 8 + $0, bytes: 3_000) }, to: first)
        }
        let head = first.stamps.head
        first.shutdown()
        // Below the largest entry, so that pieces are as small as they can be.
        let limits = PurgeJournal.Limits(pieceBytes: 1, pieceEntries: 3)
        let next = try PurgeJournal(volume: volume, stamps: PurgeStamps(), limits: limits)
        defer { next.shutdown() }
        #expect(next.finding == .whole(purges: 64))
        #expect(next.stamps.head == head)
        #expect(next.recent(1).first?.position == head)
        for number in 0..<64 {
            #expect(Self.isHidden(next, Self.tag(number, bytes: 3_000), pulledAt: start))
        }
    }

    @Test func `a journal never grows beyond its bound, and what it gives up is hidden`() async throws {
        let volume = SimulatedVolume(seed: 3)
        let limits = PurgeJournal.Limits(fullBytes: 64 << 10)
        let first = try PurgeJournal(volume: volume, stamps: PurgeStamps(), limits: limits)
        let start = first.stamps.head
        var longest = 0
        for number in 0..<200 {
            await Self.append([Self.tag(number, bytes: 1_000)], to: first)
            longest = max(longest, volume.content(of: "journal")?.count ?? 0)
        }
        #expect(longest < 70 << 10)
        let head = first.stamps.head
        first.shutdown()
        let next = try PurgeJournal(volume: volume, stamps: PurgeStamps(), limits: limits)
        defer { next.shutdown() }
        #expect(next.stamps.head == head)
        for number in 0..<200 {
            #expect(Self.isHidden(next, Self.tag(number, bytes: 1_000), pulledAt: start), "\(number)")
        }
        // What was pulled after the purges that were given up, and is none of those that are left, is
        // untouched.
        let late = PurgePosition(epoch: head.epoch, number: head.number - 1)
        #expect(!Self.isHidden(next, Self.tag(1_000), pulledAt: late))
    }

    @Test func `a journal that was written anew is whole, also when its newest purges are forgotten`()
        async throws
    {
        let volume = SimulatedVolume(seed: 4)
        let limits = PurgeJournal.Limits(fullBytes: 64 << 10)
        let first = try PurgeJournal(volume: volume, stamps: PurgeStamps(), limits: limits)
        let everything = Purge(scope: .all, isSoft: true, value: "all", client: "::1")
        await Self.append([everything], to: first)
        for number in 0..<28 { await Self.append([Self.tag(number, bytes: 1_000)], to: first) }
        first.stamps.forget(before: first.stamps.head)
        let length = try #require(volume.content(of: "journal")?.count)
        await Self.append([Self.tag(64, bytes: 5_000)], to: first)
        first.stamps.forget(before: first.stamps.head)
        await Self.append([Self.tag(65)], to: first)
        #expect(try #require(volume.content(of: "journal")?.count) < length)
        let head = first.stamps.head
        first.shutdown()
        let next = try PurgeJournal(volume: volume, stamps: PurgeStamps(), limits: limits)
        defer { next.shutdown() }
        if case .whole = next.finding {} else { Issue.record("\(next.finding)") }
        #expect(next.stamps.head == head)
    }
}
