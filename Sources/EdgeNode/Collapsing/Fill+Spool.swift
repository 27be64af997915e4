import EdgeHTTP
import EdgeOrigin
import EdgePolicy
import EdgePrimitives
import EdgeStore
import NIOCore
import Synchronization

/// A body that goes to disk block by block as it comes, because it is too large to be held in memory.
struct Spool: Sendable {
    private static let largestAheadBytes: Int64 = 8 << 20

    let blocks: DiskBlocks
    let blockBytes: Int64
    let completeLength: Int64
    /// Where the body that the pull brings begins in the representation.
    let base: Int64
    /// What may wait in memory to be written.
    let aheadBytes: Int64
    /// Bytes that were handed to the disk and are not written yet.
    var unwritten: Int64 = 0
    /// Of what the pull brought, how much was handed on.
    var handed: Int64 = 0

    init(blocks: DiskBlocks, completeLength: Int64, base: Int64, memoryBytes: Int64) {
        self.blocks = blocks
        blockBytes = Int64(blocks.blockBytes)
        self.completeLength = completeLength
        self.base = base
        aheadBytes = max(2 * blockBytes, min(Self.largestAheadBytes, memoryBytes / 8))
    }

    /// The newest bytes, held for readers that keep up.
    var tailBytes: Int64 { aheadBytes / 2 }

    /// What such a fill may hold in memory.
    var memoryBytes: Int { Int(aheadBytes + tailBytes + 2 * blockBytes) }

    /// The first offset of the representation after `offset` at which a block ends.
    func blockEnd(after offset: Int64) -> Int64 {
        min(completeLength, (offset / blockBytes + 1) * blockBytes)
    }
}

extension Fill {
    /// Whether, and under which identity, a body of `bytes` goes to disk as it comes.
    func makeSpool(_ head: FillHead, bytes: Int64) -> Spool? {
        guard let disk = node.store.disk, bytes > Int64(DiskTier.inlineBytes), bytes <= disk.largestBodyBytes,
            // Blocks are found as soon as they are written, so their length must be sure from the start.
            head.part == nil || head.response.fields.contains(.contentLength), disk.admits(plan.key)
        else { return nil }
        let length = head.part?.completeLength ?? bytes
        guard let id = node.bodyID(plan, head.clientFields, head.secondaryKey, length: length) else {
            return nil
        }
        return Spool(
            blocks: disk.blocks(id), completeLength: length,
            base: head.part?.range.lowerBound ?? 0, memoryBytes: node.maxInMemoryBytes)
    }

    /// Where readers find what is in memory no more; nil for a fill that does not go to disk.
    func spooledBody(_ completeLength: Int64) -> StoredBody? {
        state.withLock { state in
            state.spool.map { .sparse(SparseBody(completeLength: completeLength, blocks: $0.blocks)) }
        }
    }

    func isAheadOfDisk(_ state: borrowing State) -> Bool {
        state.isKeeping && (state.spool.map { $0.unwritten >= $0.aheadBytes } ?? false)
    }

    /// Appends body bytes to chunks that end where blocks end, and hands on what is whole.
    func appendSpooled(_ body: UnsafeRawBufferPointer, _ state: inout State) {
        guard let spool = state.spool else { return }
        var rest = body
        var offset = spool.base + state.received
        while !rest.isEmpty {
            let end = spool.blockEnd(after: offset)
            let count = min(rest.count, Int(end - offset))
            guard count > 0 else { break }
            state.chunks.append(
                UnsafeRawBufferPointer(rebasing: rest[..<count]), beginning: offset % spool.blockBytes == 0,
                capacity: Int(end - offset))
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            offset += Int64(count)
            if offset == end { handOn(&state) }
        }
    }

    /// The pull is over: what is left is the beginning of a block whose rest nobody asked for.
    func endSpool(_ state: inout State) {
        state.spool?.handed = state.received
    }

    /// Hands the last chunk to the disk, where it is a whole block.
    private func handOn(_ state: inout State) {
        guard let spool = state.spool, state.isKeeping, let chunk = state.chunks.shareLast() else { return }
        let count = Int64(chunk.readableBytes)
        let start = spool.base + state.chunks.end - count
        state.spool?.handed += count
        guard start % spool.blockBytes == 0 else { return }
        state.spool?.unwritten += count
        let isTaken =
            node.store.disk?.write(chunk, at: start, of: spool.blocks, completeLength: spool.completeLength) {
                [self] isWritten in
                written(count, isWritten)
            } ?? false
        if !isTaken {
            state.spool?.unwritten -= count
            state.isKeeping = false
        }
    }

    /// A block is on disk, or will not be. On the disk's writer thread.
    private func written(_ count: Int64, _ isWritten: Bool) {
        let (resumed, hasFailed): (PullHandle?, Bool) = state.withLock { state in
            state.spool?.unwritten -= count
            guard isWritten else {
                let wasKeeping = state.isKeeping
                state.isKeeping = false
                return (trim(&state), wasKeeping)
            }
            return (trimSpooled(&state), false)
        }
        // Nobody can be served from its beginning any more.
        if hasFailed { node.collapser.leave(self) }
        resumed?.resume()
    }

    /// Drops what is on disk but for the newest; returns the pull to resume.
    func trimSpooled(_ state: inout State) -> PullHandle? {
        guard let spool = state.spool else { return nil }
        let written = spool.handed - spool.unwritten
        while let end = state.chunks.firstEnd, end <= written, state.received - end >= spool.tailBytes {
            state.chunks.dropFirst()
        }
        guard state.isPaused, spool.unwritten <= spool.aheadBytes / 2 else { return nil }
        state.isPaused = false
        return state.handle
    }
}
