import CEdgeLinux
import EdgePrimitives
import NIOCore

/// The blocks on disk of one representation.
///
/// Their identity follows from the key, the validator and the length where the validator is strong, so that a later
/// pull of the same representation finds what an earlier one left; else it is drawn at random, and nothing finds them
/// but the response that they were written for.
public struct DiskBlocks: Sendable {
    public let id: Digest128
    public let blockBytes: Int
    let tier: DiskTier

    /// The block that holds `offset`; nil outside of the body.
    public func block(at offset: Int64, of completeLength: Int64) -> DiskBlock? {
        guard offset >= 0, offset < completeLength else { return nil }
        let number = offset / Int64(blockBytes)
        let start = number * Int64(blockBytes)
        let count = min(completeLength - start, Int64(blockBytes))
        return DiskBlock(key: Self.key(id, number), range: start..<start + count)
    }

    /// Whether the block is on disk, as far as the index knows.
    public func isStored(_ block: DiskBlock) -> Bool { tier.isStored(block) }

    /// The bytes of `block` for `sendfile`; nil until it was prepared, or where it has gone.
    public func region(of block: DiskBlock) -> DiskRegion? { tier.region(of: block) }

    /// Checks `block` where no one has in the life of this process, and brings it into memory; off the event loop.
    ///
    /// - Parameter completion: called on another thread; false where the block has gone or fails its checksum.
    public func prepare(_ block: DiskBlock, _ completion: @escaping @Sendable (Bool) -> Void) {
        tier.prepare(block, completion)
    }

    private static func key(_ id: Digest128, _ number: Int64) -> Digest128 {
        var word = UInt64(bitPattern: number) &+ 0x9e37_79b9_7f4a_7c15
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        word ^= word >> 31
        return Digest128(high: id.high ^ word, low: id.low &+ word)
    }
}

/// One block of a body: where it belongs, and under which key the index knows it.
public struct DiskBlock: Sendable {
    let key: Digest128
    /// Which bytes of the body it holds.
    public let range: Range<Int64>

    var count: Int { range.count }
}

/// Bytes of a segment that were checked. Holds the segment, so that they stay where they are while it lives.
public struct DiskRegion: Sendable {
    let segment: Segment
    /// Where the bytes begin in the file.
    public let offset: Int64
    public let count: Int

    init(segment: Segment, offset: Int64, count: Int) {
        self.segment = segment
        self.offset = offset
        self.count = count
    }

    /// A part of it.
    public func slice(_ range: Range<Int>) -> DiskRegion {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        return DiskRegion(segment: segment, offset: offset + Int64(range.lowerBound), count: range.count)
    }

    /// Its bytes, read on this thread, for where they cannot be sent by descriptor; nil where the disk fails.
    public func bytes() -> ByteBuffer? { RecordFile.readBytes(count, at: offset, in: segment) }

    /// The file's descriptor, valid while the region is held; nil where there is none.
    public var descriptor: CInt? { segment.file.descriptor }

    /// Whether all of it lies in the page cache, so that `sendfile` will not wait for the disk (cachestat, Linux 6.5).
    /// Where the kernel cannot tell, it counts as cold.
    public var isWarm: Bool {
        guard let descriptor else { return false }
        let page = DiskFormat.pageBytes
        let first = offset / page
        let pages = (offset + Int64(count) + page - 1) / page - first
        return edge_cached_pages(descriptor, first * page, pages * page) >= pages
    }
}
