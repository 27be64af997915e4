import EdgePrimitives
import EdgeStore
import Glibc

/// The state of a `SimulatedVolume`: what a disk holds, and what shall go wrong with it.
struct SimulatedDisk: Sendable {
    /// A change of a file that is not durable yet.
    enum Change: Sendable {
        case bytes(offset: Int, [UInt8])
        case size(Int)
    }

    struct Inode: Sendable {
        /// What readers see.
        var content: [UInt8] = []
        var durable: [UInt8] = []
        var unsynced: [Change] = []
        var openFiles = 0
    }

    /// A change of a name that is not durable yet.
    enum NameChange: Sendable {
        case make(String, Int)
        case remove(String)
        case rename(String, to: String, Int)
    }

    /// What befalls an operation.
    enum Incident: Sendable, Equatable {
        case fault(SimulatedVolume.Fault)
        /// The process or the machine ends within it.
        case stop
    }

    /// How to take back the last write.
    struct LastWrite: Sendable {
        let inode: Int
        let offset: Int
        let bytes: [UInt8]
        let sizeBefore: Int
        let bytesBefore: [UInt8]
    }

    static let sectorBytes = 512
    static let maxLogLines = 20_000

    /// Files by number; numbers are not used again.
    var inodes: [Inode] = []
    var names: [String: Int] = [:]
    private var durableNames: [String: Int] = [:]
    private var unsyncedNames: [NameChange] = []
    private var lastWrite: LastWrite?
    var generator: SeededGenerator

    var capacityBytes: Int?
    var isReadOnly = false
    var isDirectoryGone = false
    var ignoresSync = false
    var stopsAt: Int?
    var isStopped = false
    var scheduled: [(fault: SimulatedVolume.Fault, left: Int)] = []
    var probabilities: [SimulatedVolume.Fault: Double] = [:]
    var operationCount = 0
    var log: [String] = []

    init(seed: UInt64, capacityBytes: Int?) {
        generator = SeededGenerator(seed: seed)
        self.capacityBytes = capacityBytes
    }

    mutating func note(_ line: String) {
        if log.count >= Self.maxLogLines { log.removeFirst(Self.maxLogLines / 2) }
        log.append(line)
    }

    // MARK: - Before an operation

    mutating func begin(
        _ kind: DiskError.Operation, _ name: String, _ offset: Int64, _ count: Int
    ) -> SimulatedVolume.Operation {
        operationCount += 1
        return SimulatedVolume.Operation(
            number: operationCount, kind: kind, name: name, offset: offset, count: count)
    }

    /// What befalls the operation, where it has to act on it; what is only an error is thrown.
    mutating func admit(_ operation: SimulatedVolume.Operation) throws(DiskError) -> Incident? {
        let kind = operation.kind
        if isStopped { throw DiskError(kind, operation.name, EIO) }
        if let stopsAt, operation.number >= stopsAt {
            isStopped = true
            note("all ends within #\(operation.number)")
            switch kind {
            case .read, .list, .size, .open: throw DiskError(kind, operation.name, EIO)
            default: return .stop
            }
        }
        if isDirectoryGone, Self.takesName(kind) { throw DiskError(kind, operation.name, ENOENT) }
        if isReadOnly, Self.needsWriting(kind) { throw DiskError(kind, operation.name, EROFS) }
        guard let fault = strikingFault(kind) else { return nil }
        note("\(fault) strikes #\(operation.number)")
        switch fault {
        case .readFails, .writeFails, .reserveFails, .directoryFails:
            throw DiskError(kind, operation.name, EIO)
        case .reserveRunsFull: throw DiskError(kind, operation.name, ENOSPC)
        case .readFlipsBit, .writeTorn, .writeRunsFull, .syncFails: return .fault(fault)
        }
    }

    private static func takesName(_ kind: DiskError.Operation) -> Bool {
        switch kind {
        case .list, .open, .create, .remove, .rename, .syncDirectory, .lock: true
        case .read, .write, .reserve, .size, .sync: false
        }
    }

    private static func needsWriting(_ kind: DiskError.Operation) -> Bool {
        switch kind {
        case .open, .create, .remove, .rename, .write, .reserve, .lock: true
        case .list, .read, .size, .sync, .syncDirectory: false
        }
    }

    private static func strikes(_ fault: SimulatedVolume.Fault, _ kind: DiskError.Operation) -> Bool {
        switch fault {
        case .readFails, .readFlipsBit: kind == .read
        case .writeFails, .writeTorn, .writeRunsFull: kind == .write
        case .syncFails: kind == .sync || kind == .syncDirectory
        case .reserveFails, .reserveRunsFull: kind == .reserve
        case .directoryFails: takesName(kind) && kind != .syncDirectory
        }
    }

    private mutating func strikingFault(_ kind: DiskError.Operation) -> SimulatedVolume.Fault? {
        var found: SimulatedVolume.Fault?
        for index in scheduled.indices.reversed() where Self.strikes(scheduled[index].fault, kind) {
            if scheduled[index].left > 1 {
                scheduled[index].left -= 1
            } else if found == nil {
                found = scheduled.remove(at: index).fault
            }
        }
        if let found { return found }
        for fault in SimulatedVolume.Fault.allCases where Self.strikes(fault, kind) {
            guard let probability = probabilities[fault], probability > 0 else { continue }
            if Double.random(in: 0..<1, using: &generator) < probability { return fault }
        }
        return nil
    }

    // MARK: - Names

    func find(_ name: String, _ kind: DiskError.Operation) throws(DiskError) -> Int {
        guard let id = names[name] else { throw DiskError(kind, name, ENOENT) }
        return id
    }

    mutating func create(_ name: String, _ incident: Incident?) throws(DiskError) -> Int {
        guard names[name] == nil else { throw DiskError(.create, name, EEXIST) }
        try changeNames(.create, name, incident) { disk in
            disk.inodes.append(Inode())
            disk.names[name] = disk.inodes.count - 1
            disk.unsyncedNames.append(.make(name, disk.inodes.count - 1))
        }
        inodes[inodes.count - 1].openFiles = 1
        return inodes.count - 1
    }

    mutating func remove(_ name: String, _ incident: Incident?) throws(DiskError) {
        _ = try find(name, .remove)
        try changeNames(.remove, name, incident) { disk in
            disk.names[name] = nil
            disk.unsyncedNames.append(.remove(name))
        }
    }

    mutating func rename(_ name: String, to newName: String, _ incident: Incident?) throws(DiskError) {
        let id = try find(name, .rename)
        guard name != newName else { return }
        try changeNames(.rename, name, incident) { disk in
            disk.names[name] = nil
            disk.names[newName] = id
            disk.unsyncedNames.append(.rename(name, to: newName, id))
        }
    }

    /// Does the change, or, when all ends within it, does it or not.
    private mutating func changeNames(
        _ kind: DiskError.Operation, _ name: String, _ incident: Incident?,
        _ change: (inout SimulatedDisk) -> Void
    ) throws(DiskError) {
        if incident == .stop {
            if Bool.random(using: &generator) { change(&self) }
            throw DiskError(kind, name, EIO)
        }
        lastWrite = nil
        change(&self)
        dropUnreachable()
    }

    mutating func makeNamesDurable() {
        lastWrite = nil
        durableNames = names
        unsyncedNames = []
        dropUnreachable()
    }

    mutating func opened(_ id: Int) -> Int {
        inodes[id].openFiles += 1
        return id
    }

    mutating func close(_ id: Int) {
        inodes[id].openFiles -= 1
        dropUnreachable()
    }

    /// Forgets the content of files that have no name, are not open, and cannot come back by a power cut.
    private mutating func dropUnreachable() {
        var reachable = Set(names.values).union(durableNames.values)
        for case .make(_, let id) in unsyncedNames { reachable.insert(id) }
        for case .rename(_, _, let id) in unsyncedNames { reachable.insert(id) }
        for id in inodes.indices where inodes[id].openFiles == 0 && !reachable.contains(id) {
            inodes[id] = Inode()
        }
    }

    // MARK: - Content

    mutating func write(
        _ bytes: [UInt8], at offset: Int, to id: Int, _ name: String, _ incident: Incident?
    ) throws(DiskError) {
        guard !bytes.isEmpty else { return }
        if incident == .fault(.writeTorn) {
            for piece in torn(bytes, at: offset) { store(piece.bytes, at: piece.offset, in: id) }
            throw DiskError(.write, name, EIO)
        }
        var count = bytes.count
        var code: CInt?
        if incident == .stop { code = EIO }
        if incident == .fault(.writeRunsFull) {
            count = Int.random(in: 0..<count, using: &generator)
            code = ENOSPC
        }
        let room = freeBytes()
        if let room, offset + count - inodes[id].content.count > room {
            count = max(0, inodes[id].content.count + room - offset)
            code = ENOSPC
        }
        if count > 0 { store(Array(bytes.prefix(count)), at: offset, in: id) }
        if let code { throw DiskError(.write, name, code) }
    }

    private mutating func store(_ bytes: [UInt8], at offset: Int, in id: Int) {
        let sizeBefore = inodes[id].content.count
        let covered = min(offset, sizeBefore)..<min(offset + bytes.count, sizeBefore)
        lastWrite = LastWrite(
            inode: id, offset: offset, bytes: bytes, sizeBefore: sizeBefore,
            bytesBefore: Array(inodes[id].content[covered]))
        Self.apply(.bytes(offset: offset, bytes), to: &inodes[id].content)
        inodes[id].unsynced.append(.bytes(offset: offset, bytes))
    }

    mutating func reserve(
        _ bytes: Int, of id: Int, _ name: String, _ incident: Incident?
    ) throws(DiskError) {
        lastWrite = nil
        let growth = bytes - inodes[id].content.count
        if growth > 0 {
            if let room = freeBytes(), growth > room { throw DiskError(.reserve, name, ENOSPC) }
            if incident == nil || Bool.random(using: &generator) {
                Self.apply(.size(bytes), to: &inodes[id].content)
                inodes[id].unsynced.append(.size(bytes))
            }
        }
        if incident != nil { throw DiskError(.reserve, name, EIO) }
    }

    mutating func sync(_ id: Int, _ name: String, _ incident: Incident?) throws(DiskError) {
        if incident == .stop { throw DiskError(.sync, name, EIO) }
        lastWrite = nil
        if incident == .fault(.syncFails) {
            // What the disk got stays; the rest is only in memory from now on, and no longer on its way.
            inodes[id].durable = survivors(of: inodes[id], .random)
            inodes[id].unsynced = []
            throw DiskError(.sync, name, EIO)
        }
        if ignoresSync { return }
        for change in inodes[id].unsynced { Self.apply(change, to: &inodes[id].durable) }
        inodes[id].unsynced = []
    }

    /// Makes `bytes` the content, durably.
    mutating func replaceContent(of id: Int, with bytes: [UInt8]) {
        lastWrite = nil
        inodes[id].content = bytes
        inodes[id].durable = bytes
        inodes[id].unsynced = []
    }

    mutating func place(_ name: String, _ bytes: [UInt8]) {
        note("place \(name), \(bytes.count) bytes")
        var id = names[name] ?? inodes.count
        if id == inodes.count || durableNames[name] != id {
            id = inodes.count
            inodes.append(Inode())
            names[name] = id
            durableNames[name] = id
        }
        replaceContent(of: id, with: bytes)
    }

    mutating func flipBits(_ count: Int, in name: String?, range: Range<Int>?) -> [SimulatedVolume.Flip] {
        var flips: [SimulatedVolume.Flip] = []
        let candidates = names.filter { entry in
            (name == nil || entry.key == name) && !inodes[entry.value].content.isEmpty
        }.sorted { $0.key < $1.key }
        for _ in 0..<count {
            guard let (name, id) = candidates.randomElement(using: &generator) else { break }
            let places = (0..<inodes[id].content.count).clamped(to: range ?? 0..<Int.max)
            guard let place = places.randomElement(using: &generator) else { break }
            let bit = Int.random(in: 0..<8, using: &generator)
            inodes[id].content[place] ^= 1 << UInt8(bit)
            if place < inodes[id].durable.count { inodes[id].durable[place] ^= 1 << UInt8(bit) }
            note("flip bit \(bit) of byte \(place) of \(name)")
            flips.append(SimulatedVolume.Flip(name: name, offset: place, bit: bit))
        }
        return flips
    }

    /// Bytes that files may still grow by; nil: without limit.
    private func freeBytes() -> Int? {
        guard let capacityBytes else { return nil }
        let named = Set(names.values)
        let used = inodes.indices.reduce(0) { sum, id in
            inodes[id].openFiles > 0 || named.contains(id) ? sum + inodes[id].content.count : sum
        }
        return max(0, capacityBytes - used)
    }

    private static func apply(_ change: Change, to content: inout [UInt8]) {
        switch change {
        case .size(let size): extend(&content, to: size)
        case .bytes(let offset, let bytes):
            extend(&content, to: offset + bytes.count)
            content.replaceSubrange(offset..<offset + bytes.count, with: bytes)
        }
    }

    private static func extend(_ content: inout [UInt8], to size: Int) {
        if content.count < size {
            content.append(contentsOf: [UInt8](repeating: 0, count: size - content.count))
        }
    }

    // MARK: - The end

    mutating func cutPower(_ survival: SimulatedVolume.Survival) -> SimulatedDisk {
        var next = restarted("power cut")
        next.names = durableNames
        for change in unsyncedNames where survives(survival) {
            switch change {
            case .make(let name, let id): next.names[name] = id
            case .remove(let name): next.names[name] = nil
            case .rename(let name, let newName, let id):
                if next.names[name] == id { next.names[name] = nil }
                next.names[newName] = id
            }
        }
        for id in inodes.indices {
            next.replaceContent(of: id, with: survivors(of: inodes[id], survival))
        }
        next.makeNamesDurable()
        return next
    }

    mutating func kill(cutLastWrite: Bool) -> SimulatedDisk {
        var next = restarted("kill")
        guard cutLastWrite, let last = next.lastWrite else { return next }
        let id = last.inode
        let kept = Int.random(in: 0..<last.bytes.count, using: &next.generator)
        next.note("the last write, at \(last.offset), ends after \(kept) bytes")
        next.inodes[id].content.removeLast(next.inodes[id].content.count - last.sizeBefore)
        let place = min(last.offset, last.sizeBefore)
        next.inodes[id].content.replaceSubrange(
            place..<place + last.bytesBefore.count, with: last.bytesBefore)
        next.inodes[id].unsynced.removeLast()
        if kept > 0 { next.store(Array(last.bytes.prefix(kept)), at: last.offset, in: id) }
        return next
    }

    /// This disk with nothing open and all faults off; the one that was is at its end.
    private mutating func restarted(_ reason: String) -> SimulatedDisk {
        note("--- \(reason)")
        var next = SimulatedDisk(seed: generator.next(), capacityBytes: capacityBytes)
        next.inodes = inodes
        for id in next.inodes.indices { next.inodes[id].openFiles = 0 }
        next.names = names
        next.durableNames = durableNames
        next.unsyncedNames = unsyncedNames
        next.lastWrite = lastWrite
        next.operationCount = operationCount
        next.log = log
        next.dropUnreachable()
        isStopped = true
        return next
    }

    private mutating func survives(_ survival: SimulatedVolume.Survival) -> Bool {
        switch survival {
        case .nothing: false
        case .everything: true
        case .random: Bool.random(using: &generator)
        }
    }

    /// What is on disk of a file after power is gone.
    private mutating func survivors(
        of inode: Inode, _ survival: SimulatedVolume.Survival
    ) -> [UInt8] {
        var content = inode.durable
        switch survival {
        case .nothing: break
        case .everything: for change in inode.unsynced { Self.apply(change, to: &content) }
        case .random:
            for change in inode.unsynced.shuffled(using: &generator) {
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: break
                case 1: Self.apply(change, to: &content)
                default:
                    guard case .bytes(let offset, let bytes) = change else { break }
                    for piece in torn(bytes, at: offset) {
                        Self.apply(.bytes(offset: piece.offset, piece.bytes), to: &content)
                    }
                }
            }
        }
        return content
    }

    /// Some of the sectors of a write, with at least one missing: its beginning, its end, or any of them.
    private mutating func torn(_ bytes: [UInt8], at offset: Int) -> [(offset: Int, bytes: [UInt8])] {
        var sectors: [Range<Int>] = []
        var start = offset
        while start < offset + bytes.count {
            let end = min((start / Self.sectorBytes + 1) * Self.sectorBytes, offset + bytes.count)
            sectors.append(start..<end)
            start = end
        }
        let cut = Int.random(in: 0..<sectors.count, using: &generator)
        let kept: [Range<Int>]
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: kept = Array(sectors[..<cut])
        case 1: kept = Array(sectors[(cut + 1)...])
        default:
            sectors.remove(at: cut)
            kept = sectors.filter { _ in Bool.random(using: &generator) }
        }
        return kept.map { ($0.lowerBound, Array(bytes[$0.lowerBound - offset..<$0.upperBound - offset])) }
    }
}
