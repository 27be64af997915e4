import EdgeAdmin
import Foundation
import Testing

/// Whose the token file may be, who may look into it, and how it is made.
@Suite struct TokenFileTests {
    private static let token = "0123456789abcdef"

    private static func withFile(
        _ text: String = token + "\n", mode: Int = 0o600, _ body: (String) throws -> Void
    ) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "token-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.path + "/admin.token"
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        try body(path)
    }

    private static func refusal(_ path: String) -> String? {
        do {
            _ = try AdminToken.read(from: path)
            return nil
        } catch {
            return error.description
        }
    }

    @Test(arguments: [0o600, 0o400, 0o640, 0o660, 0o440, 0o700, 0o611])
    func `owner and group may read and write it`(mode: Int) throws {
        try Self.withFile(mode: mode) { path in
            let read = try AdminToken.read(from: path)
            #expect(read.matches(Self.token))
        }
    }

    @Test(arguments: [0o644, 0o604, 0o602, 0o666, 0o606, 0o777])
    func `others may do neither`(mode: Int) throws {
        try Self.withFile(mode: mode) { path in
            let refusal = Self.refusal(path)
            #expect(refusal?.hasPrefix("\(path): everybody on this machine may read or write it") == true)
        }
    }

    @Test func `a link counts as what it leads to`() throws {
        for mode in [0o600, 0o644] {
            try Self.withFile(mode: mode) { path in
                try FileManager.default.createSymbolicLink(
                    atPath: path + ".link", withDestinationPath: path)
                #expect((Self.refusal(path + ".link") == nil) == (mode == 0o600))
            }
        }
    }

    @Test func `it is root's or the node's user's`() {
        let file: UInt32 = 0o100_600
        for (owner, user, isTaken) in [
            (0, 0, true), (0, 998, true), (998, 998, true), (998, 0, false), (1000, 998, false),
        ] as [(UInt32, UInt32, Bool)] {
            let problem = TokenFile.problem(mode: file, owner: owner, user: user)
            #expect((problem == nil) == isTaken, "\(owner) \(user)")
            if !isTaken { #expect(problem?.contains("its owner is user \(owner)") == true) }
        }
        for kind: UInt32 in [0o040_600, 0o010_600, 0o020_600] {
            #expect(TokenFile.problem(mode: kind, owner: 0, user: 0) == "this is no file")
        }
    }

    @Test(arguments: [
        "", "\n", "0123456789abcde", "  0123456789abcde \n\n", "0123456789abcdef x", "0123456\n789abcdef",
        String(repeating: "x", count: 5_000),
    ]) func `a token is one word of sixteen characters or more`(text: String) throws {
        try Self.withFile(text) { path in
            #expect(Self.refusal(path)?.hasPrefix("\(path): ") == true)
        }
    }

    @Test func `white space around a token is none of it`() throws {
        try Self.withFile(" \t\(Self.token)\r\n\n") { path in
            let read = try AdminToken.read(from: path)
            #expect(read.matches(Self.token))
        }
    }

    @Test(.timeLimit(.minutes(1))) func `what is no file is refused and holds nothing up`() throws {
        #expect(Self.refusal("/dev/zero")?.contains("this is no file") == true)
        #expect(Self.refusal("/tmp")?.contains("this is no file") == true)
        #expect(Self.refusal("/nonexistent")?.contains("No such file") == true)
        try Self.withFile { path in
            #expect(mkfifo(path + ".pipe", 0o600) == 0)
            #expect(Self.refusal(path + ".pipe")?.contains("this is no file") == true)
        }
    }

    @Test func `a fresh one appears whole, and at no time may others read it`() throws {
        try Self.withFile { path in
            try FileManager.default.removeItem(atPath: path)
            let before = umask(0)
            defer { umask(before) }
            let folder = (path as NSString).deletingLastPathComponent
            // What a crash in the middle of it may have left.
            try Data("half".utf8).write(to: URL(fileURLWithPath: path + ".new"))
            _ = try AdminToken.create(at: path)
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
            #expect(mode == 0o600)
            #expect(Self.refusal(path) == nil)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["admin.token"])
        }
    }

    @Test func `one that cannot be written is named, and nothing is left of it`() throws {
        #expect(throws: AdminTokenError.self) { try AdminToken.create(at: "/nonexistent/admin.token") }
        try Self.withFile { path in
            // A folder is in its place.
            try FileManager.default.removeItem(atPath: path)
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
            try Data().write(to: URL(fileURLWithPath: path + "/x"))
            #expect(throws: AdminTokenError.self) { try AdminToken.create(at: path) }
            #expect(!FileManager.default.fileExists(atPath: path + ".new"))
        }
    }
}
