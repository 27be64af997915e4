import EdgePrimitives
import EdgeStore
import Foundation
import Synchronization
import Testing

private final class Progress: Sendable {
    let records = Atomic<Int>(0)
}

/// What every volume must do.
@Suite struct VolumeContractTests {
    enum Kind: CaseIterable {
        case real
        case simulated
    }

    private static func withVolume(_ kind: Kind, _ body: (any DiskVolume) async throws -> Void) async throws {
        switch kind {
        case .simulated: try await body(SimulatedVolume(seed: 1))
        case .real:
            let folder = try Folder()
            defer { folder.remove() }
            try await body(try POSIXVolume(directory: folder.path))
        }
    }

    @Test(arguments: Kind.allCases)
    func `a name is made once`(kind: Kind) async throws {
        try await Self.withVolume(kind) { volume in
            try volume.open("a", create: true).write([1, 2, 3], at: 0)
            #expect(throws: DiskError(.create, "a", EEXIST)) { try volume.open("a", create: true) }
            #expect(try volume.open("a", create: false).read(10, at: 0) == [1, 2, 3])
        }
    }

    @Test(arguments: Kind.allCases)
    func `a missing name is an error`(kind: Kind) async throws {
        try await Self.withVolume(kind) { volume throws in
            #expect(throws: DiskError(.open, "a", ENOENT)) { try volume.open("a", create: false) }
            #expect(throws: DiskError(.remove, "a", ENOENT)) { try volume.remove("a") }
            #expect(throws: DiskError(.rename, "a", ENOENT)) { try volume.rename("a", to: "b") }
            #expect(try volume.list() == [])
        }
    }

    @Test(arguments: Kind.allCases)
    func `reads are short only at the end`(kind: Kind) async throws {
        try await Self.withVolume(kind) { volume in
            let file = try volume.open("a", create: true)
            #expect(try file.size() == 0)
            #expect(try file.read(5, at: 0) == [])
            try file.write(Array(0..<100), at: 0)
            #expect(try file.size() == 100)
            #expect(try file.read(10, at: 20) == Array(20..<30))
            #expect(try file.read(10, at: 95) == Array(95..<100))
            #expect(try file.read(10, at: 100) == [])
            #expect(try file.read(10, at: 5_000) == [])
            #expect(try file.read(0, at: 3) == [])
            #expect(throws: DiskError(.read, "a", EINVAL)) { try file.read(1, at: -1) }
            #expect(throws: DiskError(.write, "a", EINVAL)) { try file.write([1], at: -1) }
        }
    }

    @Test(arguments: Kind.allCases)
    func `parts are written one behind the other`(kind: Kind) async throws {
        try await Self.withVolume(kind) { volume in
            let file = try volume.open("a", create: true)
            // More parts than one system call takes, with empty ones between.
            let bytes = (0..<9_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            try bytes.withUnsafeBytes { all in
                let parts = (0..<3_000).flatMap { number in
                    [
                        UnsafeRawBufferPointer(rebasing: all[number * 3..<number * 3 + 3]),
                        UnsafeRawBufferPointer(start: nil, count: 0),
                    ]
                }
                try file.write(parts, at: 11)
            }
            #expect(try file.read(10_000, at: 0) == [UInt8](0, 11) + bytes)
            try file.write([], at: 50_000)
            #expect(try file.size() == 9_011)
            try file.write([1, 1], at: 12)
            #expect(try file.read(4, at: 11) == [bytes[0], 1, 1, bytes[3]])
            #expect(try file.size() == 9_011)
        }
    }

    @Test(arguments: Kind.allCases)
    func `a large write is whole`(kind: Kind) async throws {
        try await Self.withVolume(kind) { volume in
            let file = try volume.open("a", create: true)
            let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 9) }
            try file.write(bytes, at: 4_096)
            #expect(try file.read(bytes.count + 1, at: 4_096) == bytes)
        }
    }

    @Test(arguments: Kind.allCases)
    func `what was reserved or passed over reads as zero`(kind: Kind) async throws {
        try await Self.withVolume(kind) { volume in
            let file = try volume.open("a", create: true)
            try file.reserve(0)
            #expect(try file.size() == 0)
            try file.write([1, 2, 3], at: 0)
            try file.reserve(10_000)
            #expect(try file.size() == 10_000)
            #expect(try file.read(20_000, at: 0) == [1, 2, 3] + [UInt8](0, 9_997))
            try file.reserve(100)
            #expect(try file.size() == 10_000)
            try file.write([9], at: 12_000)
            #expect(try file.read(20_000, at: 9_990) == [UInt8](0, 2_010) + [9])
        }
    }

    @Test(arguments: Kind.allCases)
    func `a removed file stays readable for its holders`(kind: Kind) async throws {
        try await Self.withVolume(kind) { volume in
            let file = try volume.open("a", create: true)
            try file.write([1, 2, 3], at: 0)
            try volume.remove("a")
            #expect(try volume.list() == [])
            let next = try volume.open("a", create: true)
            try next.write([4], at: 0)
            #expect(try file.read(9, at: 0) == [1, 2, 3])
            try file.write([5], at: 3)
            #expect(try file.read(9, at: 0) == [1, 2, 3, 5])
            #expect(try next.read(9, at: 0) == [4])
        }
    }

    @Test(arguments: Kind.allCases)
    func `a rename takes the place of another file`(kind: Kind) async throws {
        try await Self.withVolume(kind) { volume in
            let old = try volume.open("a", create: true)
            try old.write([1], at: 0)
            let new = try volume.open("a.new", create: true)
            try new.write([2], at: 0)
            try volume.rename("a.new", to: "a")
            #expect(try volume.list() == ["a"])
            #expect(try volume.open("a", create: false).read(9, at: 0) == [2])
            #expect(try old.read(9, at: 0) == [1])
            try new.write([3], at: 1)
            #expect(try volume.open("a", create: false).read(9, at: 0) == [2, 3])
            try volume.rename("a", to: "a")
            #expect(try volume.list() == ["a"])
        }
    }

    @Test(arguments: Kind.allCases)
    func `the list has each name once`(kind: Kind) async throws {
        try await Self.withVolume(kind) { volume in
            let names = (0..<300).map { "file \($0) ü" }
            for name in names { _ = try volume.open(name, create: true) }
            #expect(try volume.list().sorted() == names.sorted())
            for name in names.prefix(150) { try volume.remove(name) }
            #expect(try volume.list().sorted() == names.dropFirst(150).sorted())
            #expect(try volume.list().sorted() == names.dropFirst(150).sorted())
        }
    }

    @Test(arguments: Kind.allCases)
    func `syncing is no error`(kind: Kind) async throws {
        try await Self.withVolume(kind) { volume in
            let file = try volume.open("a", create: true)
            try file.write([1], at: 0)
            try file.sync()
            try volume.syncDirectory()
            try volume.remove("a")
            try file.sync()
            #expect(try file.read(2, at: 0) == [1])
        }
    }

    @Test(arguments: Kind.allCases)
    func `readers of written records do not mind the writer`(kind: Kind) async throws {
        try await Self.withVolume(kind) { volume in
            let file = try volume.open("a", create: true)
            let progress = Progress()
            try await withThrowingTaskGroup { group in
                for reader in 0..<3 {
                    group.addTask {
                        var generator = SeededGenerator(seed: UInt64(reader))
                        for _ in 0..<300 {
                            let count = progress.records.load(ordering: .acquiring)
                            guard count > 0 else { continue }
                            let record = Int.random(in: 0..<count, using: &generator)
                            let read = try file.read(1_000, at: Int64(record) * 1_000)
                            #expect(read == [UInt8](UInt8(truncatingIfNeeded: record), 1_000))
                        }
                    }
                }
                for record in 0..<200 {
                    try file.write(
                        [UInt8](UInt8(truncatingIfNeeded: record), 1_000), at: Int64(record) * 1_000)
                    progress.records.store(record + 1, ordering: .releasing)
                }
                try await group.waitForAll()
            }
        }
    }
}
