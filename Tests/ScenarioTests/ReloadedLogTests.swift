import EdgeNode
import EdgePolicy
import EdgeTesting
import Foundation
import Testing

/// The access log of a whole node while reloads move it, turn it off and on.
@Suite(.wholeNodes) struct ReloadedLogTests {
    private static func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = NSTemporaryDirectory() + "reloaded-log-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder + "/")
    }

    private static func targets(_ path: String) throws -> [String] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map { line in
            let record = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            return "\(record?["cache"] ?? "?") \(record?["target"] ?? "?")"
        }
    }

    @Test func `hits and misses of connections that stay open go where the reload says`() async throws {
        try await Self.withFolder { folder in
            let log = try AccessLog(.off, format: .json)
            try await withNode(
                script: { _ in [.response(200, ["Cache-Control: max-age=3600"], body: "x")] }, accessLog: log
            ) { node, _ in
                let client = try node.connect()
                func ask(_ target: String) async throws {
                    try await client.send(RawClient.request("GET", target))
                    _ = try await client.response()
                }
                func reload(_ access: NodeConfiguration.Log.Access) throws {
                    var configuration = node.node.configuration
                    configuration.log.access = access
                    try log.change(to: access, format: .json)
                    node.node.reload(configuration)
                }
                try await ask("/a")
                try await ask("/a")
                try reload(.file(folder + "1"))
                try await ask("/a")
                try await ask("/b")
                try reload(.file(folder + "2"))
                try await ask("/b")
                try await ask("/c")
                try reload(.off)
                try await ask("/c")
                try await ask("/d")
                try reload(.file(folder + "3"))
                try await ask("/d")
                try await client.send("nonsense\r\n\r\n")
                _ = try await client.response()
            }
            log.close()
            #expect(try Self.targets(folder + "1") == ["hit /a", "miss /b"])
            #expect(try Self.targets(folder + "2") == ["hit /b", "miss /c"])
            #expect(try Self.targets(folder + "3") == ["hit /d", "error ?"])
        }
    }
}
