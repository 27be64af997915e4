import EdgeStore
import Glibc
import Synchronization

/// A directory of files in this process's memory, for replays: what the tier writes is there, byte for
/// byte, and no disk sets the pace.
final class MemoryVolume: DiskVolume {
    private let files = Mutex<[String: MemoryFile]>([:])

    /// Bytes of all files with a name, as reserved.
    var occupiedBytes: Int64 {
        files.withLock { $0.values.reduce(0) { $0 + Int64($1.bytes.withLock { $0.count }) } }
    }

    /// Bytes written to all files there ever were, journals included.
    let written = Atomic<Int64>(0)

    func list() throws(DiskError) -> [String] { files.withLock { Array($0.keys) } }

    func open(_ name: String, create: Bool) throws(DiskError) -> any DiskFile {
        let result: Result<MemoryFile, DiskError> = files.withLock { files in
            if let file = files[name] {
                return create ? .failure(DiskError(.create, name, EEXIST)) : .success(file)
            }
            guard create else { return .failure(DiskError(.open, name, ENOENT)) }
            let file = MemoryFile(self)
            files[name] = file
            return .success(file)
        }
        return try result.get()
    }

    func remove(_ name: String) throws(DiskError) {
        if files.withLock({ $0.removeValue(forKey: name) }) == nil { throw DiskError(.remove, name, ENOENT) }
    }

    func rename(_ name: String, to newName: String) throws(DiskError) {
        let isThere = files.withLock { files in
            guard let file = files.removeValue(forKey: name) else { return false }
            files[newName] = file
            return true
        }
        if !isThere { throw DiskError(.rename, name, ENOENT) }
    }

    func syncDirectory() throws(DiskError) {}
}

final class MemoryFile: DiskFile {
    let bytes = Mutex<[UInt8]>([])
    private let volume: MemoryVolume

    init(_ volume: MemoryVolume) { self.volume = volume }

    func write(_ parts: [UnsafeRawBufferPointer], at offset: Int64) throws(DiskError) {
        let count = parts.reduce(0) { $0 + $1.count }
        volume.written.wrappingAdd(Int64(count), ordering: .relaxed)
        // Pointers are not Sendable, though these are only read while their owner waits here.
        nonisolated(unsafe) let parts = parts
        bytes.withLock { bytes in
            var position = Int(offset)
            Self.extend(&bytes, to: position + count)
            bytes.withUnsafeMutableBytes { target in
                for part in parts {
                    UnsafeMutableRawBufferPointer(rebasing: target[position..<position + part.count])
                        .copyMemory(from: part)
                    position += part.count
                }
            }
        }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(DiskError) -> Int {
        nonisolated(unsafe) let buffer = buffer
        return bytes.withLock { bytes in
            let count = max(0, min(buffer.count, bytes.count - Int(offset)))
            guard count > 0 else { return 0 }
            bytes.withUnsafeBytes {
                UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[Int(offset)..<Int(offset) + count]))
            }
            return count
        }
    }

    func reserve(_ count: Int64) throws(DiskError) { bytes.withLock { Self.extend(&$0, to: Int(count)) } }

    func size() throws(DiskError) -> Int64 { bytes.withLock { Int64($0.count) } }

    func sync() throws(DiskError) {}

    var descriptor: CInt? { nil }

    private static func extend(_ bytes: inout [UInt8], to count: Int) {
        if bytes.count < count { bytes += repeatElement(0, count: count - bytes.count) }
    }
}
