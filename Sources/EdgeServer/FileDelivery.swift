import EdgeStore
import NIOCore

import func Glibc.dup

extension DiskRegion {
    /// What the channel sends by `sendfile`; nil where no descriptor is left. The descriptor is a copy of its own,
    /// for the receiver to close, since the file may leave the store while its bytes are on their way.
    func fileRegion(_ allowance: RegionAllowance) -> FileRegion? {
        guard allowance.take() else { return nil }
        guard let descriptor, case let copy = dup(descriptor), copy >= 0 else {
            allowance.give()
            return nil
        }
        // NIOCore has no other initialiser.
        let handle = NIOFileHandle(_deprecatedTakingOwnershipOfDescriptor: copy)
        let start = Int(offset)
        return FileRegion(fileHandle: handle, readerIndex: start, endIndex: start + count)
    }
}

extension FileRegion {
    /// Closes what ``EdgeStore/DiskRegion/fileRegion(_:)`` opened.
    func close(_ allowance: RegionAllowance) {
        try? fileHandle.close()
        allowance.give()
    }
}
