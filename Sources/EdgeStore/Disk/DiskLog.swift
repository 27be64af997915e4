import EdgePrimitives
import Glibc
import NIOCore
import Synchronization

/// The log of records that is the disk tier: appends to the newest segment, gives up the oldest.
///
/// Everything that writes is here, and one thread at a time does it. Readers need no lock of this: they find records
/// by the index and hold the segment while they read.
///
/// What a power cut may take is what was written since the last sync: a record whose bytes did not arrive fails its
/// checksum, and so does a journal entry. The journal is only ever believed about records that prove themselves.
struct DiskLog {
    private var volume: any DiskVolume
    let identity: VolumeIdentity
    private(set) var geometry: DiskGeometry
    let index: DiskIndex
    let segments: SegmentTable
    let account: OccupancyAccount
    let counters: DiskCounters

    private struct Open {
        let segment: Segment
        var position: Int64
        var journalPosition: Int64
        let session: UInt16
        /// Entries that are not in the journal yet.
        var entries: [UInt8] = []
        var unsyncedBytes: Int64 = 0
    }

    /// The segment that is being given up, and how far.
    private struct Victim {
        let segment: Segment
        var journalPosition = DiskFormat.firstOffset
        var keptBytes: Int64 = 0
    }

    private static let syncedBytes: Int64 = 16 << 20

    /// Generations, the oldest first; the open segment is the last.
    private var order: [UInt32]
    private var open: Open?
    private var victim: Victim?
    private var nextGeneration: UInt32
    /// Files of a segment that could not be made.
    private var leftovers: [String] = []
    /// Whether a segment ever had to leave: from then on admission is choosy.
    private(set) var hasBeenFull: Bool
    /// Whether a segment was begun since ``takeHasTurned()`` was asked.
    private var hasTurned = false

    init(
        volume: any DiskVolume, identity: VolumeIdentity, geometry: DiskGeometry, recovered: DiskRecovery,
        counters: DiskCounters
    ) {
        self.volume = volume
        self.identity = identity
        self.geometry = geometry
        self.counters = counters
        index = recovered.index
        segments = recovered.segments
        account = recovered.account
        order = recovered.order
        nextGeneration = recovered.nextGeneration
        hasBeenFull = recovered.account.bytes + geometry.segmentCost > geometry.budgetBytes
        if let resumed = recovered.resumed {
            open = Open(
                segment: resumed.segment, position: resumed.position,
                journalPosition: resumed.journalPosition, session: resumed.session)
        }
    }

    // MARK: Writing

    /// Appends a record.
    ///
    /// - Parameters:
    ///   - head: the head section; empty for a block.
    ///   - register: tells the index, once the record is written; false where it is not wanted any more.
    /// - Returns: false when the record is too large for any segment, or not wanted.
    mutating func append(
        _ kind: DiskIndexEntry.Kind, key: Digest128, variant: UInt32, head: [UInt8], body: ByteBuffer,
        uses: UInt8 = 0, register: (DiskIndexEntry) -> Bool
    ) throws(DiskError) -> Bool {
        let bodyOffset = DiskFormat.headerBytes + head.count
        let length = DiskFormat.align(
            Int64(bodyOffset + body.readableBytes), to: Int64(RecordLocation.alignment))
        guard length <= geometry.largestRecordBytes else { return false }
        let isPaged = body.readableBytes >= DiskFormat.pagedBytes
        try makeRoom(for: length + (isPaged ? DiskFormat.pageBytes : 0))
        guard var current = open else { return false }
        var offset = current.position
        if isPaged {
            offset =
                DiskFormat.align(offset + Int64(bodyOffset), to: DiskFormat.pageBytes) - Int64(bodyOffset)
            offset = DiskFormat.align(offset, to: Int64(RecordLocation.alignment))
        }
        let generation = current.segment.generation
        let location = RecordLocation(generation: generation, offset: offset, length: Int(length))
        let header = RecordHeader(
            kind: kind, key: key, variant: variant, generation: generation, headBytes: UInt32(head.count),
            headChecksum: CRC32C.checksum(head), bodyBytes: UInt32(body.readableBytes),
            bodyOffset: UInt32(bodyOffset),
            bodyChecksum: body.withUnsafeReadableBytes { CRC32C.checksum($0) })
        do {
            try current.segment.file.write(header.encoded + head, body, at: offset)
        } catch {
            open = nil
            throw error
        }
        current.position = offset + length
        current.unsyncedBytes += length
        counters.bytesWritten.add(UInt64(length))
        let entry = DiskIndexEntry(
            key: key, variant: variant, kind: kind, location: location, uses: uses, isVerified: false)
        let isWanted = register(entry)
        if isWanted {
            if kind == .response { current.segment.notePull(at: ResponseCoding.position(of: head)) }
            let journaled = JournalEntry(
                .put(kind, location), session: current.session, key: key, variant: variant)
            current.entries += journaled.encoded
        }
        open = current
        return isWanted
    }

    /// Notes in the journal that something was taken out of the index.
    mutating func appendRemoval(
        _ operation: JournalEntry.Operation, key: Digest128 = Digest128(high: 0, low: 0), variant: UInt32 = 0
    ) throws(DiskError) {
        try makeRoom(for: 0)
        guard let session = open?.session else { return }
        open?.entries += JournalEntry(operation, session: session, key: key, variant: variant).encoded
    }

    /// Writes out what the journal does not have yet: from here on a kill of the process takes nothing of it.
    mutating func commit() throws(DiskError) {
        guard var current = open, !current.entries.isEmpty else { return }
        do {
            try current.segment.journal.write(current.entries, at: current.journalPosition)
            current.journalPosition += Int64(current.entries.count)
            current.entries.removeAll(keepingCapacity: true)
            if current.unsyncedBytes >= Self.syncedBytes {
                try current.segment.file.sync()
                current.unsyncedBytes = 0
            }
        } catch {
            open = nil
            throw error
        }
        open = current
    }

    /// Makes what was written survive a power cut.
    mutating func sync() throws(DiskError) {
        try commit()
        guard var current = open else { return }
        do {
            try current.segment.file.sync()
            try current.segment.journal.sync()
        } catch {
            open = nil
            throw error
        }
        current.unsyncedBytes = 0
        open = current
    }

    /// Begins anew where the volume file has gone: the directory was removed, or replaced. What is still open stays
    /// readable.
    mutating func checkPlace() throws(DiskError) {
        guard try !volume.list().contains(DiskFormat.volumeName) else { return }
        open = nil
        try DiskRecovery.writeVolume(identity, to: volume)
    }

    /// Ends the log: what was written is durable, and the directory is let go.
    mutating func close() {
        try? sync()
        open = nil
        victim = nil
        volume = ClosedVolume()
    }

    // MARK: Another budget

    /// Keeps to another budget from here on: what does not fit it is given up, the oldest first.
    mutating func resize(to wanted: DiskGeometry) throws(DiskError) {
        if wanted != geometry {
            geometry = wanted
            // The open segment has room for as much as it was made for, and not for what the next ones are.
            try seal()
        }
        try fitBudget()
        hasBeenFull = isNextFull
        hasTurned = true
    }

    /// Gives up the oldest segments while all of them take more than the budget. What readers still hold of segments
    /// that are gone is given back when they let go.
    mutating func fitBudget() throws(DiskError) {
        while segments.occupiedBytes > geometry.budgetBytes, !order.isEmpty {
            if order.count == 1 { try seal() }
            if victim == nil { beginVictim() }
            try finishVictim()
        }
    }

    // MARK: Segments

    /// Whether a segment was begun since the last time: what the disk holds may have changed by a fortieth.
    mutating func takeHasTurned() -> Bool {
        defer { hasTurned = false }
        return hasTurned
    }

    /// Whether the open segment takes a record of `length` and its entry.
    private func hasRoom(for length: Int64) -> Bool {
        guard let open else { return false }
        let journalEnd = open.journalPosition + Int64(open.entries.count + 2 * DiskFormat.entryBytes)
        return open.position + length <= geometry.segmentBytes && journalEnd <= geometry.journalBytes
    }

    private mutating func makeRoom(for length: Int64) throws(DiskError) {
        if hasRoom(for: length) { return }
        try seal()
        while account.bytes + geometry.segmentCost > geometry.budgetBytes {
            hasBeenFull = true
            guard !order.isEmpty else {
                // All that is left is held by readers of segments that are gone.
                throw DiskError(.reserve, DiskFormat.segmentName(nextGeneration), EBUSY)
            }
            // Whatever reclaiming had not come to goes with its segment.
            if victim == nil { beginVictim() }
            try finishVictim()
            account.settle()
        }
        try openSegment()
    }

    /// Ends the open segment: its records are durable before its journal says that it is whole.
    mutating func seal() throws(DiskError) {
        guard let current = open else { return }
        try commit()
        open = nil
        try current.segment.file.sync()
        let position = current.journalPosition + Int64(current.entries.count)
        try current.segment.journal.write(
            JournalEntry(.sealed, session: current.session).encoded, at: position)
        try current.segment.journal.sync()
    }

    private mutating func openSegment() throws(DiskError) {
        let generation = nextGeneration
        guard generation < .max else {
            throw DiskError(.create, DiskFormat.segmentName(generation), EOVERFLOW)
        }
        let name = DiskFormat.segmentName(generation)
        let journalName = DiskFormat.journalName(generation)
        try volume.removeIfThere(leftovers)
        leftovers = []
        nextGeneration += 1
        do {
            let file = try makeFile(name, geometry.segmentBytes, DiskFormat.segmentMagic, generation)
            let journal = try makeFile(
                journalName, geometry.journalBytes, DiskFormat.journalMagic, generation)
            try volume.syncDirectory()
            let segment = Segment(
                generation: generation, file: file, journal: journal, occupiedBytes: geometry.segmentCost,
                account: account, oldestPull: nil)
            segments.insert(segment)
            order.append(generation)
            hasTurned = true
            open = Open(
                segment: segment, position: DiskFormat.firstOffset, journalPosition: DiskFormat.firstOffset,
                session: 0)
        } catch {
            // What there is of it goes before the next one comes.
            leftovers = [name, journalName]
            throw error
        }
    }

    /// A new file with its whole room reserved and its header durable.
    private func makeFile(_ name: String, _ bytes: Int64, _ magic: UInt64, _ generation: UInt32)
        throws(DiskError) -> any DiskFile
    {
        let file = try volume.open(name, create: true)
        try file.reserve(bytes)
        try file.write(VolumeIdentity.header(magic, identity, generation: generation), at: 0)
        try file.sync()
        return file
    }

    // MARK: Giving up the oldest segment

    /// Whether the next segment will need the oldest one's place.
    private var isNextFull: Bool { account.bytes + geometry.segmentCost > geometry.budgetBytes }

    /// Looks through a piece of the oldest segment when its place will soon be needed: what was used since it was
    /// written is written again (CLOCK with two bits), up to half a segment; the rest is forgotten.
    ///
    /// - Parameter isResident: whether memory holds a response of that key; such a one is in use.
    mutating func reclaimStep(isResident: (Digest128) -> Bool) throws(DiskError) {
        guard isNextFull, let open, open.position > geometry.segmentBytes / 2, order.count > 1 else { return }
        hasBeenFull = true
        if victim == nil { beginVictim() }
        guard var current = victim else { return }
        guard current.journalPosition < geometry.journalBytes else { return }
        let piece = JournalPiece.read(current.segment, from: current.journalPosition)
        current.journalPosition += Int64(JournalPiece.bytes)
        for entry in piece.slots.compactMap({ $0 }) {
            guard case .put(let kind, let location) = entry.operation else { continue }
            guard let uses = index.takeUse(entry.key, variant: entry.variant, kind: kind, at: location) else {
                continue
            }
            let isUsed = uses > 0 || (kind == .response && isResident(entry.key))
            if isUsed, current.keptBytes + Int64(location.length) <= geometry.segmentBytes / 2,
                try rewrite(entry, kind, location, uses: uses > 0 ? uses - 1 : 0, from: current.segment)
            {
                current.keptBytes += Int64(location.length)
                counters.bytesRewritten.add(UInt64(location.length))
            }
        }
        // The place is given back when it is needed: until then readers lose nothing.
        if piece.isEnd { current.journalPosition = geometry.journalBytes }
        victim = current
    }

    private func forget(_ entry: JournalEntry, _ kind: DiskIndexEntry.Kind, _ location: RecordLocation) {
        let gone = index.remove(entry.key, variant: entry.variant, kind: kind, at: location)
        if gone != nil, kind == .response { counters.evictions.add(1) }
    }

    private mutating func beginVictim() {
        guard let oldest = order.first, oldest != open?.segment.generation, let segment = segments[oldest]
        else { return }
        victim = Victim(segment: segment)
    }

    /// Forgets what is left of the oldest segment and removes its files. Where that fails it stays the oldest, and
    /// counts, until it succeeds: the journals of younger segments, which took records of this one away, must not go
    /// before it.
    private mutating func finishVictim() throws(DiskError) {
        guard let current = victim else { throw DiskError(.remove, "the oldest segment", EBUSY) }
        JournalPiece.forEachSlot(of: current.segment) { entry in
            guard let entry, case .put(let kind, let location) = entry.operation else { return }
            forget(entry, kind, location)
        }
        let generation = current.segment.generation
        segments.remove(generation)
        try volume.removeIfThere([DiskFormat.segmentName(generation), DiskFormat.journalName(generation)])
        try volume.syncDirectory()
        counters.evictionAgeMilliseconds.store(
            SystemClock.monotonic().milliseconds(since: current.segment.since), ordering: .relaxed)
        victim = nil
        order.removeAll { $0 == generation }
    }

    private mutating func rewrite(
        _ entry: JournalEntry, _ kind: DiskIndexEntry.Kind, _ location: RecordLocation, uses: UInt8,
        from segment: Segment
    ) throws(DiskError) -> Bool {
        // Reclaiming must not open a segment itself: the place for it is what it is about to make.
        guard hasRoom(for: Int64(location.length) + DiskFormat.pageBytes) else { return false }
        guard let record = RecordFile.read(location, in: segment), record.isBodyProved else {
            counters.damagedRecords.add(1)
            return false
        }
        let header = record.header
        guard header.kind == kind, header.key == entry.key, header.variant == entry.variant else {
            return false
        }
        // It may have been removed, or replaced, while it was read.
        return try append(
            kind, key: entry.key, variant: entry.variant, head: record.head, body: record.body, uses: uses
        ) { [index] in index.move($0, from: location) }
    }
}

/// What a closed log writes to.
private struct ClosedVolume: DiskVolume {
    func list() throws(DiskError) -> [String] { throw DiskError(.list, "closed", EBADF) }
    func open(_ name: String, create: Bool) throws(DiskError) -> any DiskFile {
        throw DiskError(.open, name, EBADF)
    }
    func remove(_ name: String) throws(DiskError) { throw DiskError(.remove, name, EBADF) }
    func rename(_ name: String, to newName: String) throws(DiskError) {
        throw DiskError(.rename, name, EBADF)
    }
    func syncDirectory() throws(DiskError) { throw DiskError(.syncDirectory, "closed", EBADF) }
}
