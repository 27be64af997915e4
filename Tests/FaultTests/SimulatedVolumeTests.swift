import EdgeStore
import Glibc
import Synchronization
import Testing

/// What the simulated volume does beyond the contract, which the tests of the disk tier count on.
@Suite struct SimulatedVolumeTests {
    private static let seeds: Range<UInt64> = 0..<60

    private static func error(_ body: () throws -> Void) -> CInt? {
        do {
            try body()
            return nil
        } catch {
            return (error as? DiskError)?.code
        }
    }

    /// A volume with the file `a`, its name durable and 4096 zero bytes long.
    private static func prepared(_ seed: UInt64) throws -> (SimulatedVolume, any DiskFile) {
        let volume = SimulatedVolume(seed: seed)
        let file = try volume.open("a", create: true)
        try file.write([UInt8](0, 4_096), at: 0)
        try file.sync()
        try volume.syncDirectory()
        return (volume, file)
    }

    @Test func `a power cut loses what was not synced, or not, or a part`() throws {
        var outcomes: Set<Int> = []
        for seed in Self.seeds {
            let (volume, file) = try Self.prepared(seed)
            try file.write([UInt8](1, 2_048), at: 1_024)
            let content = try #require(volume.powerCut().content(of: "a"))
            #expect(content.count == 4_096)
            for sector in 0..<8 {
                #expect(Set(content[sector * 512..<sector * 512 + 512]).count == 1, "torn within a sector")
            }
            #expect(content[..<1_024].allSatisfy { $0 == 0 } && content[3_072...].allSatisfy { $0 == 0 })
            outcomes.insert(content.count { $0 == 1 } / 512)
        }
        #expect(outcomes == [0, 1, 2, 3, 4])
    }

    @Test func `a power cut keeps what was synced, also the second time`() throws {
        for seed in Self.seeds {
            let (volume, file) = try Self.prepared(seed)
            try file.write([UInt8](1, 2_000), at: 3_000)
            try file.sync()
            let expected = [UInt8](0, 3_000) + [UInt8](1, 2_000)
            let next = volume.powerCut()
            #expect(next.content(of: "a") == expected)
            #expect(try next.open("a", create: false).read(9_000, at: 0) == expected)
            #expect(next.powerCut(.nothing).content(of: "a") == expected)
        }
    }

    @Test func `writes that were not synced reach the disk in any order`() throws {
        var outcomes: Set<[UInt8]> = []
        for seed in Self.seeds {
            let (volume, file) = try Self.prepared(seed)
            // Both in one sector, so that each is there whole or not at all.
            try file.write([UInt8](1, 100), at: 0)
            try file.write([UInt8](2, 100), at: 50)
            #expect(try file.read(1, at: 50) == [2])
            let content = try #require(volume.powerCut().content(of: "a"))
            outcomes.insert([content[0], content[50], content[149]])
        }
        #expect(outcomes == [[0, 0, 0], [1, 1, 0], [0, 2, 2], [1, 2, 2], [1, 1, 2]])
    }

    @Test func `a power cut can be told what to do`() throws {
        for seed in 0..<5 as Range<UInt64> {
            let (volume, file) = try Self.prepared(seed)
            try file.write([1], at: 0)
            try file.reserve(5_000)
            _ = try volume.open("b", create: true)
            let nothing = volume.powerCut(.nothing)
            #expect(nothing.names == ["a"])
            #expect(nothing.content(of: "a") == [UInt8](0, 4_096))
            let again = try nothing.open("a", create: false)
            try again.write([1], at: 0)
            try again.reserve(5_000)
            try nothing.rename("a", to: "b")
            #expect(nothing.powerCut(.everything).content(of: "b") == [1] + [UInt8](0, 4_999))
        }
    }

    @Test func `names are durable by syncDirectory alone`() throws {
        var outcomes: Set<[String]> = []
        for seed in Self.seeds {
            let volume = SimulatedVolume(seed: seed)
            for name in ["kept", "removed", "renamed"] {
                let file = try volume.open(name, create: true)
                try file.write(Array(name.utf8), at: 0)
                try file.sync()
            }
            try volume.syncDirectory()
            try volume.open("new", create: true).sync()
            try volume.remove("removed")
            try volume.rename("renamed", to: "other")
            let cut = volume.powerCut()
            #expect(cut.names.contains("kept"))
            #expect(cut.names.contains("renamed") != cut.names.contains("other"))
            #expect(
                cut.content(of: cut.names.contains("other") ? "other" : "renamed") == Array("renamed".utf8))
            if cut.names.contains("removed") { #expect(cut.content(of: "removed") == Array("removed".utf8)) }
            outcomes.insert(cut.names)
        }
        #expect(outcomes.count == 8)
    }

    @Test func `names stay after syncDirectory`() throws {
        for seed in Self.seeds {
            let volume = SimulatedVolume(seed: seed)
            _ = try volume.open("a", create: true)
            _ = try volume.open("b", create: true)
            try volume.rename("a", to: "c")
            try volume.remove("b")
            try volume.syncDirectory()
            #expect(volume.powerCut().names == ["c"])
        }
    }

    @Test func `a rename before its data is synced shows`() throws {
        var lost = false
        for seed in Self.seeds {
            let (volume, _) = try Self.prepared(seed)
            try volume.open("a.new", create: true).write([UInt8](1, 512), at: 0)
            try volume.rename("a.new", to: "a")
            try volume.syncDirectory()
            let content = try #require(volume.powerCut().content(of: "a"))
            if content.isEmpty { lost = true } else { #expect(content == [UInt8](1, 512)) }
        }
        #expect(lost)
    }

    @Test func `a kill keeps what was written and makes nothing durable`() throws {
        let (volume, file) = try Self.prepared(1)
        try file.write([1, 2, 3], at: 0)
        _ = try volume.open("b", create: true)
        let next = volume.kill()
        #expect(next.names == ["a", "b"])
        #expect(next.content(of: "a")?.prefix(4) == [1, 2, 3, 0])
        #expect(Self.error { _ = try file.read(1, at: 0) } == EIO)
        #expect(Self.error { _ = try volume.list() } == EIO)
        let cut = next.powerCut(.nothing)
        #expect(cut.names == ["a"])
        #expect(cut.content(of: "a") == [UInt8](0, 4_096))
    }

    @Test func `a kill can cut the last write at any byte`() throws {
        var lengths: Set<Int> = []
        for seed in Self.seeds {
            let (volume, file) = try Self.prepared(seed)
            try file.write([UInt8](1, 50), at: 0)
            try file.write([UInt8](2, 20), at: 4_090)
            _ = try file.read(5, at: 0)
            let next = volume.kill(cutLastWrite: true)
            let content = try #require(next.content(of: "a"))
            let length = content.count { $0 == 2 }
            #expect(
                content == [UInt8](1, 50) + [UInt8](0, 4_040) + [UInt8](2, length)
                    + [UInt8](0, max(0, 6 - length)))
            #expect(next.powerCut(.everything).content(of: "a") == content)
            lengths.insert(length)
        }
        #expect(lengths.count > 10 && lengths.max() ?? 20 < 20)

        let (volume, file) = try Self.prepared(1)
        try file.write([UInt8](1, 50), at: 0)
        try file.sync()
        #expect(volume.kill(cutLastWrite: true).content(of: "a")?.prefix(50) == [UInt8](1, 50)[...])
    }

    @Test func `all ends within a chosen operation`() throws {
        var names: Set<[String]> = []
        for seed in Self.seeds {
            let (volume, file) = try Self.prepared(seed)
            volume.stop(atOperation: 3)
            try file.write([1], at: 0)
            #expect(try file.read(1, at: 0) == [1])
            #expect(Self.error { try volume.rename("a", to: "b") } == EIO)
            #expect(volume.isStopped)
            #expect(Self.error { try file.write([2], at: 0) } == EIO)
            let next = volume.kill()
            #expect(next.content(of: next.names[0])?.first == 1)
            names.insert(next.names)
        }
        #expect(names == [["a"], ["b"]])

        let (volume, file) = try Self.prepared(1)
        volume.stop(atOperation: 1)
        #expect(Self.error { try file.write([UInt8](1, 4_096), at: 0) } == EIO)
        let kept = volume.kill(cutLastWrite: true).content(of: "a")?.count { $0 == 1 } ?? 4_096
        #expect(kept < 4_096)
    }

    @Test(arguments: [
        (SimulatedVolume.Fault.readFails, EIO), (.writeFails, EIO), (.writeTorn, EIO),
        (.writeRunsFull, ENOSPC), (.syncFails, EIO), (.reserveFails, EIO), (.reserveRunsFull, ENOSPC),
        (.directoryFails, EIO),
    ])
    func `a scheduled fault strikes once, in its turn`(fault: SimulatedVolume.Fault, code: CInt) throws {
        let (volume, file) = try Self.prepared(3)
        volume.schedule(fault, at: 2)
        let operation = {
            switch fault {
            case .readFails, .readFlipsBit: _ = try file.read(10, at: 0)
            case .writeFails, .writeTorn, .writeRunsFull: try file.write([UInt8](1, 2_048), at: 0)
            case .syncFails: try file.sync()
            case .reserveFails, .reserveRunsFull: try file.reserve(10_000)
            case .directoryFails: _ = try volume.list()
            }
        }
        #expect((0..<4).map { _ in Self.error(operation) } == [nil, code, nil, nil])
    }

    @Test func `a fault strikes as often as its probability says`() throws {
        let (volume, file) = try Self.prepared(1)
        volume.setProbability(0.25, of: .readFails)
        let struck = (0..<1_000).count { _ in Self.error { _ = try file.read(1, at: 0) } == EIO }
        #expect((180...320).contains(struck))
        volume.clearFaults()
        #expect((0..<100).allSatisfy { _ in Self.error { _ = try file.read(1, at: 0) } == nil })
    }

    @Test func `failed writes leave nothing, sectors, or a beginning`() throws {
        for seed in Self.seeds {
            for fault in [SimulatedVolume.Fault.writeFails, .writeTorn, .writeRunsFull] {
                let (volume, file) = try Self.prepared(seed)
                volume.schedule(fault)
                #expect(Self.error { try file.write([UInt8](1, 4_096), at: 0) } != nil)
                let content = try file.read(5_000, at: 0)
                let written = content.count { $0 == 1 }
                #expect(written < 4_096)
                switch fault {
                case .writeFails: #expect(written == 0)
                case .writeTorn: #expect(written % 512 == 0)
                default: #expect(content.prefix(written).allSatisfy { $0 == 1 })
                }
            }
        }
    }

    @Test func `after a failed sync the next one saves nothing`() throws {
        var survived: Set<Int> = []
        for seed in Self.seeds {
            let (volume, file) = try Self.prepared(seed)
            try file.write([UInt8](1, 512), at: 0)
            volume.schedule(.syncFails)
            #expect(Self.error { try file.sync() } == EIO)
            try file.sync()
            #expect(try file.read(512, at: 0) == [UInt8](1, 512))
            survived.insert(volume.powerCut().content(of: "a")?.count { $0 == 1 } ?? -1)
        }
        #expect(survived == [0, 512])
    }

    @Test func `a full disk takes what fits`() throws {
        let volume = SimulatedVolume(seed: 1, capacityBytes: 1_000)
        let file = try volume.open("a", create: true)
        try file.write([UInt8](1, 900), at: 0)
        #expect(Self.error { try file.write([UInt8](2, 200), at: 850) } == ENOSPC)
        #expect(try file.read(2_000, at: 0) == [UInt8](1, 850) + [UInt8](2, 150))
        try file.write([UInt8](3, 1_000), at: 0)
        let other = try volume.open("b", create: true)
        #expect(Self.error { try other.reserve(1) } == ENOSPC)
        try volume.remove("a")
        #expect(Self.error { try other.write([1], at: 0) } == ENOSPC, "a is open yet")
        withExtendedLifetime(file) {}
    }

    @Test func `space is free with the last holder of a removed file`() throws {
        let volume = SimulatedVolume(seed: 1, capacityBytes: 1_000)
        try volume.open("a", create: true).reserve(1_000)
        try volume.remove("a")
        try volume.open("b", create: true).reserve(1_000)
        volume.capacityBytes = 1_500
        #expect(volume.powerCut(.nothing).capacityBytes == 1_500)
    }

    @Test func `a read-only disk can be read`() throws {
        let (volume, file) = try Self.prepared(1)
        volume.isReadOnly = true
        #expect(Self.error { try file.write([1], at: 0) } == EROFS)
        #expect(Self.error { try file.reserve(9_000) } == EROFS)
        #expect(Self.error { _ = try volume.open("b", create: true) } == EROFS)
        #expect(Self.error { _ = try volume.open("a", create: false) } == EROFS)
        #expect(Self.error { try volume.remove("a") } == EROFS)
        #expect(Self.error { try volume.rename("a", to: "b") } == EROFS)
        #expect(try file.read(5_000, at: 0).count == 4_096)
        #expect(try volume.list() == ["a"])
        volume.isReadOnly = false
        try file.write([1], at: 0)
    }

    @Test func `a directory goes and comes back`() throws {
        let (volume, file) = try Self.prepared(1)
        volume.isDirectoryGone = true
        #expect(Self.error { _ = try volume.list() } == ENOENT)
        #expect(Self.error { _ = try volume.open("b", create: true) } == ENOENT)
        #expect(Self.error { _ = try volume.open("a", create: false) } == ENOENT)
        #expect(try file.read(5_000, at: 0).count == 4_096)
        try file.write([1], at: 0)
        volume.isDirectoryGone = false
        #expect(try volume.list() == ["a"])
        volume.emptyDirectory()
        #expect(try volume.list() == [])
        #expect(try file.read(1, at: 0) == [1])
        #expect(volume.powerCut().names == [])
    }

    @Test func `rot and meddling`() throws {
        let (volume, file) = try Self.prepared(1)
        let flips = volume.flipBits(count: 3, in: "a", range: 100..<200)
        #expect(flips.count == 3 && flips.allSatisfy { (100..<200).contains($0.offset) })
        let content = try file.read(4_096, at: 0)
        let flipped = Set(flips.map(\.offset))
        #expect(content.indices.filter { content[$0] != 0 }.allSatisfy(flipped.contains))
        #expect(volume.flipBits(count: 1, in: "none").isEmpty)
        #expect(volume.flipBits(count: 5).count == 5)

        volume.truncate("a", to: 10)
        #expect(try file.size() == 10)
        volume.place("foreign", [1, 2])
        volume.placeGarbage("garbage", count: 1_000)
        #expect(try volume.list().sorted() == ["a", "foreign", "garbage"])
        let next = volume.powerCut()
        #expect(next.content(of: "foreign") == [1, 2])
        #expect(next.content(of: "garbage")?.count == 1_000)
        #expect(next.content(of: "a")?.count == 10)
    }

    @Test func `a bit flipped on the way is right the next time`() throws {
        let (volume, file) = try Self.prepared(1)
        volume.schedule(.readFlipsBit)
        let bits = try file.read(4_096, at: 0).reduce(0) { $0 + $1.nonzeroBitCount }
        #expect(bits == 1)
        #expect(try file.read(4_096, at: 0) == [UInt8](0, 4_096))
    }

    @Test func `a lying disk loses what it said was safe`() throws {
        let (volume, file) = try Self.prepared(1)
        volume.ignoresSync = true
        try file.write([1], at: 0)
        try file.sync()
        _ = try volume.open("b", create: true)
        try volume.syncDirectory()
        let cut = volume.powerCut(.nothing)
        #expect(cut.names == ["a"])
        #expect(cut.content(of: "a")?.first == 0)
        #expect(!cut.ignoresSync)
    }

    @Test func `the same seed gives the same run`() throws {
        let run = { (seed: UInt64) throws -> (log: [String], content: [[UInt8]?]) in
            var volume = SimulatedVolume(seed: seed)
            for fault in SimulatedVolume.Fault.allCases { volume.setProbability(0.1, of: fault) }
            for round in 0..<5 {
                for name in ["a", "b", "c"] {
                    _ = try? volume.open(name, create: true).write([UInt8](1, 3_000), at: Int64(round) * 100)
                    _ = try? volume.open(name, create: false).sync()
                    _ = try? volume.rename(name, to: name + "\(round)")
                }
                volume.flipBits(count: 1)
                volume = round % 2 == 0 ? volume.powerCut() : volume.kill(cutLastWrite: true)
            }
            return (volume.log, volume.names.map { volume.content(of: $0) })
        }
        let first = try run(7)
        let second = try run(7)
        #expect(first.log == second.log)
        #expect(first.content == second.content)
        #expect(try run(8).log != first.log)
    }

    @Test func `the hook sees every operation and the log tells of it`() throws {
        let seen = Mutex<[String]>([])
        let volume = SimulatedVolume(seed: 99)
        volume.beforeOperation = { operation in seen.withLock { $0.append("\(operation)") } }
        let file = try volume.open("a", create: true)
        try file.write([1, 2], at: 5)
        #expect(Self.error { try volume.remove("b") } == ENOENT)
        #expect(seen.withLock { $0 } == ["#1 create a", "#2 write a 5+2", "#3 remove b"])
        #expect(
            volume.log == ["#1 create a", "#2 write a 5+2", "#3 remove b failed: No such file or directory"])
        #expect(volume.description.hasPrefix("simulated volume with seed 99 after 3 operations\n"))
        #expect(volume.kill().operationCount == 3)
    }

    @Test func `many threads at once`() async throws {
        let volume = SimulatedVolume(seed: 1)
        await withTaskGroup { group in
            for number in 0..<8 {
                group.addTask {
                    for round in 0..<50 {
                        let file = try? volume.open("\(number) \(round)", create: true)
                        try? file?.write([UInt8](UInt8(number), 600), at: 0)
                        try? file?.sync()
                        if round % 2 == 0 { try? volume.remove("\(number) \(round)") }
                    }
                }
            }
        }
        #expect(try volume.list().count == 200)
        #expect(volume.operationCount == 8 * 175 + 1)
        try volume.syncDirectory()
        let cut = volume.powerCut()
        #expect(cut.names.allSatisfy { cut.content(of: $0)?.count == 600 })
    }
}
