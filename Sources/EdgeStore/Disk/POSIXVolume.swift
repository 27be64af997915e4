import CEdgeLinux
import Glibc
import Synchronization

/// A directory of the file system, held by one process at a time.
///
/// Every operation is relative to a descriptor of the directory, so that no other part of the path is looked
/// up again. But an operator may empty a cache by `rm -r` and `mkdir` while the process runs: the descriptor
/// then names a directory that nobody can see any more, in which every name is missing and nothing can be
/// made. (Listing it is no error, only empty.) So `list` and `open(create:)`, with which every use of a
/// directory begins, first compare it with the one that the path leads to, and move over to that; they also
/// take the lock again when its file was removed with all the others. Files that were open stay so.
///
/// While the path leads nowhere both fail with `ENOENT`; the directory is made only once, at the start,
/// because a path that vanishes later may well be a disk that was unmounted.
public final class POSIXVolume: DiskVolume {
    /// The file within the directory that says by its `flock` who holds it.
    static let lockName = "lock"

    private let path: String
    private let current: Mutex<OpenDirectory>

    /// Opens `directory`, made with mode 0700 if missing (its parent must be there), and takes it for this
    /// process.
    ///
    /// Throws `.lock` with `EWOULDBLOCK` while another volume, of this or another process, holds it.
    public init(directory: String) throws(DiskError) {
        if mkdir(directory, 0o700) != 0, errno != EEXIST {
            throw DiskError(.create, directory, errno)
        }
        path = directory
        current = Mutex(try OpenDirectory(path: directory))
    }

    public func list() throws(DiskError) -> [String] {
        try visible(.list, path) { directory throws(DiskError) in try directory.list(path) }
    }

    public func open(_ name: String, create: Bool) throws(DiskError) -> any DiskFile {
        assert(Self.isPlain(name))
        guard create else { return try held().open(name, flags: 0, .open) }
        return try visible(.create, name) { directory throws(DiskError) in
            try directory.open(name, flags: O_CREAT | O_EXCL, .create)
        }
    }

    public func remove(_ name: String) throws(DiskError) {
        assert(Self.isPlain(name))
        if unlinkat(held().descriptor, name, 0) != 0 { throw DiskError(.remove, name, errno) }
    }

    public func rename(_ name: String, to newName: String) throws(DiskError) {
        assert(Self.isPlain(name) && Self.isPlain(newName))
        let directory = held().descriptor
        if renameat(directory, name, directory, newName) != 0 { throw DiskError(.rename, name, errno) }
    }

    public func syncDirectory() throws(DiskError) {
        let directory = held()
        if retrying({ fsync(directory.descriptor) }) != 0 { throw DiskError(.syncDirectory, path, errno) }
    }

    private static func isPlain(_ name: String) -> Bool {
        !name.isEmpty && name != "." && name != ".." && name != lockName
            && !name.utf8.contains(UInt8(ascii: "/"))
    }

    private func held() -> OpenDirectory { current.withLock { $0 } }

    /// Runs `body` in the directory that the path leads to now, and once more if that is removed meanwhile.
    private func visible<Value>(
        _ operation: DiskError.Operation, _ name: String,
        _ body: (OpenDirectory) throws(DiskError) -> Value
    ) throws(DiskError) -> Value {
        do throws(DiskError) {
            return try body(reopened(operation, name))
        } catch  where error.code == ENOENT {
            return try body(reopened(operation, name))
        }
    }

    /// The directory that the path leads to now, opened and locked if it is another one than before.
    private func reopened(
        _ operation: DiskError.Operation, _ name: String
    ) throws(DiskError) -> OpenDirectory {
        var found = stat()
        if stat(path, &found) != 0 { throw DiskError(operation, name, errno) }
        return try current.withLock { directory throws(DiskError) in
            let isSame = directory.device == found.st_dev && directory.inode == found.st_ino
            if !isSame || directory.isUnlocked {
                directory = try OpenDirectory(path: path)
            }
            return directory
        }
    }
}

/// A descriptor of a directory, with its lock; both close with the last operation that uses them.
private final class OpenDirectory: Sendable {
    let descriptor: CInt
    let lock: CInt
    let device: dev_t
    let inode: ino_t

    init(path: String) throws(DiskError) {
        // Nothing is stored before the last failure is past: a throw from a complete object runs `deinit`.
        let directory = retrying { Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard directory >= 0 else { throw DiskError(.open, path, errno) }
        let file: CInt
        let identity: stat
        do throws(DiskError) {
            identity = try Self.identity(of: directory, path)
            file = try Self.takeLock(in: directory)
        } catch {
            close(directory)
            throw error
        }
        descriptor = directory
        lock = file
        device = identity.st_dev
        inode = identity.st_ino
    }

    private static func identity(of directory: CInt, _ path: String) throws(DiskError) -> stat {
        var found = stat()
        guard fstat(directory, &found) == 0 else { throw DiskError(.open, path, errno) }
        return found
    }

    private static func takeLock(in directory: CInt) throws(DiskError) -> CInt {
        let flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC
        let file = retrying { openat(directory, POSIXVolume.lockName, flags, 0o600) }
        guard file >= 0 else { throw DiskError(.lock, POSIXVolume.lockName, errno) }
        guard retrying({ flock(file, LOCK_EX | LOCK_NB) }) == 0 else {
            let code = errno
            close(file)
            throw DiskError(.lock, POSIXVolume.lockName, code)
        }
        return file
    }

    deinit {
        close(lock)
        close(descriptor)
    }

    /// Whether somebody removed the lock file, so that another process could make one and lock that.
    var isUnlocked: Bool {
        var found = stat()
        return fstat(lock, &found) == 0 && found.st_nlink == 0
    }

    func open(_ name: String, flags: CInt, _ operation: DiskError.Operation) throws(DiskError) -> POSIXFile {
        let directory = descriptor
        let file = retrying { openat(directory, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | flags, 0o600) }
        guard file >= 0 else { throw DiskError(operation, name, errno) }
        return POSIXFile(name: name, descriptor: file)
    }

    func list(_ path: String) throws(DiskError) -> [String] {
        // A descriptor of its own, because the position of a listing belongs to the descriptor.
        let directory = descriptor
        let copy = retrying { openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard copy >= 0 else { throw DiskError(.list, path, errno) }
        guard let stream = fdopendir(copy) else {
            let code = errno
            close(copy)
            throw DiskError(.list, path, code)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else { break }
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) }
            }
            if name != POSIXVolume.lockName, isFile(name, type: entry.pointee.d_type) { names.append(name) }
        }
        guard errno == 0 else { throw DiskError(.list, path, errno) }
        return names
    }

    private func isFile(_ name: String, type: UInt8) -> Bool {
        // Some file systems do not put the type into the directory.
        guard Int(type) == Int(DT_UNKNOWN) else { return Int(type) == Int(DT_REG) }
        var found = stat()
        return fstatat(descriptor, name, &found, AT_SYMLINK_NOFOLLOW) == 0
            && found.st_mode & S_IFMT == S_IFREG
    }
}

/// A file of a `POSIXVolume`.
final class POSIXFile: DiskFile {
    /// IOV_MAX of Linux (UIO_MAXIOV), which the C library shows only to old standards.
    private static let maxVectors = 1024

    private let name: String
    private let file: CInt

    var descriptor: CInt? { file }

    /// Owns `descriptor` from now on.
    fileprivate init(name: String, descriptor: CInt) {
        self.name = name
        file = descriptor
    }

    deinit { close(file) }

    func write(_ parts: [UnsafeRawBufferPointer], at offset: Int64) throws(DiskError) {
        // The system only reads from the buffers, although the C structure is the same for reading into them.
        var vectors = parts.compactMap { part in
            part.isEmpty
                ? nil
                : iovec(iov_base: UnsafeMutableRawPointer(mutating: part.baseAddress), iov_len: part.count)
        }
        var next = 0
        var position = offset
        while next < vectors.count {
            let count = CInt(min(vectors.count - next, Self.maxVectors))
            let wrote = vectors.withUnsafeBufferPointer { all in
                retrying { pwritev(file, all.baseAddress.map { $0 + next }, count, off_t(position)) }
            }
            guard wrote >= 0 else { throw DiskError(.write, name, errno) }
            // No system should do this to a write that is not empty; to try again could take forever.
            guard wrote > 0 else { throw DiskError(.write, name, EIO) }
            position += Int64(wrote)
            Self.advance(&vectors, &next, by: wrote)
        }
    }

    /// Takes `count` bytes off the front of the vectors from `next` on.
    private static func advance(_ vectors: inout [iovec], _ next: inout Int, by count: Int) {
        var left = count
        while left > 0 {
            let length = vectors[next].iov_len
            guard left < length else {
                left -= length
                next += 1
                continue
            }
            vectors[next].iov_base += left
            vectors[next].iov_len -= left
            left = 0
        }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(DiskError) -> Int {
        guard let base = buffer.baseAddress else { return 0 }
        var done = 0
        while done < buffer.count {
            let got = retrying { pread(file, base + done, buffer.count - done, off_t(offset) + done) }
            guard got >= 0 else { throw DiskError(.read, name, errno) }
            if got == 0 { break }
            done += got
        }
        return done
    }

    func reserve(_ bytes: Int64) throws(DiskError) {
        guard bytes > 0 else { return }
        if retrying({ edge_allocate_range(file, 0, bytes) }) == 0 { return }
        guard errno == EOPNOTSUPP else { throw DiskError(.reserve, name, errno) }
        // A file system without reservations: the size alone then, and a full disk shows by the writes.
        if try size() < bytes, retrying({ ftruncate(file, off_t(bytes)) }) != 0 {
            throw DiskError(.reserve, name, errno)
        }
    }

    func size() throws(DiskError) -> Int64 {
        var found = stat()
        if fstat(file, &found) != 0 { throw DiskError(.size, name, errno) }
        return Int64(found.st_size)
    }

    func sync() throws(DiskError) {
        if retrying({ fdatasync(file) }) != 0 { throw DiskError(.sync, name, errno) }
    }
}

/// Calls `body` again for as long as a signal interrupts it.
private func retrying<Result: SignedInteger>(_ body: () -> Result) -> Result {
    while true {
        let result = body()
        if result != -1 || errno != EINTR { return result }
    }
}
