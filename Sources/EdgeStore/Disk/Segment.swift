import EdgePrimitives
import Synchronization

/// One file of records and the journal that tells what lies where in it.
///
/// Records are appended and never changed. A segment leaves as a whole; whoever reads it then still holds its files,
/// whose space counts until the last one lets go.
public final class Segment: Sendable {
    let generation: UInt32
    let file: any DiskFile
    let journal: any DiskFile
    /// Bytes of both files.
    let occupiedBytes: Int64
    /// When this process made or found it.
    let since = SystemClock.monotonic()
    private let account: OccupancyAccount
    private let oldest: Mutex<PurgePosition?>

    /// - Parameter oldestPull: where the log of purges stood when the oldest pull began of which it holds the response;
    ///   nil where it holds none.
    init(
        generation: UInt32, file: any DiskFile, journal: any DiskFile, occupiedBytes: Int64,
        account: OccupancyAccount, oldestPull: PurgePosition?
    ) {
        oldest = Mutex(oldestPull)
        self.generation = generation
        self.file = file
        self.journal = journal
        self.occupiedBytes = occupiedBytes
        self.account = account
        account.add(occupiedBytes)
    }

    var oldestPull: PurgePosition? { oldest.withLock { $0 } }

    func notePull(at position: PurgePosition) {
        oldest.withLock { $0 = min($0 ?? position, position) }
    }

    /// The last reader may be an event loop, and closing a file that was removed gives its space back, which takes
    /// milliseconds: so the account's thread does it.
    deinit {
        account.close(ClosingFiles([file, journal]), bytes: occupiedBytes)
    }
}

/// Files that are about to be closed.
private final class ClosingFiles: Sendable {
    private let files: Mutex<[any DiskFile]>

    init(_ files: [any DiskFile]) { self.files = Mutex(files) }

    func close() { files.withLock { $0 = [] } }
}

/// The bytes that segments occupy, those included that were removed and are still being read.
final class OccupancyAccount: Sendable {
    private let total = Atomic<Int64>(0)
    private let closer: WorkerThreads?

    /// - Parameter closer: a single thread that closes files; without one, whoever lets go last closes them.
    init(closer: WorkerThreads? = nil) { self.closer = closer }

    fileprivate func close(_ files: ClosingFiles, bytes: Int64) {
        let closing: WorkerThreads.Job = {
            files.close()
            self.add(-bytes)
        }
        if closer?.submit(closing) != true { closing() }
    }

    /// Waits until what was let go is closed; whoever makes room needs it gone.
    func settle() {
        let gate = WorkerGate()
        if closer?.submit({ gate.open() }) == true { gate.wait() }
    }

    var bytes: Int64 { total.load(ordering: .relaxed) }

    func add(_ bytes: Int64) { total.wrappingAdd(bytes, ordering: .relaxed) }
}

/// The segments that may be read, by generation.
final class SegmentTable: Sendable {
    private let segments = Mutex<[UInt32: Segment]>([:])

    subscript(generation: UInt32) -> Segment? {
        segments.withLock { $0[generation] }
    }

    func insert(_ segment: Segment) {
        segments.withLock { $0[segment.generation] = segment }
    }

    func remove(_ generation: UInt32) {
        // Released outside of the lock: closing files takes time.
        _ = segments.withLock { $0.removeValue(forKey: generation) }
    }

    var count: Int { segments.withLock { $0.count } }

    /// Bytes of their files; without those of segments that were removed and are still being read.
    var occupiedBytes: Int64 { segments.withLock { $0.values.reduce(0) { $0 + $1.occupiedBytes } } }

    /// The oldest of their pulls; see ``Segment/oldestPull``.
    var oldestPull: PurgePosition? {
        segments.withLock { $0.values.compactMap(\.oldestPull).min() }
    }

    /// All generations, the oldest first.
    var generations: [UInt32] { segments.withLock { $0.keys.sorted() } }
}

/// How a budget is cut into segments and blocks.
struct DiskGeometry: Equatable {
    /// Below this a segment would hold next to nothing.
    static let leastBudgetBytes: Int64 = 4 << 20
    private static let largestSegmentBytes: Int64 = 256 << 20
    private static let largestBlockBytes: Int64 = 1 << 20

    let budgetBytes: Int64
    let segmentBytes: Int64
    let journalBytes: Int64
    /// Bodies that don't lie in their response's record are cut at multiples of this: a power of two.
    let blockBytes: Int

    /// At least 32 segments with their journals fit a budget.
    init(budgetBytes: Int64) {
        precondition(budgetBytes >= Self.leastBudgetBytes)
        let share = budgetBytes / 40
        let segment = min(share - share % DiskFormat.pageBytes, Self.largestSegmentBytes)
        var block = Self.largestBlockBytes
        while block > segment / 4 { block /= 2 }
        self.init(budgetBytes: budgetBytes, segmentBytes: segment, blockBytes: Int(block))
    }

    private init(budgetBytes: Int64, segmentBytes: Int64, blockBytes: Int) {
        self.budgetBytes = budgetBytes
        self.segmentBytes = segmentBytes
        self.blockBytes = blockBytes
        journalBytes = DiskFormat.align(segmentBytes / 8, to: DiskFormat.pageBytes) + DiskFormat.firstOffset
    }

    /// The same with another budget. Blocks stay as large as they are, since bodies under way were cut by them; so
    /// segments take at least four of them, unless that would leave fewer than four segments. Where a block then fits
    /// none, bodies that consist of blocks are not stored until the next start, which cuts smaller ones.
    func resized(to budgetBytes: Int64) -> DiskGeometry {
        let fresh = DiskGeometry(budgetBytes: budgetBytes)
        let fifth = budgetBytes / 5
        let most = fifth - fifth % DiskFormat.pageBytes
        let wanted = max(fresh.segmentBytes, min(Int64(blockBytes) * 4, most))
        return DiskGeometry(budgetBytes: budgetBytes, segmentBytes: wanted, blockBytes: blockBytes)
    }

    /// The most files that a tier of this budget has open: two a segment, those included that a smaller
    /// budget of before left, the next one's, and directory and lock.
    static func files(budgetBytes: Int64) -> Int {
        guard budgetBytes >= leastBudgetBytes else { return 0 }
        let cost = DiskGeometry(budgetBytes: budgetBytes).segmentCost
        return 2 * (Int(budgetBytes / cost) + 40 + 1) + 4
    }

    var segmentCost: Int64 { segmentBytes + journalBytes }
    /// The most that a record may take.
    var largestRecordBytes: Int64 { (segmentBytes - DiskFormat.firstOffset) / 2 }
}
