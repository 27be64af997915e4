import EdgePrimitives

/// Why a directory cannot be used as a cache.
public enum DiskTierError: Error, CustomStringConvertible {
    /// Written by a later version: it is left as it is.
    case newerFormat(UInt16)
    case tooSmall(Int64)
    case disk(DiskError)

    public var description: String {
        switch self {
        case .newerFormat(let version):
            "disk format \(version) was written by a later rockpool; this one reads format "
                + "\(DiskFormat.version): name another directory, or remove this one"
        case .tooSmall(let bytes):
            "\(bytes) bytes of disk are too few: give at least \(DiskGeometry.leastBudgetBytes >> 20)MiB, "
                + "or 0 for none"
        case .disk(let error): "\(error)"
        }
    }
}

/// What a start found on disk.
public struct RecoveryReport: Sendable, Equatable {
    /// Stored responses and blocks that the journals tell of.
    public var responses = 0
    public var blocks = 0
    public var segments = 0
    /// Segments that could not be proved ours and whole enough to be read.
    public var droppedSegments = 0
    /// Journal entries that failed their checksum, or told of bytes that are not there.
    public var damagedEntries = 0
    /// Files that are none of the cache's; they are left alone.
    public var foreignFiles = 0
    public var milliseconds: Int64 = 0
}

/// Reads a directory: the identity of the volume, then the journals, the oldest first. No body is read; each proves
/// itself before it is used.
struct DiskRecovery {
    struct Resumed {
        let segment: Segment
        let position: Int64
        let journalPosition: Int64
        let session: UInt16
    }

    let index = DiskIndex()
    let segments = SegmentTable()
    let account: OccupancyAccount
    private(set) var order: [UInt32] = []
    private(set) var nextGeneration: UInt32 = 1
    /// The newest segment, where it can be written further.
    private(set) var resumed: Resumed?
    private(set) var report = RecoveryReport()
    private(set) var identity: VolumeIdentity

    private let volume: any DiskVolume
    private let geometry: DiskGeometry

    init(volume: any DiskVolume, geometry: DiskGeometry, closer: WorkerThreads? = nil) throws(DiskTierError) {
        self.volume = volume
        account = OccupancyAccount(closer: closer)
        self.geometry = geometry
        identity = .random()
        let started = SystemClock.monotonic()
        let names = try Self.disk { () throws(DiskError) in try volume.list() }
        let (whole, halves) = sort(names)
        let headers = try readHeaders(names, whole)
        if let known = headers.identity { identity = known }
        try drop(halves)
        if !headers.hasVolume {
            let identity = identity
            try Self.disk { () throws(DiskError) in try Self.writeVolume(identity, to: volume) }
        }
        for generation in whole {
            if generation <= DiskFormat.largestFoundGeneration, headers.proved[generation] == identity {
                try read(generation)
            } else {
                try drop([generation])
            }
        }
        nextGeneration = (order.last ?? 0) + 1
        account.add(DiskFormat.volumeBytes)
        try fitBudget()
        report.segments = order.count
        report.milliseconds = SystemClock.monotonic().milliseconds(since: started)
    }

    private static func disk<Value>(_ body: () throws(DiskError) -> Value) throws(DiskTierError) -> Value {
        do {
            return try body()
        } catch {
            throw .disk(error)
        }
    }

    /// Generations of which both files are there, in order, and those of which one is missing.
    private mutating func sort(_ names: [String]) -> (whole: [UInt32], halves: [UInt32]) {
        var segments: Set<UInt32> = []
        var journals: Set<UInt32> = []
        for name in names {
            if let (generation, isJournal) = DiskFormat.parse(name) {
                if isJournal { journals.insert(generation) } else { segments.insert(generation) }
            } else if name != DiskFormat.volumeName {
                report.foreignFiles += 1
            }
        }
        return (segments.intersection(journals).sorted(), segments.symmetricDifference(journals).sorted())
    }

    // MARK: Identity

    private struct Headers {
        var identity: VolumeIdentity?
        var hasVolume = false
        var proved: [UInt32: VolumeIdentity] = [:]
    }

    /// The identity is that of the volume file, or where that is damaged that of the newest segment: every file
    /// carries it, so that one damaged block loses no more than it held.
    private func readHeaders(_ names: [String], _ whole: [UInt32]) throws(DiskTierError) -> Headers {
        var headers = Headers()
        if names.contains(DiskFormat.volumeName),
            let identity = try header(DiskFormat.volumeName, DiskFormat.volumeMagic, 0)
        {
            headers.identity = identity
            headers.hasVolume = true
        }
        for generation in whole {
            guard
                let segment = try header(
                    DiskFormat.segmentName(generation), DiskFormat.segmentMagic, generation),
                let journal = try header(
                    DiskFormat.journalName(generation), DiskFormat.journalMagic, generation),
                segment == journal
            else { continue }
            headers.proved[generation] = segment
            if !headers.hasVolume { headers.identity = segment }
        }
        return headers
    }

    private func header(_ name: String, _ magic: UInt64, _ generation: UInt32) throws(DiskTierError)
        -> VolumeIdentity?
    {
        guard let file = try? volume.open(name, create: false) else { return nil }
        var bytes = [UInt8](repeating: 0, count: DiskFormat.headerBytes)
        let count = bytes.withUnsafeMutableBytes { (try? file.read(into: $0, at: 0)) ?? 0 }
        guard count == DiskFormat.headerBytes else { return nil }
        switch bytes.withUnsafeBytes({ VolumeIdentity.read($0, magic, generation: generation) }) {
        case .proved(let identity): return identity
        case .newer(let version): throw .newerFormat(version)
        case .damaged: return nil
        }
    }

    /// Written beside and renamed, so that there is never half of one.
    static func writeVolume(_ identity: VolumeIdentity, to volume: any DiskVolume) throws(DiskError) {
        let name = DiskFormat.volumeName
        let bytes = VolumeIdentity.header(DiskFormat.volumeMagic, identity, generation: 0)
        let fresh = name + ".new"
        try? volume.remove(fresh)
        let file = try volume.open(fresh, create: true)
        try file.write(bytes, at: 0)
        try file.sync()
        try volume.rename(fresh, to: name)
        try volume.syncDirectory()
    }

    // MARK: Segments

    private mutating func drop(_ generations: [UInt32]) throws(DiskTierError) {
        for generation in generations {
            let names = [DiskFormat.segmentName(generation), DiskFormat.journalName(generation)]
            try Self.disk { () throws(DiskError) in try volume.removeIfThere(names) }
            report.droppedSegments += 1
        }
    }

    private mutating func read(_ generation: UInt32) throws(DiskTierError) {
        let opened: (file: any DiskFile, journal: any DiskFile, sizes: (Int64, Int64))
        do throws(DiskError) {
            let file = try volume.open(DiskFormat.segmentName(generation), create: false)
            let journal = try volume.open(DiskFormat.journalName(generation), create: false)
            opened = (file, journal, (try file.size(), try journal.size()))
        } catch {
            try drop([generation])
            return
        }
        // A file may claim any size and occupy next to nothing.
        guard opened.sizes.0 <= DiskFormat.largestSegmentBytes,
            opened.sizes.1 <= DiskFormat.largestJournalBytes
        else {
            try drop([generation])
            return
        }
        // Its journal does not tell when what it holds was pulled.
        let segment = Segment(
            generation: generation, file: opened.file, journal: opened.journal,
            occupiedBytes: opened.sizes.0 + opened.sizes.1, account: account, oldestPull: .zero)
        segments.insert(segment)
        order.append(generation)

        var end = DiskFormat.firstOffset
        var used = DiskFormat.firstOffset
        var isSealed = false
        var session: UInt16 = 0
        let isReadable = JournalPiece.forEachSlot(of: segment) { slot in
            end += Int64(DiskFormat.entryBytes)
            guard let entry = slot else {
                report.damagedEntries += 1
                return
            }
            if entry.session < session { return }
            session = entry.session
            switch entry.operation {
            case .sealed: isSealed = true
            case .put(let kind, let location):
                let recordEnd = location.offset + Int64(location.length)
                guard recordEnd <= opened.sizes.0, location.offset >= DiskFormat.firstOffset else {
                    report.damagedEntries += 1
                    return
                }
                used = max(used, recordEnd)
                put(entry, kind, location)
            case .removeVariant:
                let gone = index.remove(entry.key, variant: entry.variant, kind: .response, at: nil)
                if gone != nil { report.responses -= 1 }
            case .removeKey: report.responses -= index.remove(entry.key).count
            case .removeAll:
                index.removeAll()
                report.responses = 0
                report.blocks = 0
            }
        }
        let hasShape = opened.sizes.0 == geometry.segmentBytes && opened.sizes.1 == geometry.journalBytes
        resumed =
            isSealed || !hasShape || !isReadable || session == .max
            ? nil
            : Resumed(segment: segment, position: used, journalPosition: end, session: session + 1)
    }

    private mutating func put(_ entry: JournalEntry, _ kind: DiskIndexEntry.Kind, _ location: RecordLocation)
    {
        let replaced = index.put(
            DiskIndexEntry(
                key: entry.key, variant: entry.variant, kind: kind, location: location, uses: 0,
                isVerified: false))
        guard replaced == nil else { return }
        if kind == .response { report.responses += 1 } else { report.blocks += 1 }
    }

    /// Gives up the oldest segments of a directory that is larger than its budget is now.
    private mutating func fitBudget() throws(DiskTierError) {
        while account.bytes > geometry.budgetBytes, let oldest = order.first {
            if let segment = segments[oldest] {
                JournalPiece.forEachSlot(of: segment) { entry in
                    guard let entry, case .put(let kind, let location) = entry.operation else { return }
                    let gone = index.remove(entry.key, variant: entry.variant, kind: kind, at: location)
                    guard gone != nil else { return }
                    if kind == .response { report.responses -= 1 } else { report.blocks -= 1 }
                }
            }
            if resumed?.segment.generation == oldest { resumed = nil }
            segments.remove(oldest)
            order.removeFirst()
            try drop([oldest])
            report.droppedSegments -= 1
            account.settle()
        }
    }
}

/// A piece of a journal as it lies on disk.
struct JournalPiece {
    static let bytes = 64 * 1024

    /// The slots up to the first that was never written; nil for one that does not prove itself.
    private(set) var slots: [JournalEntry?] = []
    /// Whether nothing comes after them.
    private(set) var isEnd = false
    /// Whether the disk failed: there may be more than it gave.
    private(set) var isUnreadable = false

    /// Calls `body` for every slot of a journal, in order; false where the disk failed before its end.
    @discardableResult
    static func forEachSlot(of segment: Segment, _ body: (JournalEntry?) -> Void) -> Bool {
        var position = DiskFormat.firstOffset
        while true {
            let piece = read(segment, from: position)
            for slot in piece.slots { body(slot) }
            if piece.isEnd { return !piece.isUnreadable }
            position += Int64(bytes)
        }
    }

    /// What cannot be read ends the journal.
    static func read(_ segment: Segment, from position: Int64, bytes wanted: Int = bytes) -> JournalPiece {
        var bytes = [UInt8](repeating: 0, count: wanted)
        let read = bytes.withUnsafeMutableBytes { try? segment.journal.read(into: $0, at: position) }
        let count = read ?? 0
        var piece = JournalPiece()
        piece.isUnreadable = read == nil
        piece.isEnd = count < wanted
        piece.slots.reserveCapacity(count / DiskFormat.entryBytes)
        bytes.withUnsafeBytes { buffer in
            for start in stride(from: 0, through: count - DiskFormat.entryBytes, by: DiskFormat.entryBytes) {
                let slot = UnsafeRawBufferPointer(rebasing: buffer[start..<start + DiskFormat.entryBytes])
                let entry = JournalEntry(slot, generation: segment.generation)
                if entry == nil, JournalEntry.isBlank(slot) {
                    piece.isEnd = true
                    break
                }
                piece.slots.append(entry)
            }
        }
        return piece
    }
}
