import EdgePrimitives

/// The bytes of a purge journal: a header, two places that tell by turns how far the log goes, then entries one behind
/// the other. All but the header have a checksum that also covers the header's, so they belong to this file alone.
/// Little-endian.
///
/// | octets | header |
/// |---|---|
/// | 8 | magic and version, `RPPURGE1` |
/// | 8 | epoch |
/// | 8, 8 | floor, an epoch and a number: what was pulled before it is hidden |
/// | 8 | number of the newest purge when the file was written |
/// | 4 | CRC-32C of the above |
///
/// | octets at 64 and at 128 | how far the log goes |
/// |---|---|
/// | 8 | number of the newest purge; the larger of the two counts |
/// | 4 | CRC-32C of it, continuing from the header's |
///
/// | octets from 256 on | entry |
/// |---|---|
/// | 4 | length of what follows the checksum |
/// | 4 | CRC-32C of the length and of what follows, continuing from the header's |
/// | 8 | number within the epoch, rising |
/// | 8 | time in milliseconds since 1970 |
/// | 1 | scope |
/// | 1 | 1: soft |
/// | 4, n | what it covers, canonical |
/// | 4, n | what the caller named, UTF-8 |
/// | 4, n | the caller's address, UTF-8 |
enum PurgeJournalFormat {
    static let headerBytes = 44
    static let entriesOffset = 256
    static let headOffsets: [Int] = [64, 128]
    private static let magic: UInt64 = 0x3145_4752_5550_5052
    static let largestEntryBytes = 64 + 3 * Purge.largestValueBytes

    struct Header: Equatable {
        let epoch: UInt64
        let floor: PurgePosition
        let number: UInt64
        /// Of its octets: what the checksums of all else continue from.
        let checksum: UInt32

        init(epoch: UInt64, floor: PurgePosition, number: UInt64) {
            self.epoch = epoch
            self.floor = floor
            self.number = number
            checksum = CRC32C.checksum(PurgeJournalFormat.encode(epoch: epoch, floor: floor, number: number))
        }

        var head: PurgePosition { PurgePosition(epoch: epoch, number: number) }

        /// Whether a journal of this program could have it. A larger number leaves no room for the next purge
        /// or epoch, and nothing could ever be newer than a floor beyond the head.
        var isPlausible: Bool {
            epoch <= largestNumber && number <= largestNumber && floor <= head
        }
    }

    /// Of an epoch, and of a purge within one.
    static let largestNumber: UInt64 = 1 << 62

    static func encode(_ header: Header) -> [UInt8] {
        encode(epoch: header.epoch, floor: header.floor, number: header.number)
    }

    private static func encode(epoch: UInt64, floor: PurgePosition, number: UInt64) -> [UInt8] {
        var writer = ByteWriter(capacity: headerBytes)
        writer.append(magic)
        writer.append(epoch)
        writer.append(floor.epoch)
        writer.append(floor.number)
        writer.append(number)
        writer.appendChecksum()
        return writer.bytes
    }

    /// What tells that the log goes as far as `number`.
    static func encode(head number: UInt64, in header: Header) -> [UInt8] {
        var writer = ByteWriter(capacity: 12)
        writer.append(number)
        writer.append(CRC32C.checksum(writer.bytes, continuing: header.checksum))
        return writer.bytes
    }

    /// The file without entries.
    static func encodeStart(_ header: Header) -> [UInt8] {
        var writer = ByteWriter(capacity: entriesOffset)
        writer.append(raw: encode(header))
        for offset in headOffsets {
            writer.pad(to: offset)
            writer.append(raw: encode(head: header.number, in: header))
        }
        writer.pad(to: entriesOffset)
        return writer.bytes
    }

    /// What the file says of how far the log goes; nil where neither of the two places proves itself.
    static func decodeHead(_ bytes: UnsafeRawBufferPointer, in header: Header) -> UInt64? {
        headOffsets.compactMap { offset -> UInt64? in
            guard bytes.count >= offset + 12 else { return nil }
            let slot = UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + 12])
            var reader = ByteReader(slot)
            guard let number = reader.read(UInt64.self), Array(slot) == encode(head: number, in: header)
            else {
                return nil
            }
            return number
        }.max()
    }

    /// Whether an entry for `purge` is one that is read again.
    static func fits(_ purge: Purge) -> Bool {
        code(purge.scope).1.count + purge.value.utf8.count + purge.client.utf8.count <= 3
            * Purge.largestValueBytes
    }

    static func encode(_ entry: PurgeEntry, in header: Header) -> [UInt8] {
        let (scope, covered) = code(entry.purge.scope)
        var payload = ByteWriter(capacity: 64 + 2 * covered.count)
        payload.append(entry.position.number)
        payload.append(entry.time.milliseconds)
        payload.append(scope)
        payload.append(UInt8(entry.purge.isSoft ? 1 : 0))
        for bytes in [covered, Array(entry.purge.value.utf8), Array(entry.purge.client.utf8)] {
            payload.append(UInt32(bytes.count))
            payload.append(raw: bytes)
        }
        var writer = ByteWriter(capacity: payload.bytes.count + 8)
        let length = UInt32(payload.bytes.count)
        writer.append(length)
        writer.append(payload.bytes.withUnsafeBytes { checksum(length, $0, in: header) })
        writer.append(raw: payload.bytes)
        return writer.bytes
    }

    /// The header at the beginning of `bytes`; nil unless its checksum proves it and its numbers make sense.
    static func decodeHeader(_ bytes: UnsafeRawBufferPointer) -> Header? {
        var reader = ByteReader(bytes)
        guard reader.read(UInt64.self) == magic, let epoch = reader.read(UInt64.self),
            let floorEpoch = reader.read(UInt64.self), let floorNumber = reader.read(UInt64.self),
            let number = reader.read(UInt64.self), reader.isProved()
        else { return nil }
        let header = Header(
            epoch: epoch, floor: PurgePosition(epoch: floorEpoch, number: floorNumber), number: number)
        return header.isPlausible ? header : nil
    }

    /// How many octets the entry has that begins at `start`; nil where none begins there.
    static func entryBytes(_ start: UnsafeRawBufferPointer) -> Int? {
        var reader = ByteReader(start)
        guard let length = reader.read(UInt32.self), length <= largestEntryBytes else { return nil }
        return 8 + Int(length)
    }

    /// The entry that `bytes` are; nil unless its checksum proves it and its numbers make sense.
    static func decodeEntry(_ bytes: UnsafeRawBufferPointer, in header: Header) -> PurgeEntry? {
        var reader = ByteReader(bytes)
        guard let length = reader.read(UInt32.self), let expected = reader.read(UInt32.self),
            let payload = reader.read(count: Int(length)),
            checksum(length, payload, in: header) == expected
        else { return nil }
        var fields = ByteReader(payload)
        guard let number = fields.read(UInt64.self), number <= largestNumber,
            let milliseconds = fields.read(Int64.self), let scopeCode = fields.read(UInt8.self),
            let soft = fields.read(UInt8.self), soft < 2, let covered = readBytes(&fields),
            let value = readBytes(&fields), let client = readBytes(&fields),
            let scope = scope(scopeCode, covered)
        else { return nil }
        let time = WallTime(milliseconds: milliseconds)
        guard WallTime.nameable.contains(time) else { return nil }
        return PurgeEntry(
            position: PurgePosition(epoch: header.epoch, number: number), time: time,
            purge: Purge(
                scope: scope, isSoft: soft == 1, value: String(decoding: value, as: UTF8.self),
                client: String(decoding: client, as: UTF8.self)))
    }

    private static func readBytes(_ reader: inout ByteReader) -> [UInt8]? {
        guard let count = reader.read(UInt32.self), let bytes = reader.read(count: Int(count)) else {
            return nil
        }
        return Array(bytes)
    }

    private static func checksum(
        _ length: UInt32, _ payload: UnsafeRawBufferPointer, in header: Header
    ) -> UInt32 {
        var start = ByteWriter(capacity: 4)
        start.append(length)
        return CRC32C.checksum(
            payload, continuing: CRC32C.checksum(start.bytes, continuing: header.checksum))
    }

    private static func code(_ scope: PurgeScope) -> (UInt8, [UInt8]) {
        switch scope {
        case .url(let key): (1, key)
        case .anyQuery(let key): (2, key)
        case .prefix(let key): (3, key)
        case .host(let host): (4, host)
        case .tag(let tag): (5, tag)
        case .all: (6, [])
        }
    }

    private static func scope(_ code: UInt8, _ covered: [UInt8]) -> PurgeScope? {
        switch code {
        case 1: .url(covered)
        case 2: .anyQuery(covered)
        case 3: .prefix(covered)
        case 4: .host(covered)
        case 5: .tag(covered)
        case 6: covered.isEmpty ? .all : nil
        default: nil
        }
    }
}
