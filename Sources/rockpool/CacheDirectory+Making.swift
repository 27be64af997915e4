import Foundation

/// Making directories that nobody else may look into.
extension CacheDirectory {
    /// Makes `path`, mode 0700, where it is missing, and what is missing above it as the process's mask has
    /// it.
    ///
    /// - Returns: the error number; 0 where it is there now.
    static func make(_ path: String) -> CInt {
        // Also one on a disk that takes nothing, or under one that this user may not write.
        if let isDirectory = isDirectory(path) { return isDirectory ? 0 : ENOTDIR }
        var above = path[...]
        while above.count > 1, above.hasSuffix("/") { above.removeLast() }
        if let slash = above.lastIndex(of: "/"), slash > above.startIndex {
            let code = makeAbove(String(above[..<slash]))
            if code != 0 { return code }
        }
        return mkdir(path, 0o700) == 0 || errno == EEXIST ? 0 : errno
    }

    private static func makeAbove(_ path: String) -> CInt {
        var made = ""
        for name in path.split(separator: "/", omittingEmptySubsequences: false) {
            made += made.isEmpty && !path.hasPrefix("/") ? name : "/" + name
            if name.isEmpty { continue }
            if mkdir(made, 0o777) != 0, errno != EEXIST {
                let code = errno
                if isDirectory(made) == nil { return code }
            }
        }
        return 0
    }

    /// Nil where nothing is at `path`, or it cannot be seen.
    private static func isDirectory(_ path: String) -> Bool? {
        var isDirectory: ObjCBool = false
        let isThere = FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
        return isThere ? isDirectory.boolValue : nil
    }

    /// A fresh directory under `parent`, mode 0700, with a name that nobody can have taken before.
    static func makeTemporary(in parent: String, prefix: String) throws -> String {
        var template = Array("\(parent)/\(prefix)-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw StartError("\(parent): no directory can be made in it: \(String(cString: strerror(errno)))")
        }
        return String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
