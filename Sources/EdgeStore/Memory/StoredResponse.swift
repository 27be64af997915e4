import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import NIOCore
import Synchronization

/// A stored response (RFC 9111 3): immutable but for what the memory tier notes about its use.
///
/// A hit reads it without a lock. A newer one (by a 304 or a whole response) takes its place in the tier
/// and never changes it, so whoever holds one goes on with a consistent head and body.
public final class StoredResponse: Sendable {
    /// The primary cache key (RFC 9111 2).
    public let key: Digest128
    public let metadata: StoredMetadata
    /// The stored fields, compacted.
    public let fields: FieldSection
    /// The prebuilt head: status line and field lines with Content-Length, each with its CRLF, without the
    /// final blank line, so that Age, Cache-Status and Connection can follow.
    public let head: [UInt8]
    /// What selects this variant; nil where the response has no Vary.
    public let secondaryKey: SecondaryKey?
    /// Surrogate keys.
    public let tags: [[UInt8]]
    /// The canonical bytes of the primary key.
    public let keyText: [UInt8]
    public let body: StoredBody
    /// The identity of the body's blocks on disk, where it has any; see ``DiskBlocks``.
    public let bodyID: Digest128?
    /// Where the log of purges stood when its pull began.
    public let pulledAt: PurgePosition
    /// Everything that is held for the response: body storage, head, fields, key, headers of allocations,
    /// and its share of the index and of the eviction order.
    public let chargedBytes: Int

    /// Uses since the eviction order last looked, at most 3. Racy on purpose: a lost one does no harm.
    private let uses = Atomic<UInt8>(0)
    /// The slot in the eviction order, or -1 outside of the tier. Written under the tier's ledger lock.
    private let slotNumber = Atomic<Int32>(-1)
    /// Seconds of monotonic time when it came in. Written under the ledger lock.
    private let residentSince = Atomic<UInt32>(0)
    /// The version of the purge stamps at which no purge hid this; see ``PurgeStamps/version``. A second thread that
    /// looks at the same time finds the same.
    @usableFromInline
    let checked = Atomic<UInt64>(0)
    /// Milliseconds of the soft purge that covers this; 0: none.
    @usableFromInline
    let softPurged = Atomic<Int64>(0)

    /// A stored response; what it is charged follows from its parts.
    public convenience init(
        key: Digest128, metadata: StoredMetadata, fields: FieldSection, head: [UInt8],
        secondaryKey: SecondaryKey?,
        tags: [[UInt8]], keyText: [UInt8], body: StoredBody, bodyID: Digest128? = nil,
        pulledAt: PurgePosition = .zero
    ) {
        let charged =
            Self.fixedBytes + body.heldBytes + ExactStorage.heldArrayBytes(head.capacity)
            + ExactStorage.heldArrayBytes(fields.bytes.capacity)
            + ExactStorage.heldArrayBytes(fields.lines.capacity * MemoryLayout<FieldLine>.stride)
            + ExactStorage.heldArrayBytes(keyText.capacity) + Self.heldBytes(tags)
            + Self.heldBytes(secondaryKey)
        self.init(
            key: key, metadata: metadata, fields: fields, head: head, secondaryKey: secondaryKey, tags: tags,
            keyText: keyText, body: body, bodyID: bodyID, pulledAt: pulledAt, chargedBytes: charged)
    }

    /// A stored response of a declared weight, for replays of traces whose bodies are never made.
    package convenience init(
        key: Digest128, metadata: StoredMetadata, secondaryKey: SecondaryKey? = nil, declaredBytes: Int
    ) {
        self.init(
            key: key, metadata: metadata, fields: FieldSection(), head: [], secondaryKey: secondaryKey,
            tags: [],
            keyText: [], body: .memory(ByteBuffer()), bodyID: nil, pulledAt: .zero,
            chargedBytes: declaredBytes)
    }

    private init(
        key: Digest128, metadata: StoredMetadata, fields: FieldSection, head: [UInt8],
        secondaryKey: SecondaryKey?,
        tags: [[UInt8]], keyText: [UInt8], body: StoredBody, bodyID: Digest128?,
        pulledAt: PurgePosition, chargedBytes: Int
    ) {
        precondition(chargedBytes > 0)
        self.key = key
        self.metadata = metadata
        self.fields = fields
        self.head = head
        self.secondaryKey = secondaryKey
        self.tags = tags
        self.keyText = keyText
        self.body = body
        self.bodyID = bodyID
        self.pulledAt = pulledAt
        self.chargedBytes = chargedBytes
    }

    /// This response as a 304 freshened it (RFC 9111 3.2): new fields, the same body without a copy.
    ///
    /// - Parameters:
    ///   - secondaryKey: what selects it from now on: its own, unless the 304 brought another Vary.
    ///   - tags: the surrogate keys that came with the 304; nil where none did.
    ///   - pulledAt: where the log of purges stood when the validation began; that is what it vouches for.
    public func freshened(
        metadata: StoredMetadata, fields: FieldSection, head: [UInt8], secondaryKey: SecondaryKey?,
        tags newer: [[UInt8]]? = nil, pulledAt: PurgePosition
    ) -> StoredResponse {
        StoredResponse(
            key: key, metadata: metadata, fields: fields, head: head, secondaryKey: secondaryKey,
            tags: newer ?? tags,
            keyText: keyText, body: body, bodyID: bodyID, pulledAt: pulledAt)
    }

    /// Whether its body lies on disk, so that memory need not hold it.
    public var isOnDisk: Bool {
        if case .sparse(let body) = body { body.blocks != nil } else { false }
    }

    // MARK: - Purges

    /// The version of the purge stamps that it was last compared with.
    var checkedVersion: UInt64 { checked.load(ordering: .acquiring) }

    /// The soft purge that covers it, as far as was looked.
    var softPurgedAt: WallTime? {
        let time = softPurged.load(ordering: .relaxed)
        return time == 0 ? nil : WallTime(milliseconds: time)
    }

    func noteChecked(at version: UInt64, softPurgedAt time: WallTime?) {
        if let time {
            // Of several soft purges the first counts: it has been stale since then.
            let known = softPurged.load(ordering: .relaxed)
            softPurged.store(
                known == 0 ? time.milliseconds : min(known, time.milliseconds), ordering: .relaxed)
        }
        checked.store(version, ordering: .releasing)
    }

    /// Whether no purge covers it at that version of the stamps, as far as is known without looking.
    @inlinable
    public func isUntouched(at version: UInt64) -> Bool {
        checked.load(ordering: .acquiring) == version && softPurged.load(ordering: .relaxed) == 0
    }

    // MARK: - What the tier notes

    /// Notes a use: one byte loaded and at most one stored.
    @inline(__always)
    func noteUse() {
        let seen = uses.load(ordering: .relaxed)
        if seen < 3 { uses.store(seen + 1, ordering: .relaxed) }
    }

    /// The uses there were, and one of them taken away.
    func takeUse() -> UInt8 {
        let seen = uses.load(ordering: .relaxed)
        if seen > 0 { uses.store(seen - 1, ordering: .relaxed) }
        return seen
    }

    var useCount: UInt8 {
        get { uses.load(ordering: .relaxed) }
        set { uses.store(newValue, ordering: .relaxed) }
    }

    var slot: Int? {
        let number = slotNumber.load(ordering: .relaxed)
        return number < 0 ? nil : Int(number)
    }

    func enter(slot: Int, atSecond second: UInt32) {
        slotNumber.store(Int32(slot), ordering: .relaxed)
        residentSince.store(second, ordering: .relaxed)
    }

    func leave() { slotNumber.store(-1, ordering: .relaxed) }

    var enteredAtSecond: UInt32 { residentSince.load(ordering: .relaxed) }

    // MARK: - What is charged beside the bytes

    /// The object itself, and its share of index, eviction order and ghost (a test measures that share).
    private static let fixedBytes =
        ExactStorage.heldBytes(16 + MemoryLayout<Properties>.size) + MemoryTier.indexShareBytes

    /// The stored properties in their order, for the size of an instance beyond its header of 16 bytes.
    private typealias Properties = (
        Digest128, StoredMetadata, FieldSection, [UInt8], SecondaryKey?, [[UInt8]], [UInt8], StoredBody,
        Digest128?, PurgePosition, Int,
        UInt8, Int32, UInt32, UInt64, Int64
    )

    private static func heldBytes(_ tags: [[UInt8]]) -> Int {
        guard !tags.isEmpty else { return 0 }
        return tags.reduce(ExactStorage.heldArrayBytes(tags.capacity * MemoryLayout<[UInt8]>.stride)) {
            $0 + ExactStorage.heldArrayBytes($1.capacity)
        }
    }

    /// Names, values as they came and normalised: three small arrays a field, and the arrays that hold
    /// them.
    private static func heldBytes(_ key: SecondaryKey?) -> Int {
        guard let key else { return 0 }
        return 256 + key.rule.names.count * 192 + 2 * key.selectionBytes.count
    }
}
