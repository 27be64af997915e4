/// Reads a purge journal from front to back, a piece at a time: how long it is costs time and no memory.
struct PurgeJournalReader {
    /// Nil where the file's beginning does not prove itself.
    let header: PurgeJournalFormat.Header?
    /// What the file says of how far the log goes; nil where that is not proved.
    let committed: UInt64?
    /// Entries that were read.
    private(set) var count = 0
    /// Number of the newest purge that was read of.
    private(set) var number: UInt64
    /// Where the proved entries that were read end.
    private(set) var end = Int64(PurgeJournalFormat.entriesOffset)

    private let file: any DiskFile
    private var piece: [UInt8]
    /// Bytes of `piece` that are the file's, and how many of them were looked at.
    private var filled = 0
    private var used = 0
    private var isOver: Bool

    /// - Parameter pieceBytes: what is read at once.
    init(_ file: any DiskFile, pieceBytes: Int) throws(DiskError) {
        self.file = file
        piece = [UInt8](
            repeating: 0, count: max(pieceBytes, PurgeJournalFormat.largestEntryBytes + 8))
        var start = [UInt8](repeating: 0, count: PurgeJournalFormat.entriesOffset)
        let read = try Self.read(file, &start, from: 0, at: 0)
        let found = start.withUnsafeBytes { bytes in
            let bytes = UnsafeRawBufferPointer(rebasing: bytes[..<read])
            let header = PurgeJournalFormat.decodeHeader(bytes)
            return (header, header.flatMap { PurgeJournalFormat.decodeHead(bytes, in: $0) })
        }
        (header, committed) = found
        number = header?.number ?? 0
        isOver = header == nil || read < start.count
    }

    /// Whether every purge was read that was ever acknowledged, once ``next(_:)`` gives no more. What follows
    /// the last proved entry was not.
    var isWhole: Bool { committed.map { number >= $0 } ?? false }

    /// The next proved entries, at least one and some `limit`; none at their end.
    mutating func next(_ limit: Int) throws(DiskError) -> [PurgeEntry] {
        var entries: [PurgeEntry] = []
        while !isOver, entries.count < limit {
            guard let header, let bytes = try available(8), let length = length(bytes),
                let whole = try available(length), let entry = entry(whole, length, header),
                count == 0 || entry.position.number > number
            else {
                isOver = true
                break
            }
            entries.append(entry)
            number = entry.position.number
            count += 1
            used += length
            end += Int64(length)
        }
        return entries
    }

    private func length(_ start: Int) -> Int? {
        piece.withUnsafeBytes {
            PurgeJournalFormat.entryBytes(UnsafeRawBufferPointer(rebasing: $0[start..<start + 8]))
        }
    }

    private func entry(_ start: Int, _ length: Int, _ header: PurgeJournalFormat.Header) -> PurgeEntry? {
        piece.withUnsafeBytes {
            PurgeJournalFormat.decodeEntry(
                UnsafeRawBufferPointer(rebasing: $0[start..<start + length]), in: header)
        }
    }

    /// Where the next `wanted` bytes lie in the piece; nil where the file has fewer.
    private mutating func available(_ wanted: Int) throws(DiskError) -> Int? {
        if filled - used < wanted {
            piece.removeSubrange(..<used)
            piece.append(contentsOf: repeatElement(0, count: used))
            filled -= used
            used = 0
            let read = try Self.read(file, &piece, from: filled, at: end + Int64(filled))
            filled += read
        }
        return filled - used >= wanted ? used : nil
    }

    private static func read(
        _ file: any DiskFile, _ bytes: inout [UInt8], from start: Int, at offset: Int64
    ) throws(DiskError) -> Int {
        let result: Result<Int, DiskError> = bytes.withUnsafeMutableBytes { buffer in
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[start...])
            do throws(DiskError) {
                return .success(try file.read(into: rest, at: offset))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}
