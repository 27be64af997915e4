import EdgePolicy
import EdgePrimitives
import NIOCore
import Testing

@testable import EdgeStore

/// Whether the fault suite would see what it is there for: each check is shown something that it has to
/// object to.
@Suite struct FaultSightTests {
    // MARK: Power cuts

    /// On a disk that forgets what it was told to keep, the check after a power cut has to find that.
    @Test func aDiskThatIgnoresSyncIsSeen() throws {
        var seen = 0
        for seed in UInt64(1)..<9 {
            let work = try DiskWorkload(seed: seed, DiskWorkload.Shape(mostBytes: 2_200_000))
            for _ in 0..<6 { work.step() }
            work.volume.ignoresSync = true
            for _ in 0..<60 where !work.isFullOfSteps { work.step() }
            let floor = work.watch.durableStep
            try work.restart { $0.powerCut(.nothing) }
            work.check(.step(floor), isComplete: true, isDurable: true)
            work.end()
            if work.report() != nil { seen += 1 }
        }
        #expect(seen == 8)
    }

    /// The same steps on a disk that keeps its word are right.
    @Test func aDiskThatSyncsIsNotBlamed() throws {
        for seed in UInt64(1)..<9 {
            let work = try DiskWorkload(seed: seed, DiskWorkload.Shape(mostBytes: 2_200_000))
            for _ in 0..<66 where !work.isFullOfSteps { work.step() }
            let floor = work.watch.durableStep
            try work.restart { $0.powerCut(.nothing) }
            work.check(.step(floor), isComplete: true, isDurable: true)
            work.end()
            #expect(work.report() == nil)
        }
    }

    @Test func filesBeyondTheBudgetAreSeen() throws {
        let work = try DiskWorkload(seed: 1, DiskWorkload.Shape())
        for _ in 0..<10 { work.step() }
        #expect(work.report() == nil)
        work.volume.place("more", [UInt8](repeating: 0, count: 4 << 20))
        work.watch.measure(work.volume)
        work.end()
        #expect(work.report() != nil)
    }

    // MARK: The checks of a record, one by one

    /// A volume with one response of 1,000 bytes in a record, and what reads it.
    private struct Stored {
        let volume: SimulatedVolume
        let version: Version
        let segment: String
        let journal: String
        let entry: JournalEntry
        let location: RecordLocation

        init(length: Int = 1_000) throws {
            let volume = SimulatedVolume(seed: 9)
            let tier = try DiskTier(volume: volume, budgetBytes: 4 << 20, backlogBytes: 1 << 20)
            version = Version(
                number: 0, slot: Slot(key: 1, language: 0), content: 77, length: length, hasValidator: true,
                isPartial: false,
                metadata: StoredMetadata(status: 200, responseTime: WallTime(seconds: 5)), tags: [])
            let body = DiskContent.buffer(77, length)
            tier.insert(version.response(.memory(body), bodyID: version.bodyID(tier)))
            tier.flush()
            tier.shutdown()
            self.volume = volume.kill()
            segment = DiskFormat.segmentName(1)
            journal = DiskFormat.journalName(1)
            let first = Int(DiskFormat.firstOffset)
            let entries = try #require(volume.content(of: journal))
            let bytes = Array(entries[first..<first + DiskFormat.entryBytes])
            entry = try #require(bytes.withUnsafeBytes { JournalEntry($0, generation: 1) })
            guard case .put(_, let location) = entry.operation else { throw Absent() }
            self.location = location
        }

        /// Changes the record in the file; `offset` counts from its start.
        func write(_ bytes: [UInt8], at offset: Int) throws {
            var content = try #require(volume.content(of: segment))
            let start = Int(location.offset) + offset
            content.replaceSubrange(start..<start + bytes.count, with: bytes)
            volume.place(segment, content)
        }

        func flipByte(at offset: Int) throws {
            let content = try #require(volume.content(of: segment))
            try write([content[Int(location.offset) + offset] ^ 0x40], at: offset)
        }

        var header: RecordHeader {
            get throws {
                let content = try #require(volume.content(of: segment))
                let start = Int(location.offset)
                let bytes = Array(content[start..<start + DiskFormat.headerBytes])
                return try #require(bytes.withUnsafeBytes { RecordHeader($0) })
            }
        }

        /// Writes a header that its own checksum proves.
        func rewriteHeader(_ change: (inout RecordHeader) -> Void) throws {
            var header = try header
            change(&header)
            try write(header.encoded, at: 0)
        }

        /// Writes a journal entry that its checksum proves.
        func rewriteEntry(_ change: (inout JournalEntry) -> Void) throws {
            var entry = entry
            change(&entry)
            var content = try #require(volume.content(of: journal))
            let first = Int(DiskFormat.firstOffset)
            content.replaceSubrange(first..<first + DiskFormat.entryBytes, with: entry.encoded)
            volume.place(journal, content)
        }

        /// What the tier finds.
        func find(_ key: Digest128? = nil) throws -> [StoredResponse] {
            let tier = try DiskTier(volume: volume, budgetBytes: 4 << 20, backlogBytes: 1 << 20)
            defer { tier.shutdown() }
            let found = tier.loadNow(key ?? version.slot.digest).map(\.response)
            if found.isEmpty { #expect(!tier.mayHold(key ?? version.slot.digest), "still in the index") }
            return found
        }

        /// What a reader without any check finds, compared by the model.
        func problemsWithoutChecks() throws -> [String] {
            let credulous = try CredulousReader.read(volume, entry, location)
            var model = DiskModel()
            model.store(version, isOptional: false)
            var found: [Slot: Int] = [:]
            return model.check({ _ in credulous.map { [$0] } ?? [] }, .now, isComplete: true, found: &found)
        }
    }

    private struct Absent: Error {}

    @Test func anUntouchedRecordIsFoundByBothReaders() throws {
        let stored = try Stored()
        #expect(try stored.find().count == 1)
        #expect(try stored.problemsWithoutChecks().isEmpty)
    }

    @Test func theHeadersChecksumIsChecked() throws {
        let stored = try Stored()
        var header = try stored.header
        let body = DiskContent.bytes(78, 1_000)
        header.bodyChecksum = CRC32C.checksum(body)
        try stored.write(body, at: Int(header.bodyOffset))
        // Another body with its checksum, in a header that still has its own.
        try stored.write(Array(header.encoded[48..<52]), at: 48)
        #expect(try stored.find().isEmpty)
        #expect(try !stored.problemsWithoutChecks().isEmpty)
    }

    @Test(arguments: [0, 40, 100]) func theHeadsChecksumIsChecked(_ place: Int) throws {
        let stored = try Stored()
        let headBytes = Int(try stored.header.headBytes)
        try stored.flipByte(at: DiskFormat.headerBytes + headBytes * place / 101)
        #expect(try stored.find().isEmpty)
        #expect(try !stored.problemsWithoutChecks().isEmpty)
    }

    @Test(arguments: [0, 500, 999]) func theBodysChecksumIsChecked(_ place: Int) throws {
        let stored = try Stored()
        let header = try stored.header
        try stored.flipByte(at: Int(header.bodyOffset) + place)
        #expect(try stored.find().isEmpty)
        #expect(try !stored.problemsWithoutChecks().isEmpty)
    }

    /// A shorter body whose checksums are all right: the head section still says how long it is.
    @Test func theLengthIsChecked() throws {
        let stored = try Stored()
        let short = DiskContent.bytes(77, 1_000).prefix(900)
        try stored.rewriteHeader { header in
            header.bodyBytes = 900
            header.bodyChecksum = CRC32C.checksum(Array(short))
        }
        #expect(try stored.find().isEmpty)
        #expect(try !stored.problemsWithoutChecks().isEmpty)
    }

    @Test func lengthsBeyondTheRecordAreChecked() throws {
        for change: (inout RecordHeader) -> Void in [
            { $0.bodyBytes = .max }, { $0.bodyOffset = .max }, { $0.headBytes = .max }, { $0.bodyOffset = 0 },
        ] {
            let stored = try Stored()
            try stored.rewriteHeader(change)
            #expect(try stored.find().isEmpty)
        }
    }

    /// A record that an earlier use of the same place left.
    @Test func theGenerationIsChecked() throws {
        let stored = try Stored()
        try stored.rewriteHeader { $0.generation = 7 }
        #expect(try stored.find().isEmpty)
    }

    @Test func theKeyIsChecked() throws {
        let stored = try Stored()
        let other = DiskContent.key(2)
        // The journal names another key for these bytes.
        try stored.rewriteEntry { $0.key = other }
        #expect(try stored.find(other).isEmpty)
        #expect(try stored.find().isEmpty)
    }

    @Test func theVariantIsChecked() throws {
        let stored = try Stored()
        try stored.rewriteEntry { $0.variant = 12 }
        #expect(try stored.find().isEmpty)
    }

    @Test func theKindIsChecked() throws {
        let stored = try Stored()
        try stored.rewriteHeader { $0.kind = .block }
        #expect(try stored.find().isEmpty)
    }

    @Test(arguments: [Int64(-64), 64, 4096]) func theJournalsPlaceIsProvedByTheRecord(_ shift: Int64) throws {
        let stored = try Stored()
        var moved = stored.location
        moved.offset += shift
        let location = moved
        try stored.rewriteEntry { $0.operation = .put(.response, location) }
        #expect(try stored.find().isEmpty)
    }

    @Test func aPlaceBeyondTheFileIsNoEntry() throws {
        let stored = try Stored()
        var moved = stored.location
        moved.offset = 1 << 30
        let location = moved
        try stored.rewriteEntry { $0.operation = .put(.response, location) }
        let tier = try DiskTier(volume: stored.volume, budgetBytes: 4 << 20, backlogBytes: 0)
        defer { tier.shutdown() }
        #expect(tier.recovery.damagedEntries == 1)
        #expect(tier.recovery.responses == 0)
    }

    @Test func theEntrysChecksumIsChecked() throws {
        let stored = try Stored()
        var content = try #require(stored.volume.content(of: stored.journal))
        content[Int(DiskFormat.firstOffset) + 20] ^= 1
        stored.volume.place(stored.journal, content)
        let tier = try DiskTier(volume: stored.volume, budgetBytes: 4 << 20, backlogBytes: 0)
        defer { tier.shutdown() }
        #expect(tier.recovery.damagedEntries == 1)
        #expect(tier.loadNow(stored.version.slot.digest).isEmpty)
    }

    /// A block's bytes change: it is refused when it is prepared, though its response is found.
    @Test func aBlocksChecksumIsChecked() throws {
        let stored = try Stored(length: 20_000)
        // The journal's first entry is the block's.
        try stored.flipByte(at: DiskFormat.headerBytes + 11_111)
        let tier = try DiskTier(volume: stored.volume, budgetBytes: 4 << 20, backlogBytes: 0)
        defer { tier.shutdown() }
        let response = try #require(tier.loadNow(stored.version.slot.digest).first?.response)
        let outcome = BodyReader.compare(response.body, with: DiskContent.bytes(77, 20_000))
        #expect(outcome.wrong == nil)
        #expect(outcome.missingBytes >= 3_616 && outcome.readBytes + outcome.missingBytes == 20_000)
    }
}

/// A reader that believes the index and the header, as one without checksums would.
private enum CredulousReader {
    static func read(_ volume: SimulatedVolume, _ entry: JournalEntry, _ location: RecordLocation) throws
        -> StoredResponse?
    {
        let content = try #require(volume.content(of: DiskFormat.segmentName(location.generation)))
        let record = Array(content[Int(location.offset)..<Int(location.offset) + location.length])
        return record.withUnsafeBytes { record -> StoredResponse? in
            func number(_ offset: Int) -> Int {
                Int(UInt32(littleEndian: record.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
            }
            // Before these a header has magic 4, version 2, kind 1, spare 1, generation 4, variant 4 and key
            // 16 bytes.
            let headBytes = min(number(32), record.count - DiskFormat.headerBytes)
            let bodyBytes = min(number(40), record.count)
            let bodyOffset = min(number(44), record.count - bodyBytes)
            let head = UnsafeRawBufferPointer(
                rebasing: record[DiskFormat.headerBytes..<DiskFormat.headerBytes + headBytes])
            let body = ByteBuffer(bytes: record[bodyOffset..<bodyOffset + bodyBytes])
            return ResponseCoding.decode(head, key: entry.key) { _ in .memory(body) }
        }
    }
}
