import EdgePrimitives
import NIOCore
import Synchronization

/// The purge ledger of a single node: a journal on disk.
///
/// Purges that come while one sync is under way share the next. A purge is applied and answered when the sync that
/// covers it has returned. What fails to be kept is neither; the journal is then written anew before anything else is
/// added, since nobody knows what of it is on the disk.
///
/// A journal with anything in it that is not proved may have lost purges: everything stored before is hidden, by a
/// new epoch. So may one that is missing, unless nothing else is there.
public final class PurgeJournal: PurgeLedger {
    static let name = "journal"
    static let newName = "journal.new"
    /// Entries beyond twice the stamps that are in force, before the journal is written anew.
    static let largestSurplus = 4_096

    /// How much of a journal is in memory at once, and how long it may be.
    struct Limits {
        var pieceBytes = 256 << 10
        var pieceEntries = 512
        /// A journal that has grown to this is written anew, at half of it: what is in force beyond that is
        /// given up, the oldest first, and with it everything that was pulled before.
        var fullBytes: Int64 = 256 << 20
        /// No journal of this program comes near this. A longer one is not read.
        var refusedBytes: Int64 = 1 << 30
    }

    /// What the start found.
    public enum Finding: Sendable, Equatable {
        case none
        case whole(purges: Int)
        /// Everything stored before is hidden.
        case damaged(provedPurges: Int)
        /// So it is here: nothing of it was read.
        case tooLong(bytes: Int64)

        /// What the program's log says of it; nil where all is well.
        public var warning: String? {
            switch self {
            case .none, .whole: nil
            case .damaged(let proved):
                "damaged after \(proved) purges; all that was stored before is hidden, as one may be lost"
            case .tooLong(let bytes):
                "\(PurgeJournal.name) has \(bytes) bytes, more than any that this program writes; it is begun anew, and"
                    + " all that was stored before is hidden"
            }
        }
    }

    private static let isEnding = PurgeLedgerError("the node is ending")

    private struct Pending {
        let purge: Purge
        let completion: @Sendable (Result<PurgeEntry, PurgeLedgerError>) -> Void
    }

    private struct Queue {
        var pending: [Pending] = []
        var isRunning = false
        var recent = RecentPurges()
        var counters = PurgeCounters()
    }

    /// The file and what is in it; the writer's alone.
    private struct Log {
        let volume: any DiskVolume
        var file: any DiskFile
        var header: PurgeJournalFormat.Header
        var end: Int64
        /// Entries in the file.
        var count: Int
        /// Which of the two heads is written next.
        var turn = 0
        var isSuspect = false
    }

    public let stamps: PurgeStamps
    public let finding: Finding
    private let limits: Limits
    private let writer = WorkerThreads(count: 1)
    private let queue = Mutex(Queue())
    /// Nil after the end.
    private let log: Mutex<Log?>

    /// Opens the journal in `volume`, or begins one.
    public convenience init(
        volume: any DiskVolume, stamps: PurgeStamps = PurgeStamps()
    ) throws(DiskError) {
        try self.init(volume: volume, stamps: stamps, limits: Limits())
    }

    init(volume: any DiskVolume, stamps: PurgeStamps, limits: Limits) throws(DiskError) {
        self.stamps = stamps
        self.limits = limits
        var recent = RecentPurges()
        var lastEpoch: UInt64 = 0
        var whole: Log?
        if try volume.list().contains(Self.name) {
            let file = try volume.open(Self.name, create: false)
            let size = try file.size()
            var reader = try PurgeJournalReader(file, pieceBytes: limits.pieceBytes)
            lastEpoch = reader.header?.epoch ?? 0
            if size > limits.refusedBytes {
                finding = .tooLong(bytes: size)
            } else {
                try Self.apply(&reader, to: stamps, &recent, limits)
                if reader.isWhole, let header = reader.header {
                    whole = Log(
                        volume: volume, file: file, header: header, end: reader.end, count: reader.count)
                }
                finding =
                    whole == nil ? .damaged(provedPurges: reader.count) : .whole(purges: reader.count)
            }
        } else {
            finding = .none
        }
        let log: Log
        if let whole {
            log = whole
            queue.withLock { $0.recent = recent }
        } else {
            // The clock makes the epoch larger than any used before, also where nothing tells which those were.
            let now = UInt64(max(1, SystemClock.wall().milliseconds))
            let floor = PurgePosition(epoch: max(lastEpoch + 1, now), number: 0)
            log = try Self.begin(volume, .init(epoch: floor.epoch, floor: floor, number: 0))
            stamps.begin(at: floor)
        }
        stamps.advance(to: log.header.head)
        self.log = Mutex(log)
    }

    /// Applies what a journal holds, piece by piece. Where it turns out not to be whole, the floor that then
    /// comes is above all of it.
    private static func apply(
        _ reader: inout PurgeJournalReader, to stamps: PurgeStamps, _ recent: inout RecentPurges,
        _ limits: Limits
    ) throws(DiskError) {
        guard let header = reader.header else { return }
        stamps.begin(at: header.floor)
        while case let entries = try reader.next(limits.pieceEntries), !entries.isEmpty {
            stamps.apply(entries)
            recent.append(entries)
        }
    }

    /// Writes a journal beside the one there is, then puts it in its place.
    ///
    /// - Parameter next: gives its entries, some at a time; none at their end.
    private static func begin(
        _ volume: any DiskVolume, _ header: PurgeJournalFormat.Header,
        _ next: () throws(DiskError) -> [PurgeEntry] = { () throws(DiskError) in [] }
    ) throws(DiskError) -> Log {
        try volume.removeIfThere([newName])
        let file = try volume.open(newName, create: true)
        var log = Log(volume: volume, file: file, header: header, end: 0, count: 0)
        var bytes = PurgeJournalFormat.encodeStart(header)
        while true {
            try file.write(bytes, at: log.end)
            log.end += Int64(bytes.count)
            let entries = try next()
            if entries.isEmpty { break }
            bytes = []
            for entry in entries { bytes += PurgeJournalFormat.encode(entry, in: header) }
            log.count += entries.count
        }
        try file.sync()
        try volume.rename(newName, to: name)
        try volume.syncDirectory()
        return log
    }

    // MARK: - Purging

    public func append(
        _ purge: Purge, _ completion: @escaping @Sendable (Result<PurgeEntry, PurgeLedgerError>) -> Void
    ) {
        guard PurgeJournalFormat.fits(purge) else {
            completion(.failure(PurgeLedgerError("what it names is too long for the log")))
            return
        }
        let wakes = queue.withLock { queue in
            queue.pending.append(Pending(purge: purge, completion: completion))
            defer { queue.isRunning = true }
            return !queue.isRunning
        }
        guard wakes, !writer.submit({ self.drain() }) else { return }
        let refused = queue.withLock { queue in
            defer { queue.pending = [] }
            return queue.pending
        }
        for one in refused { one.completion(.failure(Self.isEnding)) }
    }

    private func drain() {
        while true {
            let batch = queue.withLock { queue in
                let batch = queue.pending
                queue.pending = []
                if batch.isEmpty { queue.isRunning = false }
                return batch
            }
            guard !batch.isEmpty else { return }
            let result = log.withLock { keep(batch.map(\.purge), &$0) }
            switch result {
            case .success(let entries):
                for (one, entry) in zip(batch, entries) { one.completion(.success(entry)) }
            case .failure(let error):
                queue.withLock { $0.counters.failures += UInt64(batch.count) }
                for one in batch { one.completion(.failure(error)) }
            }
        }
    }

    /// Makes purges durable with one sync, then applies them.
    private func keep(_ purges: [Purge], _ open: inout Log?) -> Result<[PurgeEntry], PurgeLedgerError> {
        guard var log = open else { return .failure(Self.isEnding) }
        defer { open = log }
        let now = SystemClock.wall()
        let started = SystemClock.monotonic()
        var number: UInt64 = 0
        var entries: [PurgeEntry] = []
        do throws(DiskError) {
            let isThere = try log.volume.list().contains(Self.name)
            if log.isSuspect || !isThere || log.end > limits.fullBytes
                || log.count > 2 * stamps.count + Self.largestSurplus
            {
                try rewrite(&log)
            }
            number = stamps.head.number
            entries = purges.map { purge in
                number += 1
                return PurgeEntry(
                    position: PurgePosition(epoch: log.header.epoch, number: number), time: now, purge: purge)
            }
            var bytes: [UInt8] = []
            for entry in entries { bytes += PurgeJournalFormat.encode(entry, in: log.header) }
            try log.file.write(bytes, at: log.end)
            // By turns, so that one of them is whole when a crash tears the other.
            let head = PurgeJournalFormat.encode(head: number, in: log.header)
            try log.file.write(head, at: Int64(PurgeJournalFormat.headOffsets[log.turn]))
            try log.file.sync()
            log.turn = 1 - log.turn
            log.end += Int64(bytes.count)
        } catch {
            log.isSuspect = true
            return .failure(PurgeLedgerError("the purge ledger cannot be written: \(error)"))
        }
        log.count += entries.count
        let synced = started.nanosecondsUntilNow
        let applying = SystemClock.monotonic()
        stamps.apply(entries)
        let applied = applying.nanosecondsUntilNow
        queue.withLock { queue in
            queue.recent.append(entries)
            queue.counters.count(entries)
            queue.counters.syncs += 1
            queue.counters.syncNanoseconds += synced
            queue.counters.applyNanoseconds += applied
        }
        return .success(entries)
    }

    /// Writes the journal anew with the purges that are still in force.
    private func rewrite(_ log: inout Log) throws(DiskError) {
        let head = stamps.head
        guard let surplus = try surplusBytes(log, head) else {
            // Somebody took purges away that were acknowledged. They hold in this process; that the next one should not
            // do without them, everything stored before is hidden.
            let start = PurgePosition(epoch: log.header.epoch + 1, number: 0)
            log = try Self.begin(log.volume, .init(epoch: start.epoch, floor: start, number: 0))
            stamps.begin(at: start)
            return
        }
        if let last = try hideOldest(log, head, surplus) { stamps.begin(at: last) }
        let header = PurgeJournalFormat.Header(
            epoch: log.header.epoch, floor: stamps.floor, number: head.number)
        var reader = try PurgeJournalReader(
            log.volume.open(Self.name, create: false), pieceBytes: limits.pieceBytes)
        let floor = stamps.floor
        log = try Self.begin(log.volume, header) { () throws(DiskError) in
            while case let entries = try reader.next(limits.pieceEntries), !entries.isEmpty {
                let kept = inForce(entries, head).filter { $0.position > floor || $0.position == head }
                if !kept.isEmpty { return kept }
            }
            return []
        }
    }

    /// Those that a journal which is written anew takes along. The newest is one of them in any case: by its
    /// number a start knows that nothing is lost.
    private func inForce(_ entries: [PurgeEntry], _ head: PurgePosition) -> [PurgeEntry] {
        var kept = stamps.inForce(entries.filter { $0.position <= head })
        if let last = entries.last, last.position == head, kept.last?.position != head { kept.append(last) }
        return kept
    }

    /// Reads the journal through, and counts how many bytes in force are more than it should have when it is
    /// written anew; nil where it lacks purges that this process knows of.
    private func surplusBytes(_ log: Log, _ head: PurgePosition) throws(DiskError) -> Int64? {
        guard try log.volume.list().contains(Self.name) else { return nil }
        let file = try log.volume.open(Self.name, create: false)
        guard try file.size() <= limits.refusedBytes else { return nil }
        var reader = try PurgeJournalReader(file, pieceBytes: limits.pieceBytes)
        guard reader.header == log.header else { return nil }
        var bytes: Int64 = 0
        while case let entries = try reader.next(limits.pieceEntries), !entries.isEmpty {
            for entry in inForce(entries, head) { bytes += Self.bytes(of: entry, in: log.header) }
        }
        return reader.number >= head.number ? max(0, bytes - limits.fullBytes / 2) : nil
    }

    /// The position of the last of the oldest purges in force that have `surplus` bytes together; nil without
    /// surplus.
    private func hideOldest(
        _ log: Log, _ head: PurgePosition, _ surplus: Int64
    ) throws(DiskError) -> PurgePosition? {
        guard surplus > 0 else { return nil }
        let file = try log.volume.open(Self.name, create: false)
        var reader = try PurgeJournalReader(file, pieceBytes: limits.pieceBytes)
        var rest = surplus
        while case let entries = try reader.next(limits.pieceEntries), !entries.isEmpty {
            for entry in inForce(entries, head) {
                rest -= Self.bytes(of: entry, in: log.header)
                if rest <= 0 { return entry.position }
            }
        }
        return nil
    }

    private static func bytes(of entry: PurgeEntry, in header: PurgeJournalFormat.Header) -> Int64 {
        Int64(PurgeJournalFormat.encode(entry, in: header).count)
    }

    // MARK: - What was done

    public func recent(_ limit: Int) -> [PurgeEntry] { queue.withLock { $0.recent.newest(limit) } }
    public var counters: PurgeCounters { queue.withLock { $0.counters } }

    /// Ends after what was appended, and lets the directory go.
    public func shutdown() {
        writer.stop()
        log.withLock { $0 = nil }
    }
}
