import CEdgeLinux
import Glibc
import NIOCore
import Synchronization

/// A file in memory (memfd) whose pages hold bodies: `sendfile` serves them without a copy, and a mapping
/// of the whole file lets the writer fill them and lets a ByteBuffer show them.
///
/// The file is sparse and much longer than the memory it may hold, so that ranges are found by a buddy
/// system without moving anything; only touched pages are memory. A freed extent is punched out of the file
/// *before* its range can be given out again: `sendfile` leaves references to pages in socket queues, and
/// to write new bytes into such a page would put another response on the wire. After the punch the old
/// pages live on for the socket alone, and the range gets fresh ones.
public final class PageArena: Sendable {
    private struct Ranges {
        var ranges: BuddyPages
        /// Pages of the extent that starts at a granule.
        var pageCounts: [UInt32]
    }

    static let pageBytes = 4096
    static let granuleBytes = 64 * 1024

    /// The file; open as long as the arena lives.
    public let fileDescriptor: CInt
    private let length: Int
    private let start: UInt
    private let pages: Mutex<Ranges>
    private let chargedPages = Atomic<Int>(0)

    /// An arena for about `budgetBytes` of bodies, or nil when the system refuses (the caller then uses the
    /// heap).
    public init?(budgetBytes: Int64) {
        // Four times the budget: a factor of two for the rounding of ranges, and another against
        // fragmentation.
        let wanted = max(Int(budgetBytes) * 4, 64 * Self.granuleBytes) / Self.granuleBytes
        let granules = 1 << (Int.bitWidth - (wanted - 1).leadingZeroBitCount)
        let length = granules * Self.granuleBytes
        let descriptor = edge_memfd_create("rockpool-bodies")
        guard descriptor >= 0 else { return nil }
        guard ftruncate(descriptor, off_t(length)) == 0,
            let base = mmap(nil, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, descriptor, 0),
            base != MAP_FAILED
        else {
            close(descriptor)
            return nil
        }
        fileDescriptor = descriptor
        self.length = length
        start = UInt(bitPattern: base)
        pages = Mutex(
            Ranges(
                ranges: BuddyPages(granuleCount: granules),
                pageCounts: [UInt32](repeating: 0, count: granules)))
        let range = ArenaRange(lower: start, upper: start + UInt(length), arena: .passUnretained(self))
        Self.arenas.withLock { $0.append(range) }
    }

    deinit {
        // No extent is left: each of them retains its arena.
        Self.arenas.withLock { $0.removeAll { $0.lower == start } }
        munmap(UnsafeMutableRawPointer(bitPattern: start), length)
        close(fileDescriptor)
    }

    /// Bytes of pages that extents hold now.
    public var usedBytes: Int { chargedPages.load(ordering: .relaxed) * Self.pageBytes }

    /// An extent of `count` bytes, whose pages read as zero, or nil when no range is free.
    public func allocate(_ count: Int) -> PageExtent? {
        guard count > 0, count <= Int(UInt32.max) else { return nil }
        let granules = (count + Self.granuleBytes - 1) / Self.granuleBytes
        let pageCount = Self.pageCount(count)
        let found = pages.withLock { pages -> Int? in
            guard let granule = pages.ranges.allocate(granules) else { return nil }
            pages.pageCounts[granule] = UInt32(pageCount)
            return granule
        }
        guard let granule = found else { return nil }
        let offset = granule * Self.granuleBytes
        guard let base = UnsafeMutableRawPointer(bitPattern: start + UInt(offset)) else { return nil }
        chargedPages.add(pageCount, ordering: .relaxed)
        // Balanced in `release`, when the last view of the extent is gone.
        _ = Unmanaged.passRetained(self)
        let view = ExactStorage.adopt(UnsafeMutableRawBufferPointer(start: base, count: count))
        return PageExtent(
            fileDescriptor: fileDescriptor, offset: offset, count: count, view: view, base: base)
    }

    static func pageCount(_ count: Int) -> Int { (count + pageBytes - 1) / pageBytes }

    // MARK: - From an address to its arena

    private struct ArenaRange {
        let lower: UInt
        let upper: UInt
        let arena: Unmanaged<PageArena>
    }

    /// NIO's deallocator is a C function that gets an address and nothing else, so the arenas are found by
    /// it.
    private static let arenas = Mutex<[ArenaRange]>([])

    private static func arena(of pointer: UnsafeMutableRawPointer) -> Unmanaged<PageArena>? {
        let address = UInt(bitPattern: pointer)
        return arenas.withLock { ranges in
            ranges.first { $0.lower <= address && address < $0.upper }?.arena
        }
    }

    static func contains(_ pointer: UnsafeMutableRawPointer) -> Bool { arena(of: pointer) != nil }

    /// Frees the extent that starts at `pointer`; false when no arena owns that address.
    static func release(_ pointer: UnsafeMutableRawPointer) -> Bool {
        // The extent's own retain keeps the arena alive until the last line.
        guard let owner = arena(of: pointer) else { return false }
        owner._withUnsafeGuaranteedRef { $0.free(offset: Int(UInt(bitPattern: pointer) - $0.start)) }
        owner.release()
        return true
    }

    private func free(offset: Int) {
        let granule = offset / Self.granuleBytes
        let held = pages.withLock { $0.pageCounts[granule] }
        // First the hole, then the range: see the head of this type.
        let bytes = Int64(held) * Int64(Self.pageBytes)
        precondition(edge_punch_hole(fileDescriptor, Int64(offset), bytes) == 0, "a memfd refused a hole")
        chargedPages.subtract(Int(held), ordering: .relaxed)
        pages.withLock { $0.ranges.free(granule) }
    }
}
