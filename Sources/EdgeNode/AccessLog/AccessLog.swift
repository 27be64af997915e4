import EdgePrimitives
import Glibc
import Synchronization

/// The access log: every event loop formats its lines into memory of its own (``AccessLane``), and one thread writes
/// them, so that a full disk, a slow pipe or one that nobody reads never holds up a loop. What finds no room in a
/// loop's memory is dropped and counted.
///
/// The writer waits a few milliseconds for more once the first line came. SIGUSR1 leads to ``reopen(_:)``, a reload of
/// the configuration to ``change(to:format:)``.
public final class AccessLog: Sendable {
    public typealias Format = NodeConfiguration.Log.Format
    public typealias Destination = NodeConfiguration.Log.Access

    /// What waits for the writer beside the lanes, in order.
    private enum Item {
        /// Lines from before what follows.
        case batch(LineBatch)
        /// From here on lines go there.
        case descriptor(Int32)
        /// From here on lines go to what is at the path by then.
        case reopen(String, @Sendable (AccessLogError?) -> Void)
    }

    private struct State {
        var destination: Destination
        var style: AccessLane.Style
        var lanes: [AccessLane] = []
        var items: [Item] = []
        var itemBytes = 0
        var spares: [LineBuffer] = []
        var dropped: UInt64 = 0
        var isClosed = false
        var giveUpAt: MonotonicTime?
    }

    /// Lines that wait for an output that takes none while the log is reopened again and again; at least twice what
    /// the lanes hold.
    private static let maxItemBytes = 8 << 20
    private static let lingerMilliseconds: Int32 = 5
    private static let closeMilliseconds: Int64 = 2_000

    private let state: Mutex<State>
    /// One change of the destination after the other.
    private let changes = Mutex(())
    private let isWriting: Atomic<Bool>
    private let wake: AccessLogWake
    /// Closed by the writer when it ends.
    private let endRead: Int32
    private let endWrite: Int32

    /// - Throws: ``AccessLogError`` where the file cannot be opened.
    public init(_ destination: Destination, format: Format) throws {
        let descriptor = try Self.open(destination)
        let style = AccessLane.Style(format: format, isOn: destination != .off)
        state = Mutex(State(destination: destination, style: style))
        isWriting = Atomic(style.isOn)
        wake = try AccessLogWake()
        (endRead, endWrite) = try AccessLogWake.pipe()
        startWriter(descriptor)
    }

    /// The descriptor of a destination; -1 for none.
    private static func open(_ destination: Destination) throws(AccessLogError) -> Int32 {
        switch destination {
        case .off: -1
        case .standardOutput: 1
        case .file(let path): try open(path)
        }
    }

    private static func open(_ path: String) throws(AccessLogError) -> Int32 {
        let flags = O_APPEND | O_CREAT | O_CLOEXEC
        var status = stat()
        let kind = stat(path, &status) == 0 ? status.st_mode & S_IFMT : 0
        // A FIFO that nobody reads would hold up who opens it.
        if kind == S_IFIFO { return try opened(path, O_RDWR | O_NONBLOCK | O_CLOEXEC) }
        // The end of a file is looked at before the first line; one that may not be read is written all the same.
        if kind == S_IFREG, let descriptor = try? opened(path, O_RDWR | flags) { return descriptor }
        return try opened(path, O_WRONLY | flags)
    }

    private static func opened(_ path: String, _ flags: Int32) throws(AccessLogError) -> Int32 {
        let descriptor = Glibc.open(path, flags, 0o644)
        guard descriptor >= 0 else { throw AccessLogError(path: path, code: errno) }
        return descriptor
    }

    /// Where the log goes; nil for standard output, or where there is none.
    public var path: String? {
        if case .file(let path) = state.withLock({ $0.destination }) { path } else { nil }
    }

    /// Whether lines go anywhere.
    var isOn: Bool { isWriting.load(ordering: .relaxed) }

    /// Lines that were lost: the output took none, or failed.
    public var droppedLines: UInt64 {
        let (dropped, lanes) = state.withLock { ($0.dropped, $0.lanes) }
        return lanes.reduce(dropped) { $0 + $1.droppedLines }
    }

    /// A way into the log for one event loop.
    func lane() -> AccessLane {
        state.withLock { state in
            let lane = AccessLane(style: state.style, wake: wake)
            state.lanes.append(lane)
            return lane
        }
    }

    /// Opens the file anew: all lines from now on go to what is at the path then, those before to where they went. By
    /// the time that a new file is there, the old one has all of its lines. A log on standard output stays.
    ///
    /// - Parameter completion: called on the writer's thread, with why the file cannot be opened; the log then goes on
    ///   as before.
    public func reopen(_ completion: @escaping @Sendable (AccessLogError?) -> Void) {
        let isFile = state.withLock { state in
            guard case .file(let path) = state.destination else { return false }
            Self.turn(&state)
            state.items.append(.reopen(path, completion))
            return true
        }
        if isFile { wake.now() }
    }

    /// Has lines from now on go to `destination`, and look like `format`; those before go to where they went. Loops
    /// follow at their next request.
    ///
    /// - Throws: ``AccessLogError`` where it cannot be opened; the log then goes on as before.
    public func change(to destination: Destination, format: Format) throws(AccessLogError) {
        let result = changes.withLock { _ -> Result<Void, AccessLogError> in
            let (current, style) = state.withLock { ($0.destination, $0.style) }
            let wanted = AccessLane.Style(format: format, isOn: destination != .off)
            guard destination != current || wanted != style else { return .success(()) }
            var descriptor: Int32?
            if destination != current {
                do throws(AccessLogError) {
                    descriptor = try Self.open(destination)
                } catch {
                    return .failure(error)
                }
            }
            state.withLock { state in
                state.style = wanted
                Self.turn(&state)
                if let descriptor { state.items.append(.descriptor(descriptor)) }
                state.destination = destination
            }
            isWriting.store(wanted.isOn, ordering: .relaxed)
            return .success(())
        }
        wake.now()
        try result.get()
    }

    /// Puts the lines of all lanes in front of what comes next.
    private static func turn(_ state: inout State) {
        let most = max(maxItemBytes, 2 * state.lanes.count * LineBuffer.capacity)
        for lane in state.lanes {
            let style = state.style
            guard
                let batch = lane.take({ state.spares.popLast() ?? LineBuffer() }, changingTo: style)
            else { continue }
            if state.itemBytes + batch.count > most {
                state.dropped += batch.lines
            } else {
                state.itemBytes += batch.count
                state.items.append(.batch(batch))
            }
        }
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
                case .reopen(let path, let completion): completion(reopen(path, &output))
                }
            }
            if isClosed { break }
        }
        output.close()
        Glibc.close(endWrite)
    }

    private func reopen(_ path: String, _ output: inout LogOutput) -> AccessLogError? {
        do throws(AccessLogError) {
            output.replace(with: try Self.open(path))
            return nil
        } catch {
            return error
        }
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

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        isInsideLine = Self.endsInsideLine(descriptor)
    }

    mutating func replace(with next: Int32) {
        close()
        descriptor = next
        isInsideLine = Self.endsInsideLine(next)
    }

    /// Whether a file's last line is not whole: the process that wrote it was killed in its middle.
    private static func endsInsideLine(_ descriptor: Int32) -> Bool {
        var status = stat()
        var last: UInt8 = 10
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size > 0,
            pread(descriptor, &last, 1, status.st_size - 1) == 1
        else { return false }
        return last != 10
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
