import EdgePrimitives
import Foundation
import Testing

@testable import rockpool

/// Where subcommands look for the token, and what may look into the directories that are made.
struct SecretFileTests {
    private static func withFolder(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "secrets-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder.path)
    }

    private static func mode(_ path: String) throws -> Int {
        try #require(FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
    }

    @Test func `the token is that of the flag, of the environment, of the cache directory, of etc`() throws {
        try Self.withFolder { folder in
            let (flag, cache, etc) = (folder + "/flag", folder + "/cache", folder + "/etc")
            for path in [flag, cache, etc] {
                try Data("from \(path)\n".utf8).write(to: URL(fileURLWithPath: path))
            }
            func found(_ file: String?, _ environment: String?) throws -> String? {
                try AdminClient.token(tokenFile: file, environment: environment, places: [cache, etc])
            }
            #expect(try found(flag, "environment") == "from \(flag)")
            #expect(try found(nil, "environment") == "environment")
            #expect(try found(nil, nil) == "from \(cache)")
            try FileManager.default.removeItem(atPath: cache)
            #expect(try found(nil, nil) == "from \(etc)")
            try FileManager.default.removeItem(atPath: etc)
            #expect(try found(nil, nil) == nil)
            #expect(throws: ClientFailure.self) { try found(folder + "/nothing", "environment") }
        }
        #expect(AdminClient.tokenPlaces == ["./rockpool-cache/admin.token", "/etc/rockpool/admin.token"])
    }

    @Test(arguments: ["a", "a/b/c", "a/", "./a/../a/b", "a//b"])
    func `a cache directory that is made is its owner's alone, one that is there stays as it is`(path: String)
        throws
    {
        try Self.withFolder { folder in
            let place = folder + "/" + path
            _ = try CacheDirectory(place)
            #expect(try Self.mode(place) == 0o700)
            try FileManager.default.setAttributes([.posixPermissions: 0o750], ofItemAtPath: place)
            _ = try CacheDirectory(place)
            #expect(try Self.mode(place) == 0o750)
        }
    }

    @Test func `a cache directory that cannot be made is named with why`() throws {
        try Self.withFolder { folder in
            try Data().write(to: URL(fileURLWithPath: folder + "/file"))
            for path in ["/file", "/file/x", "/file/x/y"] {
                let error = #expect(throws: StartError.self) { _ = try CacheDirectory(folder + path) }
                #expect(
                    error?.description.contains("\(folder)\(path): cannot be made: Not a directory") == true)
            }
        }
    }

    @Test func `temporary directories have names of their own and are their owner's alone`() throws {
        try Self.withFolder { folder in
            let made = try (0..<3).map { _ in try CacheDirectory.makeTemporary(in: folder, prefix: "demo") }
            #expect(Set(made).count == 3)
            for path in made {
                #expect(path.hasPrefix(folder + "/demo-"))
                #expect(try Self.mode(path) == 0o700)
            }
            #expect(throws: StartError.self) {
                try CacheDirectory.makeTemporary(in: folder + "/nothing", prefix: "demo")
            }
        }
    }

    @Test func `records that were given up are a line, once a minute`() {
        var line = DamageLine()
        let start = SystemClock.monotonic()
        #expect(line.look(0, at: start) == nil)
        #expect(line.look(1, at: start)?.contains("1 record ") == true)
        #expect(line.look(1, at: start + 60_000) == nil)
        #expect(line.look(3, at: start + 59_999) == nil)
        #expect(line.look(5, at: start + 60_000)?.contains("4 records ") == true)
    }
}
