import EdgeTesting
import Foundation
import Glibc
import Synchronization

/// A process that a test starts, with pipes for its standard input and output.
struct ChildProcess: Sendable {
    private let identifier: pid_t
    private let input: Int32
    private let output: Int32

    /// One start at a time: between the making of a pipe and its mark, another child would inherit it.
    private static let starts = Mutex(())

    /// - Parameter arguments: the program, which is looked for in PATH, and its arguments.
    init(_ arguments: [String], takesErrors: Bool = false) throws {
        (identifier, input, output) = try Self.starts.withLock { _ in try Self.start(arguments, takesErrors) }
    }

    private static func start(_ arguments: [String], _ takesErrors: Bool) throws -> (pid_t, Int32, Int32) {
        let (itsInput, input) = try pipe()
        let (output, itsOutput) = try pipe()
        defer {
            close(itsInput)
            close(itsOutput)
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, itsInput, 0)
        posix_spawn_file_actions_adddup2(&actions, itsOutput, 1)
        if takesErrors { posix_spawn_file_actions_adddup2(&actions, itsOutput, 2) }
        let words = arguments.map { strdup($0) }
        let environment = ProcessInfo.processInfo.environment.map { strdup("\($0.key)=\($0.value)") }
        defer {
            for text in words + environment { free(text) }
            posix_spawn_file_actions_destroy(&actions)
        }
        var started: pid_t = 0
        let status = posix_spawnp(
            &started, arguments[0], &actions, nil, words + [nil], environment + [nil])
        guard status == 0 else {
            close(input)
            close(output)
            throw TestFailure("starting \(arguments[0]): errno \(status)")
        }
        return (started, input, output)
    }

    /// The ends for reading and writing, which no child gets.
    private static func pipe() throws -> (Int32, Int32) {
        var ends: [Int32] = [-1, -1]
        guard Glibc.pipe(&ends) == 0 else { throw TestFailure("pipe: errno \(errno)") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    func write(_ text: String) throws {
        let bytes = Array(text.utf8)
        guard Glibc.write(input, bytes, bytes.count) == bytes.count else {
            throw TestFailure("writing to a process: errno \(errno)")
        }
    }

    /// What comes next of its output; empty at the end.
    func read() -> [UInt8] {
        var piece = [UInt8](repeating: 0, count: 4_096)
        while true {
            let count = Glibc.read(output, &piece, piece.count)
            if count >= 0 { return Array(piece[..<count]) }
            if errno != EINTR { return [] }
        }
    }

    /// Waits for its end; answers its exit status, or -1 where a signal ended it. Once, and after the last read.
    func wait() -> Int32 {
        close(input)
        var status: Int32 = 0
        while waitpid(identifier, &status, 0) < 0, errno == EINTR {}
        close(output)
        return status & 0x7f == 0 ? (status >> 8) & 0xff : -1
    }

    /// Ends it whatever it does: the thread that started it may have kept other signals from it.
    func terminate() { kill(identifier, SIGKILL) }
}
