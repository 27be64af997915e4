import CEdgeLinux
import EdgePrimitives
import Glibc
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

    /// A journal that is read without a trace in the process's memory.
    private static let smallBytes: Int64 = 4 << 20

    /// What the start found.
    public enum Finding: Sendable, Equatable {
        case none
        case whole(purges: Int)
        /// Everything stored before is hidden.
        case damaged(provedPurges: Int)
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
    private let writer = WorkerThreads(count: 1)
    private let queue = Mutex(Queue())
    /// Nil after the end.
    private let log: Mutex<Log?>

    /// Opens the journal in `volume`, or begins one.
    public init(volume: any DiskVolume, stamps: PurgeStamps = PurgeStamps()) throws(DiskError) {
        self.stamps = stamps
        let content = try Self.read(volume)
        let log: Log
        if let content, content.isWhole {
            log = Log(
                volume: volume, file: try volume.open(Self.name, create: false), header: content.header,
                end: content.bytes, count: content.entries.count)
            finding = .whole(purges: content.entries.count)
            stamps.begin(at: content.header.floor)
            stamps.apply(content.entries)
            queue.withLock { $0.recent.append(Array(content.entries.suffix(RecentPurges.largestCount))) }
        } else {
            finding = content.map { .damaged(provedPurges: $0.entries.count) } ?? .none
            // The clock makes the epoch larger than any used before, also where nothing tells which those were.
            let now = UInt64(max(1, SystemClock.wall().milliseconds))
            let epoch = max((content?.header.epoch ?? 0) + 1, now)
            let floor = PurgePosition(epoch: epoch, number: 0)
            log = try Self.write(volume, .init(epoch: epoch, floor: floor, number: 0), [])
            stamps.begin(at: floor)
        }
        stamps.advance(to: log.header.head)
        // What a long journal took to be read is no longer needed.
        if log.end > Self.smallBytes { _ = edge_malloc_trim(0) }
        self.log = Mutex(log)
    }

    /// What is in the journal; nil where there is none.
    private static func read(_ volume: any DiskVolume) throws(DiskError) -> PurgeJournalFormat.Content? {
        guard try volume.list().contains(name) else { return nil }
        let file = try volume.open(name, create: false)
        var bytes = [UInt8](repeating: 0, count: Int(try file.size()))
        let result: Result<Int, DiskError> = bytes.withUnsafeMutableBytes { buffer in
            do throws(DiskError) {
                return .success(try file.read(into: buffer, at: 0))
            } catch {
                return .failure(error)
            }
        }
        let count = try result.get()
        return bytes.withUnsafeBytes {
            PurgeJournalFormat.decode(UnsafeRawBufferPointer(rebasing: $0[..<count]))
        }
    }

    /// Writes a whole journal beside the one there is, then puts it in its place.
    private static func write(
        _ volume: any DiskVolume, _ header: PurgeJournalFormat.Header, _ entries: [PurgeEntry]
    ) throws(DiskError) -> Log {
        try volume.removeIfThere([newName])
        let file = try volume.open(newName, create: true)
        var bytes = PurgeJournalFormat.encodeStart(header)
        for entry in entries { bytes += PurgeJournalFormat.encode(entry, in: header) }
        try file.write(bytes, at: 0)
        try file.sync()
        try volume.rename(newName, to: name)
        try volume.syncDirectory()
        return Log(
            volume: volume, file: file, header: header, end: Int64(bytes.count), count: entries.count)
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
            if log.isSuspect || !isThere || log.count > 2 * stamps.count + Self.largestSurplus {
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
        let content = try Self.read(log.volume)
        let head = stamps.head
        guard let content, content.header == log.header, content.number >= head.number else {
            // Somebody took purges away that were acknowledged. They hold in this process; that the next one should not
            // do without them, everything stored before is hidden.
            let start = PurgePosition(epoch: log.header.epoch + 1, number: 0)
            log = try Self.write(log.volume, .init(epoch: start.epoch, floor: start, number: 0), [])
            stamps.begin(at: start)
            return
        }
        let header = PurgeJournalFormat.Header(
            epoch: log.header.epoch, floor: stamps.floor, number: head.number)
        log = try Self.write(
            log.volume, header, stamps.inForce(content.entries.filter { $0.position <= head }))
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
