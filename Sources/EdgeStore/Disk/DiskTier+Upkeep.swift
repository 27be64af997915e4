import EdgePolicy
import EdgePrimitives
import NIOCore
import Synchronization

/// Scrubbing and accounts.
extension DiskTier {
    /// Where the log of purges stood when the oldest pull began of which a response is here; nil where none is.
    /// Unknown, and so before every purge, while something waits to be written or was found at the start.
    var oldestPull: PurgePosition? {
        queue.withLock { $0.isIdle } ? segments.oldestPull : .zero
    }

    /// The most files that a tier of this budget has open.
    public static func files(budgetBytes: Int64) -> Int { DiskGeometry.files(budgetBytes: budgetBytes) }

    // MARK: Scrubbing and accounts

    /// Waits until everything that was handed over before is written; for tests and benches.
    public func flush() {
        let semaphore = WorkerGate()
        let isTaken = writer.submit {
            self.drain()
            semaphore.open()
        }
        if isTaken { semaphore.wait() }
    }

    /// Checks `bytes` of records against their checksums, going round all of them; on the calling thread.
    public func scrub(bytes: Int64, from position: inout ScrubPosition) {
        var rest = bytes
        var generations = segments.generations
        guard !generations.isEmpty else { return }
        if let at = generations.firstIndex(where: { $0 >= position.generation }) {
            generations.removeFirst(at)
        } else {
            position = ScrubPosition()
        }
        while rest > 0, let generation = generations.first {
            if position.generation != generation { position = ScrubPosition(generation: generation) }
            guard let segment = segments[generation] else {
                generations.removeFirst()
                continue
            }
            let piece = JournalPiece.read(
                segment, from: position.journalOffset, bytes: Self.scrubbedJournalBytes)
            for slot in piece.slots where rest > 0 {
                position.journalOffset += Int64(DiskFormat.entryBytes)
                if let slot { rest -= scrub(slot, in: segment) }
            }
            if piece.isEnd, rest > 0 {
                generations.removeFirst()
                position = ScrubPosition(generation: generation &+ 1)
            }
        }
    }

    private func scrub(_ entry: JournalEntry, in segment: Segment) -> Int64 {
        guard case .put(let kind, let location) = entry.operation,
            let current = index.find(entry.key, kind: kind).first(where: {
                $0.variant == entry.variant && $0.location == location
            })
        else { return 0 }
        if let record = RecordFile.read(location, in: segment), record.isBodyProved,
            record.header.key == entry.key, record.header.kind == kind
        {
            counters.scrubbedBytes.add(UInt64(location.length))
        } else {
            discard(current)
        }
        return Int64(location.length)
    }

    public var snapshot: DiskTierSnapshot {
        let (pending, health) = queue.withLock { ($0.pendingBytes, $0.health) }
        return DiskTierSnapshot(
            budgetBytes: geometry.budgetBytes, usedBytes: account.bytes, entryCount: index.count,
            indexBytes: index.byteCount, segmentCount: segments.count, pendingBytes: pending,
            hits: counters.hits.count, misses: counters.misses.count, insertions: counters.insertions.count,
            refusals: counters.refusals.count, backlogDrops: counters.backlogDrops.count,
            evictions: counters.evictions.count,
            evictionAgeSeconds: Double(counters.evictionAgeMilliseconds.load(ordering: .relaxed)) / 1000,
            bytesWritten: counters.bytesWritten.count,
            bytesRewritten: counters.bytesRewritten.count, damagedRecords: counters.damagedRecords.count,
            scrubbedBytes: counters.scrubbedBytes.count, errors: counters.errors.count, health: health)
    }
}
