import EdgePrimitives

/// What every tier can do with stored responses; the contract that a suite of tests holds each of them to.
public protocol StoreTier: Sendable {
    /// Takes `response`, in place of the one with the same primary and secondary key. A tier may decline.
    func offer(_ response: StoredResponse)
    /// Finds what is stored under `key`, on this thread or another.
    func find(_ key: Digest128, _ completion: @escaping @Sendable ([StoredResponse]) -> Void)
    /// Removes all variants of `key`; no find that begins after the return brings one.
    func remove(_ key: Digest128)
    /// Removes the variant that `response` is.
    func remove(_ response: StoredResponse)
    func removeAll()
}

extension MemoryTier: StoreTier {
    public func offer(_ response: StoredResponse) { insert(response) }

    public func find(_ key: Digest128, _ completion: @escaping @Sendable ([StoredResponse]) -> Void) {
        switch lookup(key) {
        case .none: completion([])
        case .single(let stored): completion([stored])
        case .variants(let variants): completion(variants)
        }
    }
}

extension DiskTier: StoreTier {
    public func offer(_ response: StoredResponse) { insert(response) }

    public func find(_ key: Digest128, _ completion: @escaping @Sendable ([StoredResponse]) -> Void) {
        load(key) { completion($0.map(\.response)) }
    }
}

/// Memory and disk as one store: written through to disk when it comes in, promoted back to memory when it is asked for
/// again, removed from disk first, so that no reader can bring back what is gone.
public final class ResponseStore: Sendable {
    public let memory: MemoryTier
    /// Nil where the node runs without a disk tier.
    public let disk: DiskTier?
    /// What was purged. Nothing that a purge hides comes out of a look-up or stays when it is put in.
    public let stamps: PurgeStamps

    public init(memory: MemoryTier, disk: DiskTier?, stamps: PurgeStamps = PurgeStamps()) {
        self.memory = memory
        self.disk = disk
        self.stamps = stamps
        disk?.setResidency { memory.holds($0) }
    }

    // MARK: Looking up

    /// What memory has under `key`; a single stored response counts as used by this.
    public func lookup(_ key: Digest128) -> Lookup {
        switch memory.lookup(key) {
        case .none: return .none
        case .single(let stored): return isVisible(stored) ? .single(stored) : .none
        case .variants(let variants):
            let visible = variants.filter(isVisible)
            return visible.isEmpty ? .none : .variants(visible)
        }
    }

    /// Whether no purge hides `response`. What one hides is removed: nobody can use it any more.
    public func isVisible(_ response: StoredResponse) -> Bool {
        guard stamps.verdict(of: response) == .hidden else { return true }
        memory.remove(response)
        return false
    }

    /// Since when a soft purge has made `response` stale; nil where none covers it.
    public func softPurgedAt(_ response: StoredResponse) -> WallTime? {
        if case .stale(let since) = stamps.verdict(of: response) { since } else { nil }
    }

    public func recordHit(_ response: StoredResponse) { memory.recordHit(response) }

    /// Reads from disk what memory does not have. What was asked for before goes to memory.
    ///
    /// - Parameter completion: gets what was found, and whether there was something that a purge hides.
    public func load(_ key: Digest128, _ completion: @escaping @Sendable ([StoredResponse], Bool) -> Void) {
        guard let disk else {
            completion([], false)
            return
        }
        disk.load(key, isWanted: { self.stamps.verdict(of: $0) != .hidden }) { loaded, hasUnwanted in
            for found in loaded where found.isFrequent {
                self.memory.promote(found.response) { disk.mayHold(key) }
            }
            completion(loaded.map(\.response), hasUnwanted)
        }
    }

    // MARK: Storing

    /// Stores `response` in place of the one with the same keys.
    ///
    /// - Parameters:
    ///   - fillBytes: what its fill had reserved in memory; released when the response is stored there.
    ///   - isAdmitted: the disk was asked before whether it takes it.
    /// - Returns: false when neither tier takes it, or a purge has come since its pull began.
    @discardableResult
    public func insert(_ response: StoredResponse, fillBytes: Int = 0, isAdmitted: Bool = false) -> Bool {
        guard stamps.verdict(of: response) != .hidden else { return false }
        let isInMemory = memory.insert(response, fillBytes: fillBytes)
        disk?.insert(response, isAdmitted: isAdmitted)
        return isInMemory || (disk != nil && response.isOnDisk)
    }

    /// Puts `new` in the place of `old` if that is still what is stored: freshened by a 304, or with a part more.
    ///
    /// - Parameter isRefresh: only the fields changed.
    @discardableResult
    public func replace(_ old: StoredResponse, with new: StoredResponse, isRefresh: Bool) -> Bool {
        guard stamps.verdict(of: new) != .hidden else { return false }
        var isReplaced = memory.replace(old, with: new)
        if !isReplaced, let disk, !memory.holds(old.key), disk.mayHold(old.key) {
            // It was read from disk and memory had not taken it.
            isReplaced = memory.promote(new) { disk.mayHold(old.key) }
        }
        if isReplaced { disk?.insert(new, isRefresh: isRefresh) }
        return isReplaced
    }

    // MARK: Removal

    public func remove(_ key: Digest128) {
        disk?.remove(key)
        memory.remove(key)
    }

    public func remove(_ response: StoredResponse) {
        disk?.remove(response)
        memory.remove(response)
    }

    public func removeAll() {
        disk?.removeAll()
        memory.removeAll()
    }

    // MARK: Purges

    /// No stored response was pulled before this position in the log of purges; ``PurgePosition/zero`` where that is
    /// not known, nil where nothing is stored.
    public var oldestPull: PurgePosition? {
        [disk?.oldestPull, memory.oldestPull].compactMap { $0 }.min()
    }

    // MARK: Budget

    public func reserveFill(bytes: Int, mayTrim: Bool = false) -> Bool {
        memory.reserveFill(bytes: bytes, mayTrim: mayTrim)
    }
    public func releaseFill(bytes: Int) { memory.releaseFill(bytes: bytes) }
}
