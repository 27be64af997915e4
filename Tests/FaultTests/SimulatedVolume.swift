// A disk in memory that does to the disk tier what disks, kernels and operators do. One seed decides it all:
// driven from one thread, the same seed and the same calls give the same run.
//
// The model. A file has durable content, the content that readers see, and the list of writes in between. A
// name is durable after `syncDirectory` only, whatever it names.
//
// What can be made to happen:
//
//   power cut        `powerCut()`: each write that was not synced survives whole, in part (cut at borders of
//                    512 bytes) or not at all, and they reach the disk in any order; each change of a name
//                    that was not synced is kept or lost.
//   process kill     `kill(cutLastWrite:)`: all that was written stays; the last write may be cut short at
//                    any byte. Nothing becomes durable by it.
//   either, anywhere `stop(atOperation:)`: the n-th operation from now is under way when everything ends; it
//                    and all later ones fail with EIO. Then call `powerCut()` or `kill()`.
//   failed write     `.writeFails`: EIO, nothing written. `.writeTorn`: EIO, some 512-byte sectors written.
//                    `.writeRunsFull`: a part is written, up to any byte, then ENOSPC.
//   failed sync      `.syncFails`: EIO, and as on Linux the system forgets that the pages are dirty: some of
//                    the writes are on disk, readers see all of them, and a later sync that succeeds changes
//                    nothing.
//   other failures   `.readFails`, `.reserveFails`, `.directoryFails` (list, open, create, remove, rename):
//                    EIO; `.reserveRunsFull`: ENOSPC.
//   full disk        `capacityBytes`: what is beyond fails with ENOSPC, a write after the part that fits.
//   read-only disk   `isReadOnly`: EROFS from all that changes something or opens to change.
//   directory gone   `isDirectoryGone`: ENOENT from all that takes a name; open files live on. Back when
//                    false again, or empty after `emptyDirectory()` (removed and made again).
//   rot              `flipBits`: for good, on disk and in memory. `.readFlipsBit`: in one read only.
//   meddling         `truncate`, `place` (foreign files, any content), `placeGarbage`.
//   lying disk       `ignoresSync`: sync and syncDirectory return and make nothing durable.
//
// The faults with a dot strike by `setProbability` or `schedule`. `beforeOperation` is called before every
// operation, on its thread and outside all locks, so that a test can count, delay or stop it there. A restart
// (power cut, kill) gives a new volume with all faults off, on which the log goes on; the old one and its
// files then fail with EIO for ever.

import EdgePrimitives
import EdgeStore
import Glibc
import Synchronization

final class SimulatedVolume: DiskVolume, Sendable, CustomStringConvertible {
    enum Fault: String, CaseIterable, Sendable {
        case readFails
        case readFlipsBit
        case writeFails
        case writeTorn
        case writeRunsFull
        case syncFails
        case reserveFails
        case reserveRunsFull
        case directoryFails
    }

    /// What a power cut does with that which was not synced.
    enum Survival: Sendable {
        case random
        case nothing
        case everything
    }

    struct Operation: Sendable, CustomStringConvertible {
        /// Counted from 1 over all restarts.
        let number: Int
        let kind: DiskError.Operation
        let name: String
        /// The place in the file and the length, of reads, writes and reservations.
        let offset: Int64
        let count: Int

        var description: String {
            switch kind {
            case .read, .write, .reserve: "#\(number) \(kind) \(name) \(offset)+\(count)"
            default: "#\(number) \(kind) \(name)"
            }
        }
    }

    /// A bit that was flipped for good.
    struct Flip: Sendable, Equatable {
        let name: String
        let offset: Int
        let bit: Int
    }

    let seed: UInt64
    private let disk: Mutex<SimulatedDisk>
    /// In a structure: a mutex over a bare closure wraps it once more at every access (Swift 6.3).
    private struct Hook {
        let body: @Sendable (Operation) -> Void
    }

    private let hook = Mutex<Hook?>(nil)

    /// An empty volume; `capacityBytes` nil: without limit.
    init(seed: UInt64, capacityBytes: Int? = nil) {
        self.seed = seed
        disk = Mutex(SimulatedDisk(seed: seed, capacityBytes: capacityBytes))
    }

    private init(seed: UInt64, disk: SimulatedDisk) {
        self.seed = seed
        self.disk = Mutex(disk)
    }

    // MARK: - Faults

    /// The disk after a power cut; this volume is at its end.
    func powerCut(_ survival: Survival = .random) -> SimulatedVolume {
        SimulatedVolume(seed: seed, disk: disk.withLock { $0.cutPower(survival) })
    }

    /// The disk after the process was killed; this volume is at its end.
    ///
    /// With `cutLastWrite` the kill came within the last write, if nothing but reads came after it.
    func kill(cutLastWrite: Bool = false) -> SimulatedVolume {
        SimulatedVolume(seed: seed, disk: disk.withLock { $0.kill(cutLastWrite: cutLastWrite) })
    }

    /// Ends everything within the `number`-th operation from now; 1 is the next one.
    func stop(atOperation number: Int) {
        disk.withLock { $0.stopsAt = $0.operationCount + number }
    }

    /// Whether `stop(atOperation:)` has struck, or the volume was restarted.
    var isStopped: Bool { disk.withLock { $0.isStopped } }

    /// Lets `fault` strike the `number`-th operation from now that it can strike; 1 is the next one.
    func schedule(_ fault: Fault, at number: Int = 1) {
        precondition(number > 0)
        disk.withLock { $0.scheduled.append((fault, number)) }
    }

    /// Lets `fault` strike each operation that it can strike with a probability of 0 to 1.
    func setProbability(_ probability: Double, of fault: Fault) {
        disk.withLock { $0.probabilities[fault] = probability }
    }

    /// Takes back everything that `schedule` and `setProbability` asked for.
    func clearFaults() {
        disk.withLock {
            $0.scheduled = []
            $0.probabilities = [:]
        }
    }

    /// Bytes that the sizes of all files may add up to; nil: without limit.
    var capacityBytes: Int? {
        get { disk.withLock { $0.capacityBytes } }
        set { disk.withLock { $0.capacityBytes = newValue } }
    }

    var isReadOnly: Bool {
        get { disk.withLock { $0.isReadOnly } }
        set { disk.withLock { $0.isReadOnly = newValue } }
    }

    var isDirectoryGone: Bool {
        get { disk.withLock { $0.isDirectoryGone } }
        set { disk.withLock { $0.isDirectoryGone = newValue } }
    }

    var ignoresSync: Bool {
        get { disk.withLock { $0.ignoresSync } }
        set { disk.withLock { $0.ignoresSync = newValue } }
    }

    /// Flips `count` bits in files picked at random, or in the file `name`, at random places of `range`.
    @discardableResult
    func flipBits(count: Int, in name: String? = nil, range: Range<Int>? = nil) -> [Flip] {
        disk.withLock { $0.flipBits(count, in: name, range: range) }
    }

    /// Cuts the file at `size` bytes, durably.
    func truncate(_ name: String, to size: Int) {
        disk.withLock { disk in
            guard let id = disk.names[name] else { return }
            disk.note("truncate \(name) to \(size)")
            disk.replaceContent(of: id, with: Array(disk.inodes[id].content.prefix(size)))
        }
    }

    /// Puts a file there, durably; one of that name gets the new content.
    func place(_ name: String, _ bytes: [UInt8]) {
        disk.withLock { $0.place(name, bytes) }
    }

    /// Puts a file of random bytes there, durably.
    func placeGarbage(_ name: String, count: Int) {
        disk.withLock { disk in
            let bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &disk.generator) }
            disk.place(name, bytes)
        }
    }

    /// What `rm -r` and `mkdir` do: all names are gone, durably; open files live on.
    func emptyDirectory() {
        disk.withLock { disk in
            disk.note("the directory was removed and made again")
            disk.names = [:]
            disk.makeNamesDurable()
        }
    }

    // MARK: - Looking at it

    /// Called before every operation, outside all locks.
    var beforeOperation: (@Sendable (Operation) -> Void)? {
        get { hook.withLock { $0 }?.body }
        set { hook.withLock { $0 = newValue.map { Hook(body: $0) } } }
    }

    /// The names that a reader sees, in order; no operation.
    var names: [String] { disk.withLock { $0.names.keys.sorted() } }

    /// What a reader sees in a file; no operation.
    func content(of name: String) -> [UInt8]? {
        disk.withLock { disk in disk.names[name].map { disk.inodes[$0].content } }
    }

    /// Operations begun, over all restarts.
    var operationCount: Int { disk.withLock { $0.operationCount } }

    /// The last operations and faults, one a line, over all restarts.
    var log: [String] { disk.withLock { $0.log } }

    var description: String {
        let log = log
        let head = "simulated volume with seed \(seed) after \(operationCount) operations"
        return ([head] + log.suffix(40)).joined(separator: "\n    ")
    }

    // MARK: - Operations

    func list() throws(DiskError) -> [String] {
        try perform(.list, ".") { disk, _ in disk.names.keys.sorted().shuffled(using: &disk.generator) }
    }

    func open(_ name: String, create: Bool) throws(DiskError) -> any DiskFile {
        let id = try perform(create ? .create : .open, name) { disk, incident throws(DiskError) in
            create ? try disk.create(name, incident) : disk.opened(try disk.find(name, .open))
        }
        return SimulatedFile(name: name, inode: id, volume: self)
    }

    func remove(_ name: String) throws(DiskError) {
        try perform(.remove, name) { disk, incident throws(DiskError) in try disk.remove(name, incident) }
    }

    func rename(_ name: String, to newName: String) throws(DiskError) {
        try perform(.rename, name) { disk, incident throws(DiskError) in
            try disk.rename(name, to: newName, incident)
        }
    }

    func syncDirectory() throws(DiskError) {
        try perform(.syncDirectory, ".") { disk, incident throws(DiskError) in
            if incident != nil { throw DiskError(.syncDirectory, ".", EIO) }
            if !disk.ignoresSync { disk.makeNamesDurable() }
        }
    }

    fileprivate func perform<Value: Sendable>(
        _ kind: DiskError.Operation, _ name: String, offset: Int64 = 0, count: Int = 0,
        _ body: (inout SimulatedDisk, SimulatedDisk.Incident?) throws(DiskError) -> Value
    ) throws(DiskError) -> Value {
        let operation = disk.withLock { $0.begin(kind, name, offset, count) }
        beforeOperation?(operation)
        return try disk.withLock { disk throws(DiskError) in
            do throws(DiskError) {
                let value = try body(&disk, try disk.admit(operation))
                disk.note("\(operation)")
                return value
            } catch {
                disk.note("\(operation) failed: \(String(cString: strerror(error.code)))")
                throw error
            }
        }
    }

    fileprivate func close(_ inode: Int) {
        disk.withLock { $0.close(inode) }
    }
}

/// A file of a `SimulatedVolume`.
private final class SimulatedFile: DiskFile {
    let name: String
    let inode: Int
    let volume: SimulatedVolume

    init(name: String, inode: Int, volume: SimulatedVolume) {
        self.name = name
        self.inode = inode
        self.volume = volume
    }

    deinit { volume.close(inode) }

    var descriptor: CInt? { nil }

    func write(_ parts: [UnsafeRawBufferPointer], at offset: Int64) throws(DiskError) {
        let bytes = parts.flatMap { Array($0) }
        try volume.perform(.write, name, offset: offset, count: bytes.count) {
            disk, incident throws(DiskError) in
            guard let place = Int(exactly: offset), place >= 0 else { throw DiskError(.write, name, EINVAL) }
            try disk.write(bytes, at: place, to: inode, name, incident)
        }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(DiskError) -> Int {
        try volume.perform(.read, name, offset: offset, count: buffer.count) {
            disk, incident throws(DiskError) in
            guard let place = Int(exactly: offset), place >= 0 else { throw DiskError(.read, name, EINVAL) }
            let content = disk.inodes[inode].content
            guard place < content.count else { return 0 }
            let count = min(buffer.count, content.count - place)
            buffer.copyBytes(from: content[place..<place + count])
            if incident == .fault(.readFlipsBit), count > 0 {
                let byte = Int.random(in: 0..<count, using: &disk.generator)
                buffer[byte] ^= 1 << UInt8.random(in: 0..<8, using: &disk.generator)
                disk.note("the read flips a bit of byte \(place + byte) of \(name)")
            }
            return count
        }
    }

    func reserve(_ bytes: Int64) throws(DiskError) {
        try volume.perform(.reserve, name, count: Int(bytes)) { disk, incident throws(DiskError) in
            try disk.reserve(Int(bytes), of: inode, name, incident)
        }
    }

    func size() throws(DiskError) -> Int64 {
        try volume.perform(.size, name) { disk, _ in Int64(disk.inodes[inode].content.count) }
    }

    func sync() throws(DiskError) {
        try volume.perform(.sync, name) { disk, incident throws(DiskError) in
            try disk.sync(inode, name, incident)
        }
    }
}
