import Foundation
import Testing

/// The rules of CONTRIBUTING.md that a machine can check.
struct TidyTests {
    private struct Source {
        let path: String
        let module: String
        let lines: [Substring]
    }

    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private static let sources: [Source] = {
        let folder = root.appending(path: "Sources")
        let files = FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)
        return (files?.allObjects ?? []).compactMap { item in
            guard let url = item as? URL, url.pathExtension == "swift",
                let text = try? String(contentsOf: url, encoding: .utf8)
            else { return nil }
            let path = String(url.path.dropFirst(folder.path.count + 1))
            return Source(
                path: path, module: String(path.prefix { $0 != "/" }),
                lines: text.split(separator: "\n", omittingEmptySubsequences: false))
        }
    }()

    /// What each module may import of this package; below it, everything on the way down.
    private static let allowed: [String: Set<String>] = [
        "EdgePrimitives": [],
        "EdgeHTTP": ["EdgePrimitives"],
        "EdgePolicy": ["EdgeHTTP", "EdgePrimitives"],
        "EdgeStore": ["EdgePolicy", "EdgeHTTP", "EdgePrimitives", "CEdgeLinux"],
        "EdgeOrigin": ["EdgePolicy", "EdgeHTTP", "EdgePrimitives", "CCurl"],
        "EdgeNode": ["EdgeOrigin", "EdgeStore", "EdgePolicy", "EdgeHTTP", "EdgePrimitives"],
        "EdgeServer": ["EdgeNode", "EdgeStore", "EdgePolicy", "EdgeHTTP", "EdgePrimitives", "CEdgeLinux"],
        "EdgeAdmin": ["EdgeNode", "EdgeOrigin", "EdgeStore", "EdgePolicy", "EdgePrimitives", "CEdgeLinux"],
        "EdgeConfig": ["EdgeNode", "EdgeOrigin", "EdgeStore", "EdgePolicy", "EdgeHTTP", "EdgePrimitives"],
    ]

    private static func imports(_ source: Source) -> [String] {
        source.lines.compactMap { line in
            guard line.contains("import "), !line.trimmingPrefix(" ").hasPrefix("//") else { return nil }
            let words = line.split(separator: " ")
            guard let position = words.firstIndex(of: "import"), words.count > position + 1, position < 3
            else {
                return nil
            }
            return String(words[words.count - 1].prefix { $0 != "." })
        }
    }

    @Test func `the sources were found`() {
        #expect(Self.sources.count > 80)
    }

    @Test func `imports run one way`() {
        for source in Self.sources {
            guard let allowed = Self.allowed[source.module] else { continue }
            for name in Self.imports(source) where name.hasPrefix("Edge") || name.hasPrefix("C") {
                #expect(allowed.contains(name), "\(source.path) imports \(name)")
            }
        }
    }

    @Test func `no Foundation where the data path is`() {
        let without: Set = [
            "EdgePrimitives", "EdgeHTTP", "EdgePolicy", "EdgeStore", "EdgeOrigin", "EdgeNode", "EdgeServer",
        ]
        for source in Self.sources where without.contains(source.module) {
            #expect(!Self.imports(source).contains("Foundation"), "\(source.path)")
        }
    }

    @Test func `only EdgeServer and the admin side open sockets with NIO`() {
        let may: Set = ["EdgeServer", "EdgeAdmin", "rockpool"]
        for source in Self.sources where !may.contains(source.module) {
            #expect(!Self.imports(source).contains("NIOPosix"), "\(source.path)")
        }
    }

    @Test func `files are short and lines fit`() {
        for source in Self.sources {
            #expect(source.lines.count <= 600, "\(source.path) has \(source.lines.count) lines")
            for (number, line) in source.lines.enumerated() where line.count > 120 {
                Issue.record("\(source.path):\(number + 1) has \(line.count) columns")
            }
        }
    }

    @Test func `types do not carry empty words`() {
        let banned = ["Manager", "Helper", "Util", "Utils", "Info", "Object"]
        for source in Self.sources {
            for line in source.lines {
                let words = line.split(whereSeparator: { !$0.isLetter && !$0.isNumber })
                guard
                    let position = words.firstIndex(where: {
                        ["class", "struct", "enum", "protocol"].contains($0)
                    }),
                    words.count > position + 1, !line.trimmingPrefix(" ").hasPrefix("//")
                else { continue }
                let name = words[position + 1]
                #expect(!banned.contains { name.hasSuffix($0) }, "\(source.path): \(name)")
            }
        }
    }

    @Test func `what is Sendable on our word alone stays rare`() {
        let count = Self.sources.flatMap(\.lines).count { $0.contains("@unchecked Sendable") }
        #expect(count <= 5)
    }
}
