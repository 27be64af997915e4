import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import NIOCore
import Testing

@testable import EdgeStore

/// Files whose checksums are right and whose numbers are such as no writer makes. They are refused, and what
/// is not refused can be worked with: an overflow would end the process, and with it this test.
@Suite struct ExtremeNumbersTests {
    /// A number of the head section: where it lies, and how many bytes it has.
    struct Place: Sendable, CustomTestStringConvertible {
        let name: String
        let offset: Int
        let bytes: Int
        var testDescription: String { name }
    }

    private static let metadata = StoredMetadata(
        status: 200, responseTime: WallTime(seconds: 1_795_000_000), correctedInitialAgeMilliseconds: 5,
        freshnessLifetimeMilliseconds: 60_000, freshnessSource: .maxAge, flags: [.hasEntityTag],
        staleIfErrorMilliseconds: 1_000, staleWhileRevalidateMilliseconds: 2_000)
    private static let keyText = Array("http://a.example/".utf8)
    private static let fields = FieldSection([("ETag", "\"x\""), ("Cache-Control", "max-age=60")])

    static let places: [Place] = {
        var places = [
            Place(name: "status", offset: 0, bytes: 2), Place(name: "flags", offset: 2, bytes: 2),
            Place(name: "source", offset: 4, bytes: 1), Place(name: "has blocks", offset: 5, bytes: 1),
            Place(name: "received", offset: 6, bytes: 8), Place(name: "initial age", offset: 14, bytes: 8),
            Place(name: "lifetime", offset: 22, bytes: 8),
            Place(name: "stale-if-error", offset: 30, bytes: 8),
            Place(name: "stale-while-revalidate", offset: 38, bytes: 8),
            Place(name: "length", offset: 46, bytes: 8), Place(name: "identity", offset: 54, bytes: 8),
            Place(name: "block size", offset: 70, bytes: 4), Place(name: "epoch", offset: 74, bytes: 8),
            Place(name: "number", offset: 82, bytes: 8),
            Place(name: "bytes of the key", offset: 90, bytes: 4),
        ]
        let head = 94 + keyText.count
        places.append(Place(name: "bytes of the head", offset: head, bytes: 4))
        let fields = head + 4 + headText.count
        places.append(Place(name: "fields", offset: fields, bytes: 4))
        places.append(Place(name: "bytes of a name", offset: fields + 4, bytes: 4))
        places.append(Place(name: "bytes of a value", offset: fields + 8, bytes: 4))
        let fieldBytes = Self.fields.lines.reduce(0) { $0 + 8 + $1.nameRange.count + $1.valueRange.count }
        places.append(Place(name: "tags", offset: fields + 4 + fieldBytes, bytes: 4))
        places.append(Place(name: "bytes of a tag", offset: fields + 8 + fieldBytes, bytes: 4))
        return places
    }()

    private static let headText = Array("HTTP/1.1 200 OK\r\n".utf8)

    static let extremes: [UInt64] = [
        0, 1, 2, 3, 1 << 7, 1 << 15, 1 << 31, 1 << 32, 1 << 47, 1 << 62, 1 << 63, 1 << 63 | 1, .max - 1, .max,
        .max >> 1, .max >> 1 - 1, .max >> 16, .max >> 32,
    ]

    private static func response(_ tier: DiskTier) -> StoredResponse {
        StoredResponse(
            key: DiskContent.key(1), metadata: metadata, fields: fields, head: headText, secondaryKey: nil,
            tags: [Array("t".utf8)], keyText: keyText, body: .memory(ByteBuffer(string: "0123456789")),
            bodyID: Digest128(high: 1, low: 2))
    }

    private static func put(_ number: UInt64, _ place: Place, into bytes: inout [UInt8]) {
        for index in 0..<place.bytes {
            bytes[place.offset + index] = UInt8(truncatingIfNeeded: number >> UInt64(8 * index))
        }
    }

    /// What is done with a stored response that is found, with clocks that are right and wrong.
    private static func use(_ response: StoredResponse) {
        let stored = response.metadata
        var rules = CachingRules()
        rules.stale.ifErrorMilliseconds = 1_000
        for now in [0, 1, 1_795_000_000_000, 253_402_300_799_999].map(WallTime.init(milliseconds:)) {
            for purged in [nil, WallTime(milliseconds: 0), now] {
                _ = stored.stalenessMilliseconds(at: now, softPurgedAt: purged)
                for failure in [OriginFailure.unreachable, .slow, .serverError(status: 503)] {
                    _ = StalePolicy.decide(
                        stored, failure: failure, rules: rules, now: now, softPurgedAt: purged)
                }
            }
            _ = stored.currentAgeMilliseconds(at: now) / 1000 + stored.responseTime.seconds
            _ = stored.freshnessLifetimeMilliseconds / 1000 - stored.currentAgeMilliseconds(at: now) / 1000
        }
        guard case .sparse(let body) = response.body else { return }
        let length = body.completeLength
        for start in [0, 1, length / 2, length - 1] where start >= 0 && start < length {
            _ = body.part(from: start, limit: .max)
            for end in [start + 1, length] { _ = body.hole(in: start..<end) }
        }
    }

    @Test(.timeLimit(.minutes(1)), arguments: places)
    func `a stored response with a wrong number is refused or can be worked with`(
        place: Place
    ) throws {
        let bench = try TierBench()
        defer { bench.tier.shutdown() }
        let response = Self.response(bench.tier)
        for isInline in [true, false] {
            let body = ResponseCoding.Body(
                length: 10, id: isInline ? nil : Digest128(high: 1, low: 2), blockBytes: isInline ? 0 : 16_384
            )
            let section = ResponseCoding.encode(response, body)
            for extreme in Self.extremes {
                var bytes = section
                Self.put(extreme, place, into: &bytes)
                let found = bytes.withUnsafeBytes { bytes in
                    ResponseCoding.decode(bytes, key: response.key) { says in
                        guard let id = says.id else { return .memory(ByteBuffer(string: "0123456789")) }
                        let blocks = DiskBlocks(id: id, blockBytes: says.blockBytes, tier: bench.tier)
                        return .sparse(SparseBody(completeLength: says.length, blocks: blocks))
                    }
                }
                guard let found else { continue }
                #expect(found.metadata.isPlausible)
                Self.use(found)
            }
        }
    }

    @Test(arguments: [
        "status", "received", "initial age", "lifetime", "stale-if-error", "stale-while-revalidate", "length",
    ]) func `a number that no writer makes is taken for damage`(name: String) throws {
        let place = try #require(Self.places.first { $0.name == name })
        let bench = try TierBench()
        defer { bench.tier.shutdown() }
        let response = Self.response(bench.tier)
        let body = ResponseCoding.Body(length: 10, id: nil, blockBytes: 0)
        func decodes(_ number: UInt64?) -> Bool {
            var bytes = ResponseCoding.encode(response, body)
            if let number { Self.put(number, place, into: &bytes) }
            return bytes.withUnsafeBytes {
                ResponseCoding.decode($0, key: response.key) { _ in .memory(ByteBuffer()) } != nil
            }
        }
        #expect(decodes(nil))
        // The least number says of the stale windows that there is none.
        let least = place.bytes == 8 ? UInt64(1) << 63 | 1 : 1 << 15
        for number in [least, .max, .max >> 1] { #expect(!decodes(number), "\(number)") }
    }

    /// A whole record on disk with a lifetime that traps when its sign is turned: checksums and all.
    @Test func `a record with the least lifetime is forgotten, counted, and costs a pull`() throws {
        var bench = try TierBench()
        bench.tier.insert(Self.response(bench.tier))
        bench.tier.flush()
        try bench.restart { volume in
            let name = DiskFormat.segmentName(1)
            var content = try #require(volume.content(of: name))
            let start = Int(DiskFormat.firstOffset)
            let old = Array(content[start..<start + DiskFormat.headerBytes])
            var header = try #require(old.withUnsafeBytes { RecordHeader($0) })
            let headStart = start + DiskFormat.headerBytes
            var head = Array(content[headStart..<headStart + Int(header.headBytes)])
            Self.put(1 << 63, try #require(Self.places.first { $0.name == "lifetime" }), into: &head)
            header.headChecksum = CRC32C.checksum(head)
            content.replaceSubrange(start..<headStart, with: header.encoded)
            content.replaceSubrange(headStart..<headStart + head.count, with: head)
            volume.place(name, content)
        }
        defer { bench.tier.shutdown() }
        #expect(bench.has(1))
        #expect(bench.tier.loadNow(DiskContent.key(1)).isEmpty)
        #expect(!bench.has(1))
        #expect(bench.tier.snapshot.damagedRecords == 1)
    }

    @Test func `a journal entry that names more than a record may have is damaged`() throws {
        let unit = UInt64(RecordLocation.alignment)
        for (offset, length, isTaken) in [
            (4096, unit, true), (4096, 128 << 20, true), (4096, 128 << 20 + unit, false),
            (4096, 1 << 32 - unit, false), (4096, .max - unit + 1, false), (1 << 37 - unit, unit, true),
            (1 << 37, unit, false), (.max - unit + 1, unit, false), (4096, 0, false), (4096, 1, false),
        ] as [(UInt64, UInt64, Bool)] {
            var writer = ByteWriter()
            writer.append(UInt8(1))
            writer.append(UInt8(0))
            writer.append(UInt16(0))
            writer.append(UInt32(0))
            writer.append(DiskContent.key(1))
            writer.append(offset)
            writer.append(length)
            writer.pad(to: DiskFormat.entryBytes - 4)
            writer.appendChecksum()
            let entry = writer.bytes.withUnsafeBytes { JournalEntry($0, generation: 1) }
            #expect((entry != nil) == isTaken, "\(offset) \(length)")
        }
    }

    @Test(arguments: [
        UInt32.max - 1, DiskFormat.largestFoundGeneration + 1, DiskFormat.largestFoundGeneration,
    ])
    func `a segment with a number near the largest leaves numbers for those that come`(generation: UInt32)
        throws
    {
        var bench = try TierBench()
        bench.insert(1)
        try bench.restart { volume in
            let identity = try #require(
                volume.content(of: DiskFormat.volumeName)?.withUnsafeBytes {
                    guard
                        case .proved(let identity) = VolumeIdentity.read(
                            $0, DiskFormat.volumeMagic, generation: 0)
                    else { return VolumeIdentity?.none }
                    return identity
                })
            for (name, magic) in [
                (DiskFormat.segmentName(generation), DiskFormat.segmentMagic),
                (DiskFormat.journalName(generation), DiskFormat.journalMagic),
            ] {
                var bytes = VolumeIdentity.header(magic, identity, generation: generation)
                bytes += [UInt8](repeating: 0, count: 8192 - bytes.count)
                volume.place(name, bytes)
            }
        }
        defer { bench.tier.shutdown() }
        let isTaken = generation <= DiskFormat.largestFoundGeneration
        #expect(bench.tier.recovery.droppedSegments == (isTaken ? 0 : 1))
        #expect(bench.isThere(generation) == isTaken)
        // Several segments come after it.
        let before = bench.tier.snapshot.segmentCount
        #expect(bench.fill { bench.tier.snapshot.segmentCount >= before + 3 })
        #expect(bench.tier.snapshot.health == .good)
    }

    /// A file may claim any size and take no room; sums of such sizes must not be made.
    @Test func `files that claim to be larger than any segment are dropped`() throws {
        let bench = try TierBench()
        bench.insert(1)
        let huge = HugeFiles(under: bench.volume.kill(), claiming: .max)
        bench.tier.shutdown()
        let tier = try DiskTier(volume: huge, budgetBytes: TierBench.budgetBytes, backlogBytes: 1 << 20)
        defer { tier.shutdown() }
        #expect(tier.recovery.droppedSegments == 1)
        #expect(tier.recovery.responses == 0)
        #expect(!tier.mayHold(DiskContent.key(1)))
    }
}

/// A volume whose files claim a size.
struct HugeFiles: DiskVolume {
    let volume: SimulatedVolume
    let claimed: Int64

    init(under volume: SimulatedVolume, claiming claimed: Int64) {
        self.volume = volume
        self.claimed = claimed
    }

    func list() throws(DiskError) -> [String] { try volume.list() }
    func open(_ name: String, create: Bool) throws(DiskError) -> any DiskFile {
        let file = try volume.open(name, create: create)
        return create ? file : HugeFile(file: file, claimed: claimed)
    }
    func remove(_ name: String) throws(DiskError) { try volume.remove(name) }
    func rename(_ name: String, to newName: String) throws(DiskError) { try volume.rename(name, to: newName) }
    func syncDirectory() throws(DiskError) { try volume.syncDirectory() }
}

private final class HugeFile: DiskFile {
    private let file: any DiskFile
    private let claimed: Int64

    init(file: any DiskFile, claimed: Int64) {
        self.file = file
        self.claimed = claimed
    }

    var descriptor: CInt? { file.descriptor }
    func write(_ parts: [UnsafeRawBufferPointer], at offset: Int64) throws(DiskError) {
        try file.write(parts, at: offset)
    }
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(DiskError) -> Int {
        try file.read(into: buffer, at: offset)
    }
    func reserve(_ bytes: Int64) throws(DiskError) { try file.reserve(bytes) }
    func size() throws(DiskError) -> Int64 { claimed }
    func sync() throws(DiskError) { try file.sync() }
}
