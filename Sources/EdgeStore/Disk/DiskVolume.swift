import Glibc
import NIOCore

/// The file operations of the disk tier, in one directory; all it does to a disk goes through here.
///
/// `POSIXVolume` is the real one; tests put a simulated one in its place that loses power, tears writes and
/// runs full. Names are plain file names without slashes.
public protocol DiskVolume: Sendable {
    /// Names of the plain files in the directory, in no order.
    func list() throws(DiskError) -> [String]

    /// Opens `name` for reading and writing; with `create` it must not be there yet (`EEXIST`) and is made,
    /// empty. Without, it must be there (`ENOENT`).
    func open(_ name: String, create: Bool) throws(DiskError) -> any DiskFile

    /// Removes `name`. Files that are open stay readable until their last holder lets go.
    func remove(_ name: String) throws(DiskError)

    /// Gives `name` another name; a file that had it is removed in the same step.
    func rename(_ name: String, to newName: String) throws(DiskError)

    /// Makes created, renamed and removed names durable.
    func syncDirectory() throws(DiskError)
}

/// An open file, closed with its last reference.
///
/// Reads may come from any thread at any time; writes from one thread at a time.
public protocol DiskFile: AnyObject, Sendable {
    /// Writes all of `parts`, one behind the other, from the byte `offset` on.
    ///
    /// All of them or an error; after an error any prefix may be there.
    func write(_ parts: [UnsafeRawBufferPointer], at offset: Int64) throws(DiskError)

    /// Reads up to `buffer.count` bytes from `offset` on and returns how many; fewer only at the file's end.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(DiskError) -> Int

    /// Reserves `bytes` from the start of the file; they read as zero where never written.
    ///
    /// The file has at least that size then.
    func reserve(_ bytes: Int64) throws(DiskError)

    /// The size in bytes.
    func size() throws(DiskError) -> Int64

    /// Data and size are durable when this returns.
    func sync() throws(DiskError)

    /// The descriptor for `sendfile`, valid while the file is referenced; nil where there is none.
    var descriptor: CInt? { get }
}

extension DiskVolume {
    /// Removes those of `names` that are there.
    func removeIfThere(_ names: [String]) throws(DiskError) {
        for name in names {
            do {
                try remove(name)
            } catch {
                if error.code != ENOENT { throw error }
            }
        }
    }
}

extension DiskFile {
    /// Writes `bytes`, and `body` behind them where there is one.
    func write(_ bytes: [UInt8], _ body: ByteBuffer = ByteBuffer(), at offset: Int64) throws(DiskError) {
        // Closures that lend memory rethrow any error and not this one, so it comes out as a result.
        let result: Result<Void, DiskError> = bytes.withUnsafeBytes { bytes in
            body.withUnsafeReadableBytes { body in
                do throws(DiskError) {
                    try write(body.isEmpty ? [bytes] : [bytes, body], at: offset)
                    return .success(())
                } catch {
                    return .failure(error)
                }
            }
        }
        try result.get()
    }
}

/// A file operation that failed, and why.
public struct DiskError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Operation: String, Sendable {
        case list
        case open
        case create
        case write
        case read
        case reserve
        case size
        case sync
        case remove
        case rename
        case syncDirectory
        case lock
    }

    public let operation: Operation
    /// The file's name within the directory, or the directory's path where the directory itself failed.
    public let name: String
    /// The system's error number, such as `EIO`.
    public let code: CInt

    public init(_ operation: Operation, _ name: String, _ code: CInt) {
        self.operation = operation
        self.name = name
        self.code = code
    }

    /// Whether there was no space: on the disk, or in the user's quota.
    public var isFull: Bool { code == ENOSPC || code == EDQUOT }

    /// Such as `write 0001.segment: No space left on device`.
    public var description: String { "\(operation.rawValue) \(name): \(String(cString: strerror(code)))" }
}
