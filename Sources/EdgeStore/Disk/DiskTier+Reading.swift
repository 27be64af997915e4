import EdgePolicy
import EdgePrimitives
import NIOCore
import Synchronization

/// Lookups and blocks: what readers do. Nothing here is trusted before its checksum was.
extension DiskTier {
    // MARK: Looking up

    /// Whether anything is on disk under `key`: a look at the index, for event loops.
    public func mayHold(_ key: Digest128) -> Bool { index.contains(key) }

    /// Reads what is stored under `key`. The completion is called on another thread.
    ///
    /// - Parameters:
    ///   - isWanted: what is not wanted any more is removed.
    ///   - completion: gets what was found, and whether there was something that is not wanted.
    public func load(
        _ key: Digest128, isWanted: @escaping @Sendable (StoredResponse) -> Bool,
        _ completion: @escaping @Sendable ([Loaded], Bool) -> Void
    ) {
        let isTaken = readers.submit {
            var hasUnwanted = false
            let found = self.loadNow(key) { response in
                let isKept = isWanted(response)
                if !isKept { hasUnwanted = true }
                return isKept
            }
            completion(found, hasUnwanted)
        }
        if !isTaken { completion([], false) }
    }

    /// Reads what is stored under `key`. The completion is called on another thread.
    public func load(_ key: Digest128, _ completion: @escaping @Sendable ([Loaded]) -> Void) {
        load(key, isWanted: { _ in true }) { loaded, _ in completion(loaded) }
    }

    func loadNow(_ key: Digest128, _ isWanted: (StoredResponse) -> Bool = { _ in true }) -> [Loaded] {
        let loaded = index.find(key).compactMap { entry in
            read(entry).flatMap { found -> Loaded? in
                if isWanted(found.response) { return found }
                _ = forget(entry)
                return nil
            }
        }
        if loaded.isEmpty { counters.misses.add(1) } else { counters.hits.add(1) }
        return loaded
    }

    private func read(_ entry: DiskIndexEntry) -> Loaded? {
        guard let segment = segments[entry.location.generation] else { return nil }
        guard let record = RecordFile.read(entry.location, in: segment), record.header.kind == .response,
            record.header.key == entry.key, record.header.variant == entry.variant,
            let response = decode(record, entry.key)
        else {
            discard(entry)
            return nil
        }
        let uses = index.noteUse(entry.key, variant: entry.variant, kind: .response)
        // Something newer, or nothing, may have taken its place while it was read.
        guard
            index.find(entry.key).contains(where: {
                $0.variant == entry.variant && $0.location == entry.location
            })
        else { return nil }
        return Loaded(response: response, isFrequent: (uses ?? 0) > 0)
    }

    private func decode(_ record: RecordFile, _ key: Digest128) -> StoredResponse? {
        guard record.isBodyProved else { return nil }
        return record.head.withUnsafeBytes { head in
            ResponseCoding.decode(head, key: key) { body in
                guard let id = body.id else {
                    guard Int64(record.body.readableBytes) == body.length else { return nil }
                    return .memory(ExactStorage.buffer(copying: [record.body]))
                }
                let blocks = DiskBlocks(id: id, blockBytes: body.blockBytes, tier: self)
                return .sparse(SparseBody(completeLength: body.length, blocks: blocks))
            }
        }
    }

    /// A record that does not prove itself is forgotten, if it is still the one that the index has.
    func discard(_ entry: DiskIndexEntry) {
        if forget(entry) { counters.damagedRecords.add(1) }
    }

    /// Takes a record out of the index if it is still the one there; false where it is not.
    private func forget(_ entry: DiskIndexEntry) -> Bool {
        guard entry.kind == .response else {
            return index.remove(entry.key, variant: entry.variant, kind: entry.kind, at: entry.location)
                != nil
        }
        var isForgotten = false
        // Journaled in one step with its removal: a later one would find nothing to journal, and the next start would
        // find the record again; and no newer one may come in between and be taken for it.
        removeNow(.removeVariant, entry.key, entry.variant) { _ in
            isForgotten =
                index.remove(entry.key, variant: entry.variant, kind: .response, at: entry.location) != nil
            return isForgotten
        }
        return isForgotten
    }

    // MARK: Blocks

    /// The largest body that is stored: no more than a quarter of the disk turns over for one response.
    public var largestBodyBytes: Int64 { geometry.budgetBytes / 4 }

    /// The blocks of a body of `length` that has, or will have, this identity.
    public func blocks(_ id: Digest128) -> DiskBlocks {
        DiskBlocks(id: id, blockBytes: blockBytes, tier: self)
    }

    /// The identity of a body's blocks; see ``DiskBlocks``.
    ///
    /// - Parameter position: where the log of purges stood when the pull began. Blocks from before a purge are never
    ///   taken for blocks from after it, also where the origin changed its bytes and kept their validator.
    public func bodyID(
        key: Digest128, secondaryKey: SecondaryKey?, validator: StrongValidator?, length: Int64,
        pulledAt position: PurgePosition
    ) -> Digest128 {
        guard let validator else {
            var generator = SystemRandomNumberGenerator()
            return Digest128(high: generator.next(), low: generator.next())
        }
        var text = ByteWriter(capacity: 64)
        text.append(key)
        text.append(ResponseCoding.variant(secondaryKey, seed: seed))
        text.append(length)
        text.append(UInt32(blockBytes))
        if position != .zero {
            text.append(position.epoch)
            text.append(position.number)
        }
        text.append(raw: validator.fieldValue)
        return seed.digest(text.bytes)
    }

    func isStored(_ block: DiskBlock) -> Bool { index.contains(block.key, kind: .block) }

    func isProved(_ block: DiskBlock) -> Bool {
        index.find(block.key, kind: .block).first?.isVerified ?? false
    }

    func region(of block: DiskBlock) -> DiskRegion? {
        guard let entry = index.find(block.key, kind: .block).first, entry.isVerified,
            let segment = segments[entry.location.generation]
        else { return nil }
        if entry.uses < 3 { _ = index.noteUse(block.key, variant: 0, kind: .block) }
        return DiskRegion(
            segment: segment, offset: entry.location.offset + Int64(DiskFormat.headerBytes),
            count: block.count)
    }

    func prepare(_ block: DiskBlock, _ completion: @escaping @Sendable (Bool) -> Void) {
        if !readers.submit({ completion(self.prepareNow(block)) }) { completion(false) }
    }

    /// Reads the whole block, which also brings it into the page cache.
    func prepareNow(_ block: DiskBlock) -> Bool {
        guard let entry = index.find(block.key, kind: .block).first,
            let segment = segments[entry.location.generation]
        else { return false }
        guard let record = RecordFile.read(entry.location, in: segment), record.header.kind == .block,
            record.header.key == block.key, record.body.readableBytes == block.count,
            Int(record.header.bodyOffset) == DiskFormat.headerBytes, record.isBodyProved
        else {
            discard(entry)
            return false
        }
        index.markVerified(block.key, variant: 0, kind: .block, at: entry.location)
        return true
    }
}
