import EdgeNode
import Foundation
import Yams

/// The YAML file that `serve --config` and `check` read.
///
/// The text becomes a tree whose every node has its line and column; the tree is read against the table in
/// ``ConfigurationSchema``. Whatever is wrong is reported together, so that one run shows everything.
public enum ConfigurationFile {
    /// A larger file is no configuration.
    private static let maxBytes = 4 << 20

    /// Reads the file at `path`.
    public static func load(path: String) throws(ConfigurationErrors) -> NodeConfiguration {
        let reading = Reading(file: path)
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue,
            let bytes = FileManager.default.contents(atPath: path)
        else {
            let what = isFolder.boolValue ? "this is a folder" : "the file is not there or cannot be read"
            reading.report(line: 1, column: 1, what, "give the path of a YAML file")
            throw ConfigurationErrors(reading.errors)
        }
        guard bytes.count <= maxBytes else {
            reading.report(line: 1, column: 1, "the file is larger than 4MiB", "give the path of a YAML file")
            throw ConfigurationErrors(reading.errors)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            let line = firstLineThatIsNotText(Array(bytes))
            reading.report(line: line, column: 1, "the line is not UTF-8 text", "save the file as UTF-8")
            throw ConfigurationErrors(reading.errors)
        }
        return try parse(yaml: text, path: path)
    }

    /// Reads a text as if it stood in the file at `path`: messages name that file, and relative paths start
    /// at its folder.
    public static func parse(yaml: String, path: String) throws(ConfigurationErrors) -> NodeConfiguration {
        let reading = Reading(file: path)
        let document = YAMLDocument(yaml)
        for complaint in document.complaints {
            reading.report(
                line: complaint.line, column: complaint.column, complaint.message, complaint.suggestion)
        }
        guard let root = document.root, !ConfigurationSection.isNull(root) else {
            if reading.errors.isEmpty {
                reading.report(
                    line: 1, column: 1, "the file is empty",
                    "begin with origins and sites, as minimal.yaml does")
            }
            throw ConfigurationErrors(reading.errors)
        }
        var configuration = NodeConfiguration()
        if let section = ConfigurationSection(root, path: "", reading: reading) {
            configuration = ConfigurationBuilder(reading: reading).build(section)
        }
        if !reading.errors.isEmpty { throw ConfigurationErrors(reading.errors) }
        return configuration
    }

    private static func firstLineThatIsNotText(_ bytes: [UInt8]) -> Int {
        let lines = bytes.split(separator: 10, omittingEmptySubsequences: false)
        return (lines.firstIndex { String(validating: $0, as: UTF8.self) == nil } ?? 0) + 1
    }
}
