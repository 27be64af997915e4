import Foundation
import Yams

/// The reading of one configuration file: where it lies, and what was found wrong so far.
final class Reading {
    /// The path as it was given, for messages.
    let file: String
    /// The folder at which relative paths start.
    private let folder: String
    private(set) var errors: [ConfigurationError] = []

    init(file: String) {
        self.file = file
        folder = file.lastIndex(of: "/").map { String(file[...$0]) } ?? ""
    }

    func report(_ node: Node, _ message: String, _ suggestion: String) {
        report(line: node.mark?.line ?? 1, column: node.mark?.column ?? 1, message, suggestion)
    }

    func report(_ node: Node, _ problem: TextProblem) {
        report(node, problem.message, problem.suggestion)
    }

    func report(line: Int, column: Int, _ message: String, _ suggestion: String) {
        errors.append(
            ConfigurationError(
                file: file, line: line, column: column, message: message, suggestion: suggestion))
    }

    /// `path` as seen from the process: relative to the folder of the file.
    func resolve(_ path: String) -> String {
        if path.hasPrefix("/") || folder.isEmpty { return path }
        return folder + (path.hasPrefix("./") ? String(path.dropFirst(2)) : path)
    }

    /// What a file that must be there holds; nil: reported.
    func contents(of path: String, at node: Node) -> [UInt8]? {
        let resolved = resolve(path)
        var isFolder: ObjCBool = false
        let manager = FileManager.default
        guard manager.fileExists(atPath: resolved, isDirectory: &isFolder) else {
            report(node, "there is no file \"\(path)\"", suggestion(for: resolved))
            return nil
        }
        if isFolder.boolValue {
            report(node, "\"\(path)\" is a folder", "write the path of a file")
            return nil
        }
        guard let bytes = manager.contents(atPath: resolved) else {
            report(node, "the file \"\(path)\" cannot be read", "give this user the right to read it")
            return nil
        }
        if bytes.isEmpty {
            report(node, "the file \"\(path)\" is empty", "write what belongs in it")
            return nil
        }
        return Array(bytes)
    }

    /// The length of the text in a file of one word; nil where it is something else.
    func wordLength(in path: String) -> Int? {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
        let words = text.split(whereSeparator: \.isWhitespace)
        return words.count > 1 ? nil : words.first?.count ?? 0
    }

    /// Whether others than owner and group may read or write what a path leads to.
    func isOpenToAll(_ path: String) -> Bool {
        let target = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        let mode = try? FileManager.default.attributesOfItem(atPath: target)[.posixPermissions] as? Int
        return mode.map { $0 & 0o006 != 0 } ?? false
    }

    private func suggestion(for path: String) -> String {
        let slash = path.lastIndex(of: "/")
        let parent = slash.map { String(path[...$0]) } ?? "./"
        let name = slash.map { String(path[path.index(after: $0)...]) } ?? path
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: parent) else {
            return "there is no folder \"\(parent)\""
        }
        let near = NearestName.find(name, among: names.sorted())
        return near.map { "did you mean \"\($0)\"?" } ?? "relative paths start at the folder of \(file)"
    }
}
