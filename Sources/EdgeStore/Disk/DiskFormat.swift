import EdgePrimitives

/// The disk format, version 1: what lies where in the files of a cache directory. All numbers are little-endian. The
/// page DiskFormat of the documentation says why.
enum DiskFormat {
    static let version: UInt16 = 1
    static let volumeMagic: UInt64 = 0x314c_4f56_4c4f_4f50  // "POOLVOL1"
    static let segmentMagic: UInt64 = 0x3147_4553_4c4f_4f50  // "POOLSEG1"
    static let journalMagic: UInt64 = 0x314c_4e4a_4c4f_4f50  // "POOLJNL1"
    static let recordMagic: UInt32 = 0x4345_5250  // "PREC"

    static let volumeName = "volume"
    static let headerBytes = 128
    /// What the volume file occupies.
    static let volumeBytes: Int64 = 4096
    /// Where records begin in a segment and entries in a journal.
    static let firstOffset: Int64 = 4096
    static let entryBytes = 64
    /// Bodies up to this size lie in the record of their response; larger ones in blocks, so that a validation
    /// rewrites the fields and not the body.
    static let inlineBytes = 16 * 1024
    /// Bodies of at least this size begin on a page.
    static let pagedBytes = 64 * 1024
    static let pageBytes: Int64 = 4096

    // What no writer of this version goes beyond. A number beyond it is as wrong as one that fails its
    // checksum, and reading on with it would cost memory, or the process.
    /// Bytes of a record with all its parts: half of the largest segment.
    static let largestRecordBytes = 128 << 20
    /// Where the index still reaches within a segment.
    static let largestSegmentBytes: Int64 = 1 << 37
    static let largestJournalBytes: Int64 = 64 << 20
    static let largestBodyBytes: Int64 = 1 << 47
    static let blockSizes = 4096...(1 << 20)
    /// Of a segment that is found: half of all numbers are left for those that come after it.
    static let largestFoundGeneration: UInt32 = .max / 2

    static func segmentName(_ generation: UInt32) -> String { name(generation) + ".segment" }
    static func journalName(_ generation: UInt32) -> String { name(generation) + ".journal" }

    /// The generation that a file name tells, and whether it is a journal; nil for any other file.
    static func parse(_ name: String) -> (generation: UInt32, isJournal: Bool)? {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].utf8.count == 8, let generation = UInt32(parts[0], radix: 16),
            generation > 0, generation < .max, self.name(generation) == parts[0]
        else { return nil }
        switch parts[1] {
        case "segment": return (generation, false)
        case "journal": return (generation, true)
        default: return nil
        }
    }

    private static func name(_ generation: UInt32) -> String {
        let digits = String(generation, radix: 16)
        return String(repeating: "0", count: 8 - digits.utf8.count) + digits
    }

    static func align(_ offset: Int64, to unit: Int64) -> Int64 { (offset + unit - 1) / unit * unit }
}

/// Writes little-endian numbers and bytes one behind the other.
struct ByteWriter {
    private(set) var bytes: [UInt8] = []

    init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

    mutating func append(_ number: some FixedWidthInteger) {
        withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func append(_ digest: Digest128) {
        append(digest.high)
        append(digest.low)
    }

    mutating func append(raw: some Sequence<UInt8>) { bytes.append(contentsOf: raw) }

    mutating func pad(to count: Int) {
        bytes.append(contentsOf: repeatElement(0, count: max(0, count - bytes.count)))
    }

    /// Appends the CRC-32C of everything before it.
    mutating func appendChecksum() { append(CRC32C.checksum(bytes)) }
}

/// Reads what a ``ByteWriter`` wrote; every step is nil past the end.
struct ByteReader {
    private let bytes: UnsafeRawBufferPointer
    private(set) var offset = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func read<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) -> Number? {
        let size = MemoryLayout<Number>.size
        guard bytes.count - offset >= size else { return nil }
        defer { offset += size }
        return Number(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: Number.self))
    }

    mutating func readDigest() -> Digest128? {
        guard let high = read(UInt64.self), let low = read(UInt64.self) else { return nil }
        return Digest128(high: high, low: low)
    }

    mutating func read(count: Int) -> UnsafeRawBufferPointer? {
        guard count >= 0, bytes.count - offset >= count else { return nil }
        defer { offset += count }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
    }

    /// Whether the next number is the CRC-32C of everything before it.
    mutating func isProved() -> Bool {
        let expected = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[..<offset]))
        return read(UInt32.self) == expected
    }
}

/// Who a volume is: its files carry it, so that those of another one are known as foreign.
struct VolumeIdentity: Sendable, Equatable {
    var id: UInt64
    var seed: DigestSeed

    static func random() -> VolumeIdentity {
        var generator = SystemRandomNumberGenerator()
        return VolumeIdentity(id: generator.next(), seed: .random())
    }

    enum Reading: Equatable {
        case proved(VolumeIdentity)
        /// Written by a later version.
        case newer(UInt16)
        case damaged
    }

    /// The header of a volume file, a segment or a journal: 128 bytes of which 60 are used.
    static func header(_ magic: UInt64, _ identity: VolumeIdentity, generation: UInt32) -> [UInt8] {
        var writer = ByteWriter(capacity: DiskFormat.headerBytes)
        writer.append(magic)
        writer.append(DiskFormat.version)
        writer.append(UInt16(0))
        writer.append(generation)
        writer.append(identity.id)
        writer.append(identity.seed.words.0)
        writer.append(identity.seed.words.1)
        writer.appendChecksum()
        writer.pad(to: DiskFormat.headerBytes)
        return writer.bytes
    }

    static func read(_ bytes: UnsafeRawBufferPointer, _ magic: UInt64, generation: UInt32) -> Reading {
        var reader = ByteReader(bytes)
        guard reader.read(UInt64.self) == magic, let version = reader.read(UInt16.self),
            reader.read(UInt16.self) != nil, let written = reader.read(UInt32.self),
            let id = reader.read(UInt64.self), let first = reader.read(UInt64.self),
            let second = reader.read(UInt64.self), reader.isProved()
        else { return .damaged }
        if version > DiskFormat.version { return .newer(version) }
        guard written == generation, version == DiskFormat.version else { return .damaged }
        return .proved(VolumeIdentity(id: id, seed: DigestSeed(first: first, second: second)))
    }
}

/// The 128 bytes before every record: what it is, how long its parts are, and their checksums.
struct RecordHeader: Equatable {
    var kind: DiskIndexEntry.Kind
    var key: Digest128
    var variant: UInt32
    var generation: UInt32
    /// Bytes of the head section, which follows the header. A block has none.
    var headBytes: UInt32
    var headChecksum: UInt32
    /// Bytes of the body, and where they begin, from the start of the record.
    var bodyBytes: UInt32
    var bodyOffset: UInt32
    var bodyChecksum: UInt32

    var encoded: [UInt8] {
        var writer = ByteWriter(capacity: DiskFormat.headerBytes)
        writer.append(DiskFormat.recordMagic)
        writer.append(DiskFormat.version)
        writer.append(kind.rawValue)
        writer.append(UInt8(0))
        writer.append(generation)
        writer.append(variant)
        writer.append(key)
        writer.append(headBytes)
        writer.append(headChecksum)
        writer.append(bodyBytes)
        writer.append(bodyOffset)
        writer.append(bodyChecksum)
        writer.appendChecksum()
        writer.pad(to: DiskFormat.headerBytes)
        return writer.bytes
    }

    /// Reads a header; nil unless its checksum proves it.
    init?(_ bytes: UnsafeRawBufferPointer) {
        var reader = ByteReader(bytes)
        guard reader.read(UInt32.self) == DiskFormat.recordMagic,
            reader.read(UInt16.self) == DiskFormat.version, let rawKind = reader.read(UInt8.self),
            let kind = DiskIndexEntry.Kind(rawValue: rawKind), reader.read(UInt8.self) != nil,
            let generation = reader.read(UInt32.self), let variant = reader.read(UInt32.self),
            let key = reader.readDigest(), let headBytes = reader.read(UInt32.self),
            let headChecksum = reader.read(UInt32.self), let bodyBytes = reader.read(UInt32.self),
            let bodyOffset = reader.read(UInt32.self), let bodyChecksum = reader.read(UInt32.self),
            reader.isProved()
        else { return nil }
        self.init(
            kind: kind, key: key, variant: variant, generation: generation, headBytes: headBytes,
            headChecksum: headChecksum, bodyBytes: bodyBytes, bodyOffset: bodyOffset,
            bodyChecksum: bodyChecksum)
    }

    init(
        kind: DiskIndexEntry.Kind, key: Digest128, variant: UInt32, generation: UInt32, headBytes: UInt32,
        headChecksum: UInt32, bodyBytes: UInt32, bodyOffset: UInt32, bodyChecksum: UInt32
    ) {
        self.kind = kind
        self.key = key
        self.variant = variant
        self.generation = generation
        self.headBytes = headBytes
        self.headChecksum = headChecksum
        self.bodyBytes = bodyBytes
        self.bodyOffset = bodyOffset
        self.bodyChecksum = bodyChecksum
    }
}

/// One entry of a segment's journal: a record that was written, or something that was taken away.
struct JournalEntry: Equatable {
    enum Operation: Equatable {
        case put(DiskIndexEntry.Kind, RecordLocation)
        /// One variant of a key.
        case removeVariant
        /// All variants of a key.
        case removeKey
        /// Everything before this entry.
        case removeAll
        /// The segment is full and durable.
        case sealed
    }

    var operation: Operation
    var key: Digest128
    var variant: UInt32
    /// Which process life wrote it, counted for each journal. A power cut may leave entries behind a gap; once a later
    /// life has written over the gap, they must not count again.
    var session: UInt16

    init(
        _ operation: Operation, session: UInt16, key: Digest128 = Digest128(high: 0, low: 0),
        variant: UInt32 = 0
    ) {
        self.operation = operation
        self.session = session
        self.key = key
        self.variant = variant
    }

    var encoded: [UInt8] {
        var code: UInt8
        var kind: UInt8 = 0
        var offset: Int64 = 0
        var length = 0
        switch operation {
        case .put(let recordKind, let location):
            (code, kind, offset, length) = (1, recordKind.rawValue, location.offset, location.length)
        case .removeVariant: code = 2
        case .removeKey: code = 3
        case .removeAll: code = 4
        case .sealed: code = 5
        }
        var writer = ByteWriter(capacity: DiskFormat.entryBytes)
        writer.append(code)
        writer.append(kind)
        writer.append(session)
        writer.append(variant)
        writer.append(key)
        writer.append(UInt64(offset))
        writer.append(UInt64(length))
        writer.pad(to: DiskFormat.entryBytes - 4)
        writer.appendChecksum()
        return writer.bytes
    }

    /// Reads an entry of the journal of `generation`; nil unless its checksum proves it.
    init?(_ bytes: UnsafeRawBufferPointer, generation: UInt32) {
        let body = UnsafeRawBufferPointer(rebasing: bytes[..<(DiskFormat.entryBytes - 4)])
        let checksum = UInt32(
            littleEndian: bytes.loadUnaligned(fromByteOffset: DiskFormat.entryBytes - 4, as: UInt32.self))
        guard CRC32C.checksum(body) == checksum else { return nil }
        var reader = ByteReader(body)
        guard let code = reader.read(UInt8.self), let rawKind = reader.read(UInt8.self),
            let kind = DiskIndexEntry.Kind(rawValue: rawKind), let session = reader.read(UInt16.self),
            let variant = reader.read(UInt32.self), let key = reader.readDigest(),
            let offset = reader.read(UInt64.self), let length = reader.read(UInt64.self)
        else { return nil }
        let unit = UInt64(RecordLocation.alignment)
        switch code {
        case 1:
            guard offset % unit == 0, length % unit == 0, length > 0,
                offset < UInt64(DiskFormat.largestSegmentBytes),
                length <= UInt64(DiskFormat.largestRecordBytes)
            else { return nil }
            let location = RecordLocation(generation: generation, offset: Int64(offset), length: Int(length))
            operation = .put(kind, location)
        case 2: operation = .removeVariant
        case 3: operation = .removeKey
        case 4: operation = .removeAll
        case 5: operation = .sealed
        default: return nil
        }
        self.key = key
        self.variant = variant
        self.session = session
    }

    /// Whether these bytes were never written: the end of a journal.
    static func isBlank(_ bytes: UnsafeRawBufferPointer) -> Bool { bytes.allSatisfy { $0 == 0 } }
}
