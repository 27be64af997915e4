import CEdgeLinux
import EdgeNode
import Glibc

/// The file that a token lies in: who may have written it, and who may read it.
package enum TokenFile {
    /// No token is longer; what is named by mistake may be.
    private static let largestBytes = 4096

    /// The text of the file, without the white space around it.
    ///
    /// All is asked of the file that was opened, so that a link counts as what it leads to, and nobody can
    /// put another file in its place in between.
    static func read(_ path: String) throws(AdminTokenError) -> String {
        // Without O_NONBLOCK a pipe would hold the start up until somebody writes into it.
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else {
            throw AdminTokenError(description: "\(path): \(String(cString: strerror(errno)))")
        }
        defer { close(file) }
        var (mode, owner): (UInt32, UInt32) = (0, 0)
        guard edge_file_status(file, &mode, &owner) == 0 else {
            throw AdminTokenError(description: "\(path): \(String(cString: strerror(errno)))")
        }
        if let problem = problem(mode: mode, owner: owner, user: geteuid()) {
            throw AdminTokenError(description: "\(path): \(problem)")
        }
        var bytes = [UInt8](repeating: 0, count: largestBytes + 1)
        let count = bytes.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress, $0.count) }
        guard count >= 0 else {
            throw AdminTokenError(description: "\(path): \(String(cString: strerror(errno)))")
        }
        guard count <= largestBytes, let text = String(validating: bytes[..<count], as: UTF8.self) else {
            throw AdminTokenError(
                description: "\(path): the file is no token: write one line of text into it")
        }
        let words = text.split(whereSeparator: \.isWhitespace)
        let least = NodeConfiguration.Admin.leastTokenCharacters
        guard words.count == 1, words[0].count >= least else {
            throw AdminTokenError(
                description: "\(path): a token is one word of at least \(least) characters,"
                    + " such as `openssl rand -hex 32` writes")
        }
        return String(words[0])
    }

    /// Why such a file is not to be believed, or no secret; nil where it may be used.
    package static func problem(mode: UInt32, owner: UInt32, user: UInt32) -> String? {
        guard mode & S_IFMT == S_IFREG else { return "this is no file" }
        guard owner == 0 || owner == user else {
            return "its owner is user \(owner), who could change the token:"
                + " give it to root or to the node's user (\(user))"
        }
        guard mode & 0o006 == 0 else {
            return "everybody on this machine may read or write it: chmod 640, or 600"
        }
        return nil
    }

    /// Writes a file that appears under its name whole, and that others than its owner can open at no time.
    static func write(_ text: String, to path: String) throws(AdminTokenError) {
        let fresh = path + ".new"
        unlink(fresh)
        let file = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw unwritten(path) }
        let line = Array((text + "\n").utf8)
        let isWritten = line.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) } == line.count
        guard isWritten, fsync(file) == 0, rename(fresh, path) == 0 else {
            let error = unwritten(path)
            close(file)
            unlink(fresh)
            throw error
        }
        close(file)
    }

    private static func unwritten(_ path: String) -> AdminTokenError {
        AdminTokenError(
            description: "\(path): the token file cannot be written: \(String(cString: strerror(errno)))")
    }
}
