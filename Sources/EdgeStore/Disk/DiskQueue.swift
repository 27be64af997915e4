import EdgePrimitives
import NIOCore

/// What waits for the disk tier's writer, and whether the disk is to be left alone.
struct DiskQueue {
    enum Work: Sendable {
        case response(Reference, UInt32)
        case block(Digest128, ByteBuffer, @Sendable (Bool) -> Void)
        case removal(JournalEntry.Operation, Digest128, UInt32)
    }

    /// A response that waits to be written. Beyond a bound the queue keeps nobody in memory: what memory evicts before
    /// its turn is not written.
    enum Reference: Sendable {
        case held(StoredResponse)
        case evictable(Evictable)

        struct Evictable: Sendable {
            weak let response: StoredResponse?
        }

        var response: StoredResponse? {
            switch self {
            case .held(let response): response
            case .evictable(let reference): reference.response
            }
        }
    }

    struct Item: Sendable {
        let work: Work
        /// The key of a response.
        let key: Digest128?
        let number: UInt64
        let bytes: Int
    }

    private var items: [Item] = []
    private var nextNumber: UInt64 = 1
    private(set) var pendingBytes = 0
    /// Whether the writer is at work, and will look again before it stops.
    private var isRunning = false
    /// Keys of responses that wait or are being written, with the newest item for each.
    private var waiting: [Digest128: UInt64] = [:]
    /// Items of a key up to this number were overtaken by a removal.
    private var cancelled: [Digest128: UInt64] = [:]
    private var cancelledAll: UInt64 = 0
    private var owed: [Item] = []
    private var suspendedUntil: MonotonicTime?
    private var backOffMilliseconds: Int64 = 0
    private var lastError: DiskError?

    mutating func append(_ work: Work, _ key: Digest128?, bytes: Int) {
        items.append(Item(work: work, key: key, number: nextNumber, bytes: bytes))
        if let key { waiting[key] = nextNumber }
        nextNumber += 1
        pendingBytes += bytes
    }

    /// True when the writer has to be woken.
    mutating func startRunning() -> Bool {
        defer { isRunning = true }
        return !isRunning
    }

    mutating func takeBatch() -> [Item] {
        if items.isEmpty { isRunning = false }
        defer { items = [] }
        return items
    }

    /// The item was written or given up.
    mutating func finish(_ item: Item) {
        pendingBytes -= item.bytes
        guard let key = item.key, waiting[key] == item.number else { return }
        waiting[key] = nil
        cancelled[key] = nil
    }

    /// What waits for `key`, or for any, must not be found any more; true where there is anything.
    mutating func cancel(_ key: Digest128?) -> Bool {
        guard let key else {
            cancelledAll = nextNumber - 1
            return !waiting.isEmpty
        }
        guard let newest = waiting[key] else { return false }
        cancelled[key] = newest
        return true
    }

    func isCancelled(_ item: Item) -> Bool {
        guard let key = item.key else { return false }
        return item.number <= cancelledAll || item.number <= cancelled[key] ?? 0
    }

    // MARK: Health

    var isDegraded: Bool { lastError != nil }

    func isSuspended(_ now: MonotonicTime) -> Bool { suspendedUntil.map { $0 > now } ?? false }

    mutating func suspend(_ error: DiskError, now: MonotonicTime, first: Int64, last: Int64) {
        backOffMilliseconds = backOffMilliseconds == 0 ? first : min(last, backOffMilliseconds * 2)
        suspendedUntil = now + backOffMilliseconds
        lastError = error
    }

    mutating func succeeded() {
        guard lastError != nil, owed.isEmpty else { return }
        lastError = nil
        suspendedUntil = nil
        backOffMilliseconds = 0
    }

    func health(_ now: MonotonicTime) -> DiskTierSnapshot.Health {
        guard let lastError else { return .good }
        return .failing(lastError.description)
    }

    // MARK: Removals that could not be written

    var owedCount: Int { owed.count }

    mutating func owe(_ items: [Item]) { owed += items }

    mutating func oweEverything() {
        let everything = Work.removal(.removeAll, Digest128(high: 0, low: 0), 0)
        owed = [Item(work: everything, key: nil, number: nextNumber, bytes: 0)]
        nextNumber += 1
    }

    /// Puts what is owed in front; with nothing owed, a removal of nothing, to see whether the disk is back.
    mutating func appendOwed() {
        if owed.isEmpty {
            append(.removal(.removeKey, Digest128(high: 0, low: 0), 0), nil, bytes: 0)
        }
        items = owed + items
        owed = []
    }
}

/// Accounts and counters of the disk tier at one moment.
public struct DiskTierSnapshot: Sendable {
    public enum Health: Sendable, Equatable {
        case good
        /// Nothing is written for now; the text says why.
        case failing(String)
    }

    public var budgetBytes: Int64
    /// What all files occupy.
    public var usedBytes: Int64
    /// Responses and blocks.
    public var entryCount: Int
    public var indexBytes: Int
    public var segmentCount: Int
    /// What waits in memory to be written.
    public var pendingBytes: Int
    /// Reads that found a response, and that found none which proves itself.
    public var hits: UInt64
    public var misses: UInt64
    /// Responses written.
    public var insertions: UInt64
    /// Responses that admission kept out, or that were too large.
    public var refusals: UInt64
    /// Responses that were not written because too much waited, or because the disk failed.
    public var backlogDrops: UInt64
    public var evictions: UInt64
    /// How long ago the segment was begun that left last, in seconds; 0 while none has left.
    public var evictionAgeSeconds: Double
    public var bytesWritten: UInt64
    /// Of these, what was written again when its segment left.
    public var bytesRewritten: UInt64
    public var damagedRecords: UInt64
    public var scrubbedBytes: UInt64
    public var errors: UInt64
    public var health: Health
}

/// How far scrubbing has come.
public struct ScrubPosition: Sendable {
    var generation: UInt32 = 0
    var journalOffset = DiskFormat.firstOffset

    public init() {}

    init(generation: UInt32) { self.generation = generation }
}
