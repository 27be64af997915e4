import EdgeStore
import Foundation
import Testing

/// What only a real directory can show.
@Suite struct POSIXVolumeTests {
    private func mode(_ path: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return try #require(attributes[.posixPermissions] as? Int)
    }

    /// Descriptors of this process that lead into the folder.
    private func descriptors(in path: String) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count { number in
            let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/" + number)
            return target?.hasPrefix(path) ?? false
        }
    }

    @Test func `directory and files are for their owner alone`() throws {
        let folder = try Folder()
        defer { folder.remove() }
        let path = folder.path + "/made"
        let volume = try POSIXVolume(directory: path)
        _ = try volume.open("a", create: true)
        #expect(try mode(path) == 0o700)
        #expect(try mode(path + "/a") == 0o600)
        #expect(try mode(path + "/lock") == 0o600)
    }

    @Test func `a directory that cannot be made is an error`() throws {
        let folder = try Folder()
        defer { folder.remove() }
        let path = folder.path + "/no/such"
        #expect(throws: DiskError(.create, path, ENOENT)) { try POSIXVolume(directory: path) }
        try Data().write(to: URL(filePath: folder.path + "/file"))
        let file = folder.path + "/file"
        #expect(throws: DiskError(.open, file, ENOTDIR)) { try POSIXVolume(directory: file) }
    }

    @Test func `one volume at a time holds a directory`() throws {
        let folder = try Folder()
        defer { folder.remove() }
        var volume: POSIXVolume? = try POSIXVolume(directory: folder.path)
        #expect(throws: DiskError(.lock, "lock", EWOULDBLOCK)) { try POSIXVolume(directory: folder.path) }
        #expect(try volume?.list() == [])
        #expect(try descriptors(in: folder.path) == 2)
        volume = nil
        // A child process that was forked meanwhile holds the lock until it becomes another program.
        let limit = ContinuousClock.now + .seconds(10)
        var next: POSIXVolume?
        while next == nil, ContinuousClock.now < limit { next = try? POSIXVolume(directory: folder.path) }
        #expect(next != nil)
    }

    @Test func `another process cannot take the lock`() throws {
        let folder = try Folder()
        defer { folder.remove() }
        var volume: POSIXVolume? = try POSIXVolume(directory: folder.path)
        let attempt = { () throws -> Int32 in
            let process = Process()
            process.executableURL = URL(filePath: "/usr/bin/flock")
            process.arguments = ["--nonblock", folder.path + "/lock", "true"]
            try process.run()
            process.waitUntilExit()
            return process.terminationStatus
        }
        #expect(try attempt() == 1)
        withExtendedLifetime(volume) {}
        volume = nil
        #expect(try attempt() == 0)
    }

    @Test func `only plain files are listed and opened`() throws {
        let folder = try Folder()
        defer { folder.remove() }
        let volume = try POSIXVolume(directory: folder.path)
        _ = try volume.open("a", create: true)
        let files = FileManager.default
        try files.createDirectory(atPath: folder.path + "/folder", withIntermediateDirectories: false)
        try files.createSymbolicLink(atPath: folder.path + "/link", withDestinationPath: "a")
        #expect(try volume.list() == ["a"])
        #expect(throws: DiskError(.open, "link", ELOOP)) { try volume.open("link", create: false) }
        #expect(throws: DiskError(.open, "folder", EISDIR)) { try volume.open("folder", create: false) }
    }

    @Test func `a directory that was removed and made again is found again`() throws {
        let folder = try Folder()
        defer { folder.remove() }
        let path = folder.path + "/cache"
        let files = FileManager.default
        let volume = try POSIXVolume(directory: path)
        let old = try volume.open("old", create: true)
        try old.write([1], at: 0)

        try files.removeItem(atPath: path)
        #expect(throws: DiskError(.list, path, ENOENT)) { try volume.list() }
        #expect(throws: DiskError(.create, "a", ENOENT)) { try volume.open("a", create: true) }
        #expect(try old.read(9, at: 0) == [1])
        #expect(!files.fileExists(atPath: path))

        try files.createDirectory(atPath: path, withIntermediateDirectories: false)
        #expect(try volume.open("new", create: true).read(1, at: 0) == [])
        #expect(files.fileExists(atPath: path + "/new"))
        #expect(try volume.list() == ["new"])
        try volume.syncDirectory()
        #expect(throws: DiskError(.lock, "lock", EWOULDBLOCK)) { try POSIXVolume(directory: path) }
    }

    @Test func `a lock that was removed with all other files is taken again`() throws {
        let folder = try Folder()
        defer { folder.remove() }
        let volume = try POSIXVolume(directory: folder.path)
        try FileManager.default.removeItem(atPath: folder.path + "/lock")
        #expect(try volume.list() == [])
        #expect(throws: DiskError(.lock, "lock", EWOULDBLOCK)) { try POSIXVolume(directory: folder.path) }
        #expect(try descriptors(in: folder.path) == 2)

        try FileManager.default.removeItem(atPath: folder.path + "/lock")
        let other = try POSIXVolume(directory: folder.path)
        #expect(throws: DiskError(.lock, "lock", EWOULDBLOCK)) { try volume.open("a", create: true) }
        #expect(try other.list() == [])
    }

    @Test func `a directory that another one took the place of is let go`() throws {
        let folder = try Folder()
        defer { folder.remove() }
        let path = folder.path + "/cache"
        let volume = try POSIXVolume(directory: path)
        _ = try volume.open("old", create: true)
        try FileManager.default.moveItem(atPath: path, toPath: path + ".away")
        let other = try POSIXVolume(directory: path)
        #expect(throws: DiskError(.lock, "lock", EWOULDBLOCK)) { try volume.list() }
        #expect(try other.list() == [])
        // It got no other directory, so it still has the lock of its first one.
        #expect(throws: DiskError(.lock, "lock", EWOULDBLOCK)) {
            try POSIXVolume(directory: path + ".away")
        }
        withExtendedLifetime(volume) {}
    }

    @Test func `descriptors close with their last reference`() throws {
        let folder = try Folder()
        defer { folder.remove() }
        var volume: POSIXVolume? = try POSIXVolume(directory: folder.path)
        var file = try volume?.open("a", create: true)
        #expect(file?.descriptor != nil)
        #expect(try volume?.list() == ["a"])
        #expect(try descriptors(in: folder.path) == 3)
        file = nil
        #expect(try descriptors(in: folder.path) == 2)
        volume = nil
        #expect(try descriptors(in: folder.path) == 0)
    }

    @Test func `errors say what failed`() {
        let full = DiskError(.write, "0001.segment", ENOSPC)
        #expect(full.description == "write 0001.segment: No space left on device")
        #expect(full.isFull && DiskError(.reserve, "a", EDQUOT).isFull)
        #expect(!DiskError(.write, "a", EIO).isFull)
    }
}
