import EdgePrimitives

/// Where a record lies: in which file, and which bytes of it.
struct RecordLocation: Sendable, Equatable {
    /// Every record starts and ends at a multiple of this.
    static let alignment = 64

    /// The file's number; the first is 1.
    var generation: UInt32
    /// In bytes, a multiple of 64.
    var offset: Int64
    /// In bytes, a multiple of 64.
    var length: Int
}

/// One entry of the disk index.
struct DiskIndexEntry: Sendable, Equatable {
    enum Kind: UInt8, Sendable {
        case response = 0
        case block = 1
    }

    var key: Digest128
    var variant: UInt32
    var kind: Kind
    var location: RecordLocation
    /// Uses since it was written, less those taken away: 0...3.
    var uses: UInt8
    /// Its body was checked in the life of this process.
    var isVerified: Bool
}
