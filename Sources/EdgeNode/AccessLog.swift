import EdgePrimitives
import Glibc
import Synchronization

/// The access log: lines are handed over in memory and written by a thread of their own, so that a full disk or a
/// slow pipe never blocks an event loop. What does not fit in the buffer is dropped and counted.
public final class AccessLog: Sendable {
    public enum Format: Sendable {
        case json, combined
    }

    private struct State {
        var pending: [UInt8] = []
        var dropped: UInt64 = 0
        var isClosed = false
        var isAwake = false
    }

    static let maxPendingBytes = 4 << 20
    private let state = Mutex(State())
    private let format: Format
    private let descriptor: Int32
    /// The read end wakes the writer; the write end is non-blocking.
    private let wakeRead: Int32
    private let wakeWrite: Int32

    /// A log on `path`, or on standard output where that is nil.
    public init(path: String?, format: Format) throws {
        self.format = format
        if let path {
            descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
            guard descriptor >= 0 else { throw AccessLogError(path: path, code: errno) }
        } else {
            descriptor = 1
        }
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw AccessLogError(path: "pipe", code: errno) }
        wakeRead = ends[0]
        wakeWrite = ends[1]
        _ = fcntl(wakeWrite, F_SETFL, O_NONBLOCK)
        startWriter()
    }

    public var droppedLines: UInt64 { state.withLock { $0.dropped } }

    func append(_ record: AccessRecord) {
        let line = record.line(format, now: SystemClock.wall(), finished: SystemClock.monotonic())
        let wakes = state.withLock { state in
            guard state.pending.count + line.count <= Self.maxPendingBytes, !state.isClosed else {
                state.dropped += 1
                return false
            }
            state.pending.append(contentsOf: line)
            defer { state.isAwake = true }
            return !state.isAwake
        }
        if wakes { wake() }
    }

    private func wake() {
        var byte: UInt8 = 1
        _ = write(wakeWrite, &byte, 1)
    }

    /// Writes what is pending and ends the writer.
    public func close() {
        state.withLock { $0.isClosed = true }
        wake()
    }

    private func startWriter() {
        let box = Unmanaged.passRetained(self)
        var thread = pthread_t()
        let status = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<AccessLog>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, box.toOpaque())
        precondition(status == 0, "no thread for the access log")
        pthread_detach(thread)
    }

    private func run() {
        var scratch = [UInt8](repeating: 0, count: 64)
        while true {
            _ = read(wakeRead, &scratch, scratch.count)
            let (bytes, isClosed) = state.withLock { state in
                state.isAwake = false
                var taken: [UInt8] = []
                swap(&taken, &state.pending)
                return (taken, state.isClosed)
            }
            writeAll(bytes)
            if isClosed { return }
        }
    }

    private func writeAll(_ bytes: [UInt8]) {
        var offset = 0
        while offset < bytes.count {
            let written = bytes.withUnsafeBytes { memory -> Int in
                guard let base = memory.baseAddress else { return 0 }
                return write(descriptor, base + offset, bytes.count - offset)
            }
            if written < 0, errno == EINTR { continue }
            guard written > 0 else {
                let lost = bytes[offset...].reduce(UInt64(0)) { $0 + ($1 == 10 ? 1 : 0) }
                state.withLock { $0.dropped += lost }
                return
            }
            offset += written
        }
    }
}

/// The access log cannot be opened.
public struct AccessLogError: Error, CustomStringConvertible {
    public let path: String
    public let code: Int32

    public var description: String { "access log \(path): \(String(cString: strerror(code)))" }
}
