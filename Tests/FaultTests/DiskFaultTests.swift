import EdgePrimitives
import Glibc
import NIOCore
import Testing

@testable import EdgeStore

/// How many rounds, and from which seed on.
enum FaultRounds {
    static let count = number("ROCKPOOL_FAULT_ROUNDS") ?? 40
    static let firstSeed = number("ROCKPOOL_FAULT_SEED") ?? 1

    /// The seeds of a test that takes its share of the rounds, at least one.
    static func seeds(_ share: Int, of whole: Int) -> Range<UInt64> {
        UInt64(firstSeed)..<UInt64(firstSeed + max(1, count * share / whole))
    }

    private static func number(_ name: String) -> Int? {
        getenv(name).flatMap { Int(String(cString: $0)) }
    }

    /// Runs `round` for each seed; it returns what was wrong.
    static func run(_ seeds: Range<UInt64>, _ round: (UInt64) throws -> String?) rethrows {
        for seed in seeds {
            if let problem = try round(seed) { Issue.record("\(problem)") }
        }
    }
}

/// A workload of random steps, a fault, a restart, and a look at everything.
@Suite struct DiskFaultTests {
    private static let small = DiskWorkload.Shape(mostBytes: 2_200_000)

    private static func wrapping(_ seed: UInt64) -> DiskWorkload.Shape {
        DiskWorkload.Shape(
            budgetBytes: seed % 3 == 0 ? 6 << 20 : 4 << 20, backlogBytes: seed % 4 == 1 ? 0 : 64 << 20,
            keys: seed % 2 == 0 ? 24 : 96)
    }

    // MARK: The process ends

    @Test func killedBelowTheBudgetEverythingIsFound() throws {
        try FaultRounds.run(FaultRounds.seeds(8, of: 40)) { seed in
            let work = try DiskWorkload(seed: seed, Self.small)
            for life in 0..<3 {
                for _ in 0..<40 where !work.isFullOfSteps { work.step() }
                work.lookAtAll(isComplete: true)
                try work.restart { $0.kill(cutLastWrite: life == 1) }
                // A last write that was cut short is that of the last batch: its flush counts for nothing
                // then.
                let floor = work.watch.stepBeforeLastWrite
                work.check(life == 1 ? .step(floor) : .now, isComplete: true, isDurable: false)
            }
            work.end()
            return work.report()
        }
    }

    @Test func killedAnywhereOnlyTheNewestIsFound() throws {
        try FaultRounds.run(FaultRounds.seeds(10, of: 40)) { seed in
            let work = try DiskWorkload(seed: seed, Self.wrapping(seed))
            for _ in 0..<3 {
                let end = work.random(40..<260)
                for _ in 0..<end { work.step() }
                if work.random(0..<2) == 0 { work.stop(atOperation: work.random(1..<40)) }
                for _ in 0..<12 { work.step() }
                let floor = work.watch.flushedStep
                try work.restart { $0.kill() }
                work.check(.step(floor), isComplete: false, isDurable: false)
            }
            work.end()
            return work.report()
        }
    }

    // MARK: Power is gone

    @Test func afterAPowerCutNothingWrongIsFound() throws {
        try FaultRounds.run(FaultRounds.seeds(10, of: 40)) { seed in
            let work = try DiskWorkload(seed: seed, Self.wrapping(seed))
            try Self.cutPower(work, isComplete: false, steps: 40..<220)
            work.end()
            return work.report()
        }
    }

    @Test func afterAPowerCutSealedSegmentsAreWhole() throws {
        try FaultRounds.run(FaultRounds.seeds(8, of: 40)) { seed in
            let work = try DiskWorkload(seed: seed, Self.small)
            try Self.cutPower(work, isComplete: true, steps: 20..<50)
            work.end()
            return work.report()
        }
    }

    /// Three times power is cut after, or in the middle of, random steps.
    static func cutPower(_ work: DiskWorkload, isComplete: Bool, steps: Range<Int>) throws {
        for _ in 0..<3 {
            let end = work.random(steps)
            for _ in 0..<end where !work.isFullOfSteps { work.step() }
            if work.random(0..<2) == 0 { work.stop(atOperation: work.random(1..<40)) }
            for _ in 0..<8 { work.step() }
            let floor = work.watch.durableStep
            try work.restart { volume in
                volume.powerCut()
            }
            work.check(.step(floor), isComplete: isComplete, isDurable: true)
        }
    }

    // MARK: Rot and meddling

    @Test func whatIsDamagedIsNotFound() throws {
        try FaultRounds.run(FaultRounds.seeds(8, of: 40)) { seed in
            let work = try DiskWorkload(seed: seed, Self.wrapping(seed))
            let end = work.random(20..<160)
            for _ in 0..<end { work.step() }
            let isRunning = work.random(0..<3) == 0
            if isRunning {
                work.isDoubting = true
                Self.damage(work.volume, work)
                work.lookAtAll()
                work.isDoubting = false
            }
            try work.restart(measures: false) { volume in
                let next = volume.kill()
                if !isRunning { Self.damage(next, work) }
                return next
            }
            work.check(.any, isComplete: false, isDurable: true)
            try Self.takesNewOnes(work)
            work.end()
            return work.report()
        }
    }

    private static func damage(_ volume: SimulatedVolume, _ work: DiskWorkload) {
        let names = volume.names
        let name = names[work.random(0..<names.count)]
        let size = volume.content(of: name)?.count ?? 0
        switch work.random(0..<7) {
        case 0: volume.flipBits(count: work.random(1..<400))
        case 1: volume.flipBits(count: 3, in: name, range: 0..<128)
        case 2: volume.flipBits(count: 20, in: name, range: 4096..<8192)
        case 3: volume.truncate(name, to: work.random(0..<size + 1))
        case 4: volume.placeGarbage(name, count: size)
        case 5:
            for other in ["notes.txt", "00000000.segment", "0000zzzz.journal", "ffffffff.segment"] {
                volume.placeGarbage(other, count: work.random(0..<9_000))
            }
            volume.placeGarbage("ffffffff.journal", count: 500)
        default:
            // One segment in the place of another.
            let other = names[work.random(0..<names.count)]
            if let content = volume.content(of: other) { volume.place(name, content) }
        }
    }

    /// New responses are stored, and found after one more restart.
    private static func takesNewOnes(_ work: DiskWorkload) throws {
        work.flush()
        let slots = (1_000..<1_008).map { Slot(key: $0, language: 0) }
        for slot in slots {
            work.insert(slot, length: 3_000)
            // Once the log was full only what is asked for twice is taken.
            work.insert(slot, length: 3_001)
            work.flush()
        }
        try work.restart { $0.kill() }
        work.checkPresence(slots)
    }

    @Test func readsThatFailAreMissesUntilTheyPass() throws {
        try FaultRounds.run(FaultRounds.seeds(6, of: 40)) { seed in
            let work = try DiskWorkload(seed: seed, Self.wrapping(seed))
            let end = work.random(20..<120)
            for _ in 0..<end { work.step() }
            work.volume.setProbability(0.2, of: seed % 2 == 0 ? .readFails : .readFlipsBit)
            work.isDoubting = true
            for _ in 0..<60 { work.step() }
            work.volume.clearFaults()
            work.isDoubting = false
            work.lookAtAll()
            let floor = work.watch.flushedStep
            try work.restart { $0.kill() }
            work.check(.step(floor), isComplete: false, isDurable: false)
            try Self.takesNewOnes(work)
            work.end()
            return work.report()
        }
    }

    // MARK: Writing fails

    enum Trouble: CaseIterable, Sendable {
        case writeFails, writeTorn, writeRunsFull, syncFails, reserveFails, reserveRunsFull, directoryFails
        case diskFull, readOnly, directoryGone, directoryEmptied
    }

    @Test(arguments: Trouble.allCases) func aDiskThatFailsIsLeftAloneAndComesBack(_ trouble: Trouble)
        async throws
    {
        for seed in FaultRounds.seeds(1, of: 40) {
            if let problem = try await Self.endure(trouble, seed) { Issue.record("\(trouble): \(problem)") }
        }
    }

    private static func endure(_ trouble: Trouble, _ seed: UInt64) async throws -> String? {
        let work = try DiskWorkload(seed: seed, wrapping(seed))
        let end = work.random(60..<160)
        for _ in 0..<end { work.step() }
        work.isFailing = true
        begin(trouble, work)
        // Until it is seen, and then for a while.
        var rest = 400
        while rest > 0, work.tier.snapshot.health == .good {
            work.step()
            rest -= 1
        }
        if trouble != .directoryEmptied {
            #expect(work.tier.snapshot.health != .good, "seed \(seed): \(trouble) is not seen")
            #expect(work.tier.snapshot.errors > 0)
        }
        for _ in 0..<20 { work.step() }
        work.lookAtAll()
        stop(trouble, work)
        try await comeBack(work)
        work.isFailing = false
        work.flush()
        work.lookAtAll()
        if trouble != .directoryEmptied {
            // Nothing is left of segments that could not be made, or could not be removed.
            let files = work.volume.names.count { $0.hasSuffix(".segment") }
            #expect(files == work.tier.snapshot.segmentCount, "seed \(seed): \(trouble)")
        }
        // Its name is gone: what it takes is lost, but what comes after it is not.
        if trouble == .directoryEmptied { for _ in 0..<60 { work.step() } }
        let floor = work.watch.flushedStep
        try work.restart { $0.kill() }
        work.check(.step(floor), isComplete: false, isDurable: false)
        try takesNewOnes(work)
        work.end()
        return work.report()
    }

    /// Tries again, as the maintenance thread would, until the disk is in use again.
    private static func comeBack(_ work: DiskWorkload) async throws {
        // By attempts and not by the clock: other tests may hold this one up for long.
        for _ in 0..<500 {
            work.tier.retry()
            work.tier.flush()
            if work.tier.snapshot.health == .good { return }
            try await Task.sleep(for: .milliseconds(20))
        }
        Issue.record("seed \(work.seed): \(work.tier.snapshot.health) long after the fault")
    }

    private static func begin(_ trouble: Trouble, _ work: DiskWorkload) {
        let volume = work.volume
        let nth = work.random(1..<12)
        switch trouble {
        case .writeFails: volume.schedule(.writeFails, at: nth)
        case .writeTorn: volume.schedule(.writeTorn, at: nth)
        case .writeRunsFull: volume.schedule(.writeRunsFull, at: nth)
        case .syncFails: volume.schedule(.syncFails, at: nth)
        case .reserveFails: volume.schedule(.reserveFails, at: 1 + nth % 3)
        case .reserveRunsFull: volume.schedule(.reserveRunsFull, at: 1 + nth % 3)
        case .directoryFails: volume.schedule(.directoryFails, at: 1 + nth % 6)
        case .diskFull: volume.capacityBytes = 0
        case .readOnly: volume.isReadOnly = true
        case .directoryGone: volume.isDirectoryGone = true
        case .directoryEmptied: volume.emptyDirectory()
        }
    }

    private static func stop(_ trouble: Trouble, _ work: DiskWorkload) {
        work.volume.clearFaults()
        work.volume.capacityBytes = nil
        work.volume.isReadOnly = false
        work.volume.isDirectoryGone = false
    }

    /// A failure at each operation of a start: the start fails, or what it finds is right.
    @Test func aStartThatFailsHarmsNothing() throws {
        try FaultRounds.run(FaultRounds.seeds(2, of: 40)) { seed in
            let work = try DiskWorkload(seed: seed, Self.wrapping(seed))
            for _ in 0..<60 { work.step() }
            let faults: [SimulatedVolume.Fault] = [.directoryFails, .readFails, .syncFails, .writeFails]
            for fault in faults {
                let nth = work.random(1..<80)
                try work.restart { $0.kill() }
                // The tier of this volume is idle: a second start looks at the same files.
                work.volume.schedule(fault, at: nth)
                if let second = try? DiskTier(
                    volume: work.volume, budgetBytes: work.shape.budgetBytes, backlogBytes: 0)
                {
                    second.shutdown()
                }
                work.volume.clearFaults()
                try work.restart { $0.kill() }
                work.check(.any, isComplete: false, isDurable: true)
            }
            work.end()
            return work.report()
        }
    }
}
