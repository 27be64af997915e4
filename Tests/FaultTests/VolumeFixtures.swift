import EdgeStore
import Foundation

extension DiskFile {
    func write(_ bytes: [UInt8], at offset: Int64) throws {
        try bytes.withUnsafeBytes { try write([$0], at: offset) }
    }

    func read(_ count: Int, at offset: Int64) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0xee, count: count)
        let got = try bytes.withUnsafeMutableBytes { try read(into: $0, at: offset) }
        return Array(bytes.prefix(got))
    }
}

extension [UInt8] {
    init(_ byte: UInt8, _ count: Int) { self.init(repeating: byte, count: count) }
}

/// A new folder; whoever makes it removes it.
struct Folder {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "volume-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    func remove() { try? FileManager.default.removeItem(atPath: path) }
}
