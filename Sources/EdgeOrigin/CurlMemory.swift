import CCurl
import Glibc
import Synchronization

/// The memory that libcurl works with: blocks of a few sizes that are used again.
///
/// libcurl takes some forty pieces of memory for a pull, one of them tens of kilobytes large, and gives them back at
/// its end. Among stored responses, which stay, malloc has to find a place for each anew: the large one's was cut up
/// for what was stored meanwhile.
enum CurlMemory {
    /// In front of every block; as large as malloc aligns to.
    private struct Header {
        /// What fits behind the header, in bytes.
        var capacity: Int
        /// While the block is free: the next free one of its size.
        var next: UnsafeMutablePointer<Header>?
    }

    /// A block by its address, which a lock may hold; a pointer it may not. It is the lists' or that of who took it.
    private struct Block {
        private let address: UInt

        init(_ header: UnsafeMutablePointer<Header>) { address = UInt(bitPattern: header) }

        var header: UnsafeMutablePointer<Header> {
            UnsafeMutablePointer(bitPattern: address).unsafelyUnwrapped
        }
    }

    private struct FreeBlocks {
        private var first = [Block?](repeating: nil, count: sizes)
        private(set) var heldBytes = 0

        mutating func take(_ size: Int) -> Block? {
            guard let block = first[size] else { return nil }
            first[size] = block.header.pointee.next.map(Block.init)
            heldBytes -= block.header.pointee.capacity
            return block
        }

        /// False where enough is held already.
        mutating func put(_ block: Block, _ size: Int) -> Bool {
            let capacity = block.header.pointee.capacity
            guard heldBytes + capacity <= largestHeldBytes else { return false }
            block.header.pointee.next = first[size]?.header
            first[size] = block
            heldBytes += capacity
            return true
        }
    }

    private static let smallestShift = 5
    private static let sizes = 11
    /// Larger blocks are malloc's.
    static let largestBlockBytes = 1 << (smallestShift + sizes - 1)
    /// What free blocks hold at most; the rest goes back to malloc.
    static let largestHeldBytes = 4 << 20

    // Names are looked up on threads of libcurl's own, so there is a lock, though next to nobody contends
    // for it.
    private static let freeBlocks = Mutex(FreeBlocks())

    static var heldBytes: Int { freeBlocks.withLock { $0.heldBytes } }

    /// AddressSanitizer or valgrind watches this process: they would not see into blocks that are used again.
    private static let isWatched = dlsym(nil, "__asan_init") != nil || dlsym(nil, "_vgnU_freeres") != nil

    /// Initialises libcurl with it; without effect where libcurl is initialised already.
    static func install() {
        if isWatched {
            curl_global_init(Int(CURL_GLOBAL_DEFAULT))
            return
        }
        curl_global_init_mem(
            Int(CURL_GLOBAL_DEFAULT), { CurlMemory.take($0) }, { CurlMemory.give($0) },
            { CurlMemory.resize($0, $1) }, { CurlMemory.duplicate($0) }, { CurlMemory.takeZeroed($0, $1) })
    }

    static func take(_ bytes: Int) -> UnsafeMutableRawPointer? {
        guard bytes >= 0, bytes <= Int.max - MemoryLayout<Header>.stride else { return nil }
        guard let size = size(of: bytes) else { return allocate(bytes) }
        if let block = freeBlocks.withLock({ $0.take(size) }) {
            return UnsafeMutableRawPointer(block.header + 1)
        }
        return allocate(1 << (smallestShift + size))
    }

    static func give(_ pointer: UnsafeMutableRawPointer?) {
        guard let pointer else { return }
        let header = header(of: pointer)
        let block = Block(header)
        if let size = size(of: header.pointee.capacity), freeBlocks.withLock({ $0.put(block, size) }) {
            return
        }
        free(header)
    }

    static func resize(_ pointer: UnsafeMutableRawPointer?, _ bytes: Int) -> UnsafeMutableRawPointer? {
        guard let pointer else { return take(bytes) }
        guard bytes >= 0 else { return nil }
        let capacity = header(of: pointer).pointee.capacity
        if size(of: bytes) == size(of: capacity), bytes <= capacity { return pointer }
        guard let moved = take(bytes) else { return nil }
        memcpy(moved, pointer, min(bytes, capacity))
        give(pointer)
        return moved
    }

    private static func takeZeroed(_ count: Int, _ each: Int) -> UnsafeMutableRawPointer? {
        let (bytes, overflows) = count.multipliedReportingOverflow(by: each)
        guard count >= 0, !overflows, let taken = take(bytes) else { return nil }
        return memset(taken, 0, bytes)
    }

    private static func duplicate(_ text: UnsafePointer<CChar>?) -> UnsafeMutablePointer<CChar>? {
        guard let text else { return nil }
        let bytes = strlen(text) + 1
        return take(bytes).map { memcpy($0, text, bytes).assumingMemoryBound(to: CChar.self) }
    }

    /// Which of the sizes holds `bytes`; nil beyond the largest.
    private static func size(of bytes: Int) -> Int? {
        guard bytes <= largestBlockBytes else { return nil }
        return max(0, Int.bitWidth - max(0, bytes - 1).leadingZeroBitCount - smallestShift)
    }

    private static func allocate(_ capacity: Int) -> UnsafeMutableRawPointer? {
        guard let raw = malloc(MemoryLayout<Header>.stride + capacity) else { return nil }
        let header = raw.bindMemory(to: Header.self, capacity: 1)
        header.initialize(to: Header(capacity: capacity, next: nil))
        return UnsafeMutableRawPointer(header + 1)
    }

    private static func header(of pointer: UnsafeMutableRawPointer) -> UnsafeMutablePointer<Header> {
        pointer.assumingMemoryBound(to: Header.self) - 1
    }
}
