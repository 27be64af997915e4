import EdgePrimitives
import Glibc
import Synchronization

/// The access log: every event loop formats its lines into memory of its own (``AccessLane``), and one thread writes
/// them, so that a full disk, a slow pipe or one that nobody reads never holds up a loop. What finds no room in a
/// loop's memory is dropped and counted.
///
/// The writer waits a few milliseconds for more once the first line came. SIGUSR1 leads to ``reopen()``.
public final class AccessLog: Sendable {
    public enum Format: Sendable {
        case json, combined
    }

    /// What waits for the writer beside the lanes, in order.
    private enum Item {
        /// Lines from before a reopening.
        case batch(LineBatch)
        /// From here on lines go there.
        case descriptor(Int32)
    }

    private struct State {
        var lanes: [AccessLane] = []
        var items: [Item] = []
        var itemBytes = 0
        var spares: [LineBuffer] = []
        var dropped: UInt64 = 0
        var isClosed = false
        var giveUpAt: MonotonicTime?
    }

    /// Lines that wait for an output that takes none while the log is reopened again and again.
    private static let maxItemBytes = 8 << 20
    private static let lingerMilliseconds: Int32 = 5
    private static let closeMilliseconds: Int64 = 2_000

    /// Nil for standard output.
    public let path: String?
    private let format: Format
    private let state = Mutex(State())
    private let wake: AccessLogWake
    /// Closed by the writer when it ends.
    private let endRead: Int32
    private let endWrite: Int32

    /// A log on `path`, or on standard output where that is nil.
    public init(path: String?, format: Format) throws {
        self.path = path
        self.format = format
        let descriptor = try path.map { try Self.open($0) } ?? 1
        wake = try AccessLogWake()
        (endRead, endWrite) = try AccessLogWake.pipe()
        startWriter(descriptor)
    }

    private static func open(_ path: String) throws -> Int32 {
        var flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC
        var status = stat()
        // A FIFO that nobody reads would hold up who opens it.
        if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFIFO {
            flags = O_RDWR | O_NONBLOCK | O_CLOEXEC
        }
        let descriptor = Glibc.open(path, flags, 0o644)
        guard descriptor >= 0 else { throw AccessLogError(path: path, code: errno) }
        return descriptor
    }

    /// Lines that were lost: the output took none, or failed.
    public var droppedLines: UInt64 {
        let (dropped, lanes) = state.withLock { ($0.dropped, $0.lanes) }
        return lanes.reduce(dropped) { $0 + $1.droppedLines }
    }

    /// A way into the log for one event loop.
    func lane() -> AccessLane {
        let lane = AccessLane(format: format, wake: wake)
        state.withLock { $0.lanes.append(lane) }
        return lane
    }

    /// Opens the file anew: all lines from now on go to what is at the path then, those before to where they went. A
    /// log on standard output stays.
    ///
    /// - Throws: ``AccessLogError`` where it cannot be opened; the log then goes on as before.
    public func reopen() throws {
        guard let path else { return }
        let descriptor = try Self.open(path)
        state.withLock { state in
            for lane in state.lanes {
                guard let batch = lane.take({ state.spares.popLast() ?? LineBuffer() }) else { continue }
                if state.itemBytes + batch.count > Self.maxItemBytes {
                    state.dropped += batch.lines
                } else {
                    state.itemBytes += batch.count
                    state.items.append(.batch(batch))
                }
            }
            state.items.append(.descriptor(descriptor))
        }
        wake.now()
    }

    /// Writes what is pending and ends the writer, within two seconds: an output that takes nothing is not waited for.
    public func close() {
        state.withLock { state in
            state.isClosed = true
            state.giveUpAt = SystemClock.monotonic() + Self.closeMilliseconds
        }
        wake.now()
        var ended = pollfd(fd: endRead, events: Int16(POLLIN), revents: 0)
        let deadline = SystemClock.monotonic() + Self.closeMilliseconds + 200
        while true {
            let left = deadline.milliseconds(since: SystemClock.monotonic())
            guard left > 0, poll(&ended, 1, Int32(left)) < 0, errno == EINTR else { return }
        }
    }

    // MARK: The writer

    private func startWriter(_ descriptor: Int32) {
        let start = Unmanaged.passRetained(WriterStart(log: self, descriptor: descriptor))
        var thread = pthread_t()
        let status = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<WriterStart>.fromOpaque(argument).takeRetainedValue()
                start.log.run(start.descriptor)
                return nil
            }, start.toOpaque())
        precondition(status == 0, "no thread for the access log")
        pthread_detach(thread)
    }

    private final class WriterStart: Sendable {
        let log: AccessLog
        let descriptor: Int32

        init(log: AccessLog, descriptor: Int32) {
            self.log = log
            self.descriptor = descriptor
        }
    }

    private func run(_ first: Int32) {
        var output = LogOutput(first)
        while true {
            waitForLines()
            wake.wait(milliseconds: Self.lingerMilliseconds)
            let (items, isClosed) = takeAll()
            for item in items {
                switch item {
                case .batch(let batch): write(batch, to: &output)
                case .descriptor(let next): output.replace(with: next)
                }
            }
            if isClosed { break }
        }
        output.close()
        Glibc.close(endWrite)
    }

    private func waitForLines() {
        wake.beIdle()
        let isAnythingThere = state.withLock { state in
            state.isClosed || !state.items.isEmpty || state.lanes.contains { !$0.isEmpty }
        }
        if isAnythingThere { wake.beBusy() } else { wake.wait(milliseconds: -1) }
    }

    /// Everything that waits, in order. Lanes are emptied under the lock that reopening takes: no line from after it
    /// goes to the file from before.
    private func takeAll() -> ([Item], isClosed: Bool) {
        state.withLock { state in
            var items: [Item] = []
            swap(&items, &state.items)
            state.itemBytes = 0
            for lane in state.lanes {
                guard let batch = lane.take({ state.spares.popLast() ?? LineBuffer() }) else { continue }
                items.append(.batch(batch))
            }
            return (items, state.isClosed)
        }
    }

    private func write(_ batch: LineBatch, to output: inout LogOutput) {
        let bytes = UnsafeRawBufferPointer(start: batch.buffer.memory, count: batch.count)
        let lost = output.write(bytes) {
            // Asked while the output takes nothing.
            let giveUpAt = self.state.withLock { $0.giveUpAt }
            return giveUpAt.map { SystemClock.monotonic() >= $0 } ?? false
        }
        state.withLock { state in
            state.dropped += lost
            if state.spares.count < max(1, state.lanes.count) { state.spares.append(batch.buffer) }
        }
    }
}

/// Where the lines of the access log go.
private struct LogOutput {
    private var descriptor: Int32
    /// The last line written is not whole: a disk was full in its middle.
    private var isInsideLine = false

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    mutating func replace(with next: Int32) {
        close()
        descriptor = next
        isInsideLine = false
    }

    func close() {
        if descriptor > 2 { Glibc.close(descriptor) }
    }

    /// Writes whole lines; the number of those that were lost.
    ///
    /// - Parameter givesUp: asked now and then while an output that does not block takes nothing.
    mutating func write(_ lines: UnsafeRawBufferPointer, givesUp: () -> Bool) -> UInt64 {
        guard let base = lines.baseAddress else { return 0 }
        if isInsideLine {
            // What comes next shall be a line of its own.
            var end: UInt8 = 10
            if Glibc.write(descriptor, &end, 1) == 1 { isInsideLine = false }
        }
        var offset = 0
        while offset < lines.count {
            let written = Glibc.write(descriptor, base + offset, lines.count - offset)
            if written > 0 {
                offset += written
                isInsideLine = lines[offset - 1] != 10
                continue
            }
            if written < 0, errno == EINTR { continue }
            if written < 0, errno == EAGAIN, !givesUp() {
                var room = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&room, 1, 200)
                continue
            }
            return lines[offset...].reduce(UInt64(0)) { $0 + ($1 == 10 ? 1 : 0) }
        }
        return 0
    }
}

/// How loops wake the writer of the access log: a pipe, written to only when the writer sleeps.
final class AccessLogWake: Sendable {
    private let isIdle = Atomic<Bool>(false)
    private let readEnd: Int32
    private let writeEnd: Int32

    init() throws {
        (readEnd, writeEnd) = try Self.pipe()
    }

    /// A pipe that blocks neither end.
    static func pipe() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [0, 0]
        guard Glibc.pipe(&ends) == 0 else { throw AccessLogError(path: "pipe", code: errno) }
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        return (ends[0], ends[1])
    }

    deinit {
        close(readEnd)
        close(writeEnd)
    }

    /// A line was added. The writer says that it is idle before it looks at the lanes for the last time, each under
    /// its lock: it sees the line, or whoever added it sees that it is idle.
    @inline(__always)
    func linesWait(isUrgent: Bool) {
        if isUrgent || isIdle.load(ordering: .relaxed) { now() }
    }

    /// Wakes the writer whatever it waits for.
    func now() {
        isIdle.store(false, ordering: .relaxed)
        var byte: UInt8 = 1
        _ = write(writeEnd, &byte, 1)
    }

    // MARK: The writer's

    func beIdle() { isIdle.store(true, ordering: .sequentiallyConsistent) }
    func beBusy() { isIdle.store(false, ordering: .relaxed) }

    /// Waits to be woken, at most so long; -1 for ever.
    func wait(milliseconds: Int32) {
        var woken = pollfd(fd: readEnd, events: Int16(POLLIN), revents: 0)
        guard poll(&woken, 1, milliseconds) > 0 else { return }
        var bytes: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        _ = read(readEnd, &bytes, 32)
    }
}

/// The access log cannot be opened.
public struct AccessLogError: Error, CustomStringConvertible {
    public let path: String
    public let code: Int32

    public var description: String { "access log \(path): \(String(cString: strerror(code)))" }
}
