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
        /// The keys of a response.
        let place: Place?
        let number: UInt64
        let bytes: Int
        /// Whether the journal knows another response in its place, which must not be found again should this one
        /// not be written.
        let replaces: Bool
    }

    /// Where a response belongs.
    struct Place: Hashable, Sendable {
        let key: Digest128
        let variant: UInt32
    }

    /// The newest item that waits in a place, and up to which number items of that place were overtaken.
    private struct Waiting {
        var newest: UInt64
        var cancelled: UInt64 = 0
    }

    private var items: [Item] = []
    private var nextNumber: UInt64 = 1
    private(set) var pendingBytes = 0
    /// Whether the writer is at work, and will look again before it stops.
    private var isRunning = false
    /// Responses that wait or are being written.
    private var waiting: [Digest128: [UInt32: Waiting]] = [:]
    private var cancelledAll: UInt64 = 0
    private var owed: [Item] = []
    private var suspendedUntil: MonotonicTime?
    private var backOffMilliseconds: Int64 = 0
    private var lastError: DiskError?

    mutating func append(_ work: Work, bytes: Int) {
        items.append(Item(work: work, place: nil, number: nextNumber, bytes: bytes, replaces: false))
        nextNumber += 1
        pendingBytes += bytes
    }

    /// A response in a place where whatever waits for it is overtaken.
    mutating func append(_ reference: Reference, _ place: Place, bytes: Int, replaces: Bool) {
        let isOvertaking = cancel(place)
        items.append(
            Item(
                work: .response(reference, place.variant), place: place, number: nextNumber, bytes: bytes,
                replaces: replaces || isOvertaking))
        waiting[place.key, default: [:]][place.variant, default: Waiting(newest: 0)].newest = nextNumber
        nextNumber += 1
        pendingBytes += bytes
    }

    /// Whether nothing waits and nothing is being written.
    var isIdle: Bool { !isRunning && items.isEmpty }

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
        guard let place = item.place, waiting[place.key]?[place.variant]?.newest == item.number else {
            return
        }
        waiting[place.key]?[place.variant] = nil
        if waiting[place.key]?.isEmpty == true { waiting[place.key] = nil }
    }

    func isWaiting(_ place: Place) -> Bool { waiting[place.key]?[place.variant] != nil }

    /// What waits for `place` must not be found any more; true where there is anything.
    mutating func cancel(_ place: Place) -> Bool {
        guard let entry = waiting[place.key]?[place.variant] else { return false }
        waiting[place.key]?[place.variant]?.cancelled = entry.newest
        return true
    }

    /// What waits for any variant of `key` must not be found any more; true where there is anything.
    mutating func cancel(_ key: Digest128) -> Bool {
        guard let variants = waiting[key] else { return false }
        waiting[key] = variants.mapValues { Waiting(newest: $0.newest, cancelled: $0.newest) }
        return true
    }

    mutating func cancelAll() { cancelledAll = nextNumber - 1 }

    func isCancelled(_ item: Item) -> Bool {
        guard let place = item.place else { return false }
        return item.number <= cancelledAll
            || item.number <= waiting[place.key]?[place.variant]?.cancelled ?? 0
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

    var health: DiskTierSnapshot.Health {
        guard let lastError else { return .good }
        return .failing(lastError.description)
    }

    // MARK: Removals that could not be written

    var owedCount: Int { owed.count }

    /// The journal could not take these. What has to be taken out of it is owed; what was to be added is given up, and
    /// so is what it would have replaced.
    mutating func owe(_ items: [Item]) {
        for item in items {
            switch item.work {
            case .removal: owed.append(item)
            case .block: break
            case .response:
                guard let place = item.place else { continue }
                let removal = Work.removal(.removeVariant, place.key, place.variant)
                owed.append(Item(work: removal, place: nil, number: item.number, bytes: 0, replaces: false))
            }
        }
    }

    mutating func oweEverything() {
        let everything = Work.removal(.removeAll, Digest128(high: 0, low: 0), 0)
        owed = [Item(work: everything, place: nil, number: nextNumber, bytes: 0, replaces: false)]
        nextNumber += 1
    }

    /// What is owed goes before anything newer.
    mutating func takeOwed() -> [Item] {
        defer { owed = [] }
        return owed
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
