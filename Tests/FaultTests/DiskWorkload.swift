import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import NIOCore
import Synchronization

@testable import EdgeStore

/// Watches every operation of a volume: that all files together keep to the budget, and what became durable.
final class VolumeWatch: Sendable {
    private struct State {
        var problem: String?
        var mustMeasure = false
        var stopsAt = Int.max
        var synced: Set<String> = []
        var flushedStep = 0
        var stepBeforeLastWrite = 0
        var durableStep = 0
        var largestBytes = 0
    }

    private let budgetBytes: Int64
    private let state = Mutex(State())

    init(budgetBytes: Int64) { self.budgetBytes = budgetBytes }

    /// Keeps an eye on `volume` until the next restart; all that is on it counts as seen.
    func attach(to volume: SimulatedVolume, measures: Bool = true) {
        state.withLock { state in
            state.stopsAt = .max
            // A journal that is there was synced when it was made.
            state.synced = Set(volume.names)
        }
        volume.beforeOperation = { [weak volume] operation in
            guard let volume else { return }
            self.note(operation, volume, measures)
        }
    }

    private func note(_ operation: SimulatedVolume.Operation, _ volume: SimulatedVolume, _ measures: Bool) {
        let mustMeasure = state.withLock { state in
            defer { state.mustMeasure = operation.kind == .reserve || operation.kind == .rename }
            if operation.kind == .write { state.stepBeforeLastWrite = state.flushedStep }
            if operation.kind == .sync, operation.name.hasSuffix(".journal") {
                // The first sync of a journal is that of its header: nothing is in it yet.
                if state.synced.contains(operation.name), operation.number < state.stopsAt {
                    state.durableStep = state.flushedStep
                }
                state.synced.insert(operation.name)
            }
            return state.mustMeasure
        }
        if mustMeasure, measures { measure(volume) }
    }

    /// Adds up the sizes of all files.
    func measure(_ volume: SimulatedVolume) {
        let bytes = volume.names.reduce(0) { $0 + (volume.content(of: $1)?.count ?? 0) }
        state.withLock { state in
            state.largestBytes = max(state.largestBytes, bytes)
            guard Int64(bytes) > budgetBytes, state.problem == nil else { return }
            state.problem = "\(bytes) bytes in files, above the budget of \(budgetBytes)"
        }
    }

    func noteFlushed(_ step: Int) { state.withLock { $0.flushedStep = step } }
    func noteStop(at number: Int) { state.withLock { $0.stopsAt = number } }
    func noteDurable(_ step: Int) {
        state.withLock {
            $0.flushedStep = step
            $0.durableStep = step
        }
    }

    var flushedStep: Int { state.withLock { $0.flushedStep } }
    /// The step that was flushed before the last write.
    var stepBeforeLastWrite: Int { state.withLock { $0.stepBeforeLastWrite } }
    var durableStep: Int { state.withLock { $0.durableStep } }
    var problem: String? { state.withLock { $0.problem } }
}

/// Uses a disk tier as a node would, decided by one seed, and compares what it finds with a model.
final class DiskWorkload {
    struct Shape {
        var budgetBytes: Int64 = 4 << 20
        var backlogBytes = 64 << 20
        var keys = 24
        var largestBody = 96 << 10
        /// Once this much was stored, nothing more is: so that the log never wraps.
        var mostBytes = Int.max
    }

    let seed: UInt64
    let shape: Shape
    let watch: VolumeWatch
    private(set) var volume: SimulatedVolume
    private(set) var tier: DiskTier
    private(set) var model = DiskModel()
    private(set) var problems: [String] = []
    private var generator: SeededGenerator
    private var storedBytes = 0
    /// What memory would hold: the newest responses, as they were inserted.
    private var held: [Slot: StoredResponse] = [:]
    private var scrubbing = ScrubPosition()
    /// While the disk fails nothing has to be found later, and steps are not done for good.
    var isFailing = false
    /// Bytes change under the tier.
    var isDoubting: Bool {
        get { model.isDoubting }
        set { model.isDoubting = newValue }
    }

    init(seed: UInt64, _ shape: Shape) throws {
        self.seed = seed
        self.shape = shape
        generator = SeededGenerator(seed: seed)
        volume = SimulatedVolume(seed: seed)
        watch = VolumeWatch(budgetBytes: shape.budgetBytes)
        watch.attach(to: volume)
        tier = try DiskTier(
            volume: volume, budgetBytes: shape.budgetBytes, backlogBytes: shape.backlogBytes)
    }

    /// Ends the threads; the volume may have ended before.
    func end() { tier.shutdown() }

    func random(_ range: Range<Int>) -> Int { Int.random(in: range, using: &generator) }

    var isFullOfSteps: Bool { storedBytes >= shape.mostBytes }

    func note(_ problem: String) { fail(problem) }

    private func fail(_ problem: String) {
        if problems.count < 8 { problems.append(problem) }
    }

    // MARK: Steps

    /// One step or a burst of them, then a flush.
    func step() {
        if random(0..<12) == 0 { burst() } else { act() }
        flush()
    }

    /// Steps that the writer finds all at once.
    private func burst() {
        let entered = WorkerGate()
        let release = WorkerGate()
        let body = ByteBuffer(repeating: 7, count: 64)
        let blocks = tier.blocks(Digest128(high: generator.next(), low: generator.next()))
        let isHeld = tier.write(body, at: 0, of: blocks, completeLength: 64) { _ in
            entered.open()
            release.wait()
        }
        if isHeld { entered.wait() }
        for _ in 0..<random(2..<8) { act(isBurst: true) }
        // Where the backlog is full, what memory lets go of now is never written.
        if shape.backlogBytes == 0, random(0..<2) == 0 { held = [:] }
        if isHeld { release.open() }
    }

    func flush() {
        tier.flush()
        if !isFailing, !volume.isStopped { watch.noteFlushed(model.step) }
    }

    private func act(isBurst: Bool = false) {
        let slot = randomSlot()
        switch random(0..<100) {
        case 0..<30: insert(slot, length: random(0..<DiskFormat.inlineBytes + 1))
        case 30..<42: insert(slot, length: random(DiskFormat.inlineBytes + 1..<shape.largestBody))
        case 42..<50: insertPart(slot)
        case 50..<62: refresh(slot)
        case 62..<67: removeKey(slot.key)
        case 67..<70: removeVariant(slot)
        case 70: if random(0..<8) == 0 { removeAll() }
        case 71..<75: if !isBurst { tier.scrub(bytes: Int64(random(1..<1 << 20)), from: &scrubbing) }
        default: if !isBurst { look(at: slot.key) }
        }
    }

    private func randomSlot() -> Slot {
        let key = random(0..<shape.keys)
        return Slot(key: key, language: key % 3 == 0 ? random(1..<4) : 0)
    }

    /// A new version of `slot`. Where it has a validator, its content may be one that was there before.
    private func makeVersion(_ slot: Slot, length: Int, isPartial: Bool) -> Version {
        let hasValidator = isPartial || random(0..<2) == 0
        let number = model.nextNumber
        let content = UInt64(number) << 20 | UInt64(slot.key) << 4 | UInt64(slot.language)
        var tags: [[UInt8]] = []
        for tag in 0..<random(0..<3) { tags.append(Array("tag-\(tag)-\(number)".utf8)) }
        return Version(
            number: number, slot: slot, content: content, length: length, hasValidator: hasValidator,
            isPartial: isPartial, metadata: randomMetadata(), tags: tags)
    }

    private func randomMetadata() -> StoredMetadata {
        let sources = FreshnessSource.allCases
        return StoredMetadata(
            status: [200, 203, 301, 404, 410][random(0..<5)],
            responseTime: WallTime(milliseconds: Int64(random(0..<1 << 40))),
            correctedInitialAgeMilliseconds: Int64(random(0..<1 << 30)),
            freshnessLifetimeMilliseconds: Int64(random(0..<1 << 30)),
            freshnessSource: sources[random(0..<sources.count)],
            flags: StoredMetadata.Flags(rawValue: UInt16(random(0..<1 << 10))),
            staleIfErrorMilliseconds: random(0..<2) == 0 ? nil : Int64(random(0..<1 << 20)),
            staleWhileRevalidateMilliseconds: random(0..<2) == 0 ? nil : Int64(random(0..<1 << 20)))
    }

    func insert(_ slot: Slot, length: Int) {
        guard !isFullOfSteps else { return }
        var version = makeVersion(slot, length: length, isPartial: false)
        if version.hasValidator, let old = model.current(slot), old.hasValidator, random(0..<3) == 0 {
            // The same representation again: blocks of an earlier pull are found.
            version.content = old.content
            version.length = old.length
        }
        let body = StoredBody.memory(DiskContent.buffer(version.content, version.length))
        store(version, version.response(body, bodyID: version.bodyID(tier)))
    }

    /// A part of a representation, by itself or with what is there of it.
    private func insertPart(_ slot: Slot) {
        guard !isFullOfSteps else { return }
        if let old = model.current(slot), old.isPartial, let response = newest(slot),
            case .sparse(let body) = response.body
        {
            var version = old
            version.number = model.nextNumber
            version.metadata = randomMetadata()
            store(version, version.response(.sparse(adding(to: body, of: version)), bodyID: nil))
            return
        }
        let length = random(DiskFormat.inlineBytes + 1..<shape.largestBody)
        let version = makeVersion(slot, length: length, isPartial: true)
        let blocks = tier.blocks(version.bodyID(tier))
        let body = SparseBody(completeLength: Int64(length), blocks: blocks)
        store(version, version.response(.sparse(adding(to: body, of: version)), bodyID: nil))
    }

    private func adding(to body: SparseBody, of version: Version) -> SparseBody {
        let start = random(0..<version.length)
        let end = random(start + 1..<version.length + 1)
        let bytes = DiskContent.bytes(version.content, version.length)[start..<end]
        return body.adding(ByteBuffer(bytes: bytes), at: Int64(start))
    }

    private func refresh(_ slot: Slot) {
        guard !isFullOfSteps, var version = model.current(slot), let old = newest(slot) else { return }
        // What has lost bytes stays without them.
        version.isPartial = version.isPartial || model.incomplete.contains(version.number)
        version.number = model.nextNumber
        version.metadata = randomMetadata()
        let new = old.freshened(
            metadata: version.metadata, fields: version.fields, head: version.head,
            secondaryKey: old.secondaryKey, pulledAt: .zero)
        store(version, new, isRefresh: true)
    }

    /// The newest response as memory has it, or else the disk.
    private func newest(_ slot: Slot) -> StoredResponse? {
        if let response = held[slot], random(0..<3) > 0 { return response }
        guard let current = model.current(slot) else { return nil }
        return tier.loadNow(slot.digest).map(\.response).first {
            DiskContent.number($0) == current.number
        }
    }

    private func store(_ version: Version, _ response: StoredResponse, isRefresh: Bool = false) {
        storedBytes += response.body.heldBytes + 1024
        model.store(version, isOptional: isFailing || shape.backlogBytes == 0)
        held[version.slot] = response
        tier.insert(response, isRefresh: isRefresh)
    }

    func removeKey(_ key: Int) {
        model.remove(key: key)
        for slot in held.keys where slot.key == key { held[slot] = nil }
        tier.remove(DiskContent.key(key))
    }

    private func removeVariant(_ slot: Slot) {
        guard let response = newest(slot) else { return }
        model.remove(slot)
        held[slot] = nil
        tier.remove(response)
    }

    private func removeAll() {
        model.removeAll()
        held = [:]
        tier.removeAll()
    }

    // MARK: Looking

    private func look(at key: Int) {
        var found: [Slot: Int] = [:]
        let problems = model.check(
            { $0 == DiskContent.key(key) ? self.tier.loadNow($0).map(\.response) : [] }, .now,
            isComplete: false, found: &found)
        for problem in problems { fail("running: \(problem)") }
    }

    /// Looks at everything that is there while the tier runs.
    func lookAtAll(isComplete: Bool = false) {
        var found: [Slot: Int] = [:]
        for problem in model.check(
            { self.tier.loadNow($0).map(\.response) }, .now, isComplete: isComplete, found: &found)
        {
            fail("running: \(problem)")
        }
    }

    /// Looks at everything after a restart.
    func check(_ floor: DiskModel.Floor, isComplete: Bool, isDurable: Bool) {
        var found: [Slot: Int] = [:]
        for problem in model.check(
            { self.tier.loadNow($0).map(\.response) }, floor, isComplete: isComplete, found: &found)
        {
            fail("restarted: \(problem)")
        }
        model.settle(found, isDurable: isDurable)
        if isDurable { watch.noteDurable(model.step) } else { watch.noteFlushed(model.step) }
    }

    // MARK: Ends and beginnings

    /// Goes on with what is left of the volume; `next` makes it.
    func restart(
        budgetBytes: Int64? = nil, measures: Bool = true, _ next: (SimulatedVolume) -> SimulatedVolume
    ) throws {
        let old = tier
        let successor = next(volume)
        old.shutdown()
        held = [:]
        volume = successor
        scrubbing = ScrubPosition()
        isFailing = false
        watch.attach(to: successor, measures: measures)
        tier = try DiskTier(
            volume: successor, budgetBytes: budgetBytes ?? shape.budgetBytes,
            backlogBytes: shape.backlogBytes)
    }

    /// Ends everything within the `number`-th operation from now.
    func stop(atOperation number: Int) {
        watch.noteStop(at: volume.operationCount + number)
        volume.stop(atOperation: number)
    }

    /// Everything that was found to be wrong, with what is needed to see it again.
    func report() -> String? {
        if let problem = watch.problem { fail(problem) }
        guard !problems.isEmpty else { return nil }
        return "seed \(seed): " + problems.joined(separator: "\n    ")
    }
}

extension DiskWorkload {
    /// The newest version of each of `slots` has to be there.
    func checkPresence(_ slots: [Slot]) {
        for slot in slots {
            let found = tier.loadNow(slot.digest).first.flatMap { DiskContent.number($0.response) }
            if found != model.current(slot)?.number {
                note("\(slot): \(found.map(String.init) ?? "nothing") after the fault was over")
            }
        }
    }
}
