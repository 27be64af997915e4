/// The state of the memory tier at one moment, for metrics and the admin API.
public struct MemoryTierSnapshot: Sendable, Equatable {
    public var budgetBytes: Int64 = 0
    /// Stored responses and fills in flight.
    public var usedBytes: Int64 = 0
    /// The part of `usedBytes` that fills in flight have reserved.
    public var fillBytes: Int64 = 0
    /// What the heap was last measured to hold beyond what is charged.
    public var overheadBytes: Int64 = 0
    /// Stored responses, variants counted each.
    public var count = 0
    /// Bytes that index, eviction order and ghost really hold; their share is part of each response's
    /// charge.
    public var indexBytes = 0
    public var insertions: UInt64 = 0
    /// Insertions that took the place of a stored response with the same keys, freshening included.
    public var replacements: UInt64 = 0
    /// Responses that were too large to take in.
    public var refusals: UInt64 = 0
    public var evictions: UInt64 = 0
    public var evictedBytes: UInt64 = 0
    /// Variants that left because their key had too many.
    public var variantEvictions: UInt64 = 0
    /// Seconds that evicted responses had been resident, as a moving average; 0 before the first eviction.
    public var evictionAgeSeconds = 0.0

    public init() {}
}
