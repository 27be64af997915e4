import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import Synchronization

/// Memory for log lines. Who holds it, and how much of it is text, is its lane's or the writer's to know.
final class LineBuffer: Sendable {
    static let capacity = 512 * 1024

    // Used by one thread at a time: under its lane's lock, and by the writer once it was taken out.
    nonisolated(unsafe) let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)

    deinit { memory.deallocate() }
}

/// Lines that were taken from a lane.
struct LineBatch: Sendable {
    let buffer: LineBuffer
    let count: Int
    let lines: UInt64
}

/// One event loop's way into the access log. Lines are formatted right where the writer takes them from; it takes the
/// whole buffer and leaves an empty one. So the lock is held for as long as a line takes, and nearly always free.
public final class AccessLane: Sendable {
    /// From here on the writer is told not to wait for more.
    private static let urgentBytes = LineBuffer.capacity / 4

    private struct State {
        var buffer = LineBuffer()
        var count = 0
        var lines: UInt64 = 0
        var dropped: UInt64 = 0
        var second = Int64.min
        /// The time to the second, as the format shows it.
        var time: [UInt8] = []
        var style: Style
    }

    /// How lines look, and whether there are any.
    struct Style: Sendable, Equatable {
        var format = AccessLog.Format.json
        var isOn = true
    }

    private let state: Mutex<State>
    private let wake: AccessLogWake

    init(style: Style, wake: AccessLogWake) {
        state = Mutex(State(style: style))
        self.wake = wake
    }

    convenience init(format: AccessLog.Format, wake: AccessLogWake) {
        self.init(style: Style(format: format), wake: wake)
    }

    /// Adds a line, or counts it as dropped where the writer is that far behind. Never waits for the writer's output.
    func append(
        head: RequestHead, client: ClientAddress, site: [UInt8],
        facts: AccessFacts, now: WallTime
    ) {
        let isUrgent = state.withLock { state in
            guard state.style.isOn else { return false }
            let format = state.style.format
            if now.seconds != state.second {
                state.second = now.seconds
                state.time = format == .json ? ISOTime.toSecond(now) : ISOTime.common(now)
            }
            var line = LogLine(
                state.buffer.memory + state.count, capacity: LineBuffer.capacity - state.count)
            switch format {
            case .json: Self.json(&line, head, client, site, facts, now, state.time)
            case .combined: Self.combined(&line, head, client, facts, state.time)
            }
            guard !line.isFull else {
                // The writer was told long ago.
                state.dropped += 1
                return false
            }
            let before = state.count
            state.count += line.count
            state.lines += 1
            return before < Self.urgentBytes && state.count >= Self.urgentBytes
        }
        wake.linesWait(isUrgent: isUrgent)
    }

    /// Takes the lines out; `spare` is for those to come, which look like `style` from here on where it is given.
    func take(_ spare: () -> LineBuffer, changingTo style: Style? = nil) -> LineBatch? {
        state.withLock { state in
            if let style {
                // The time is kept as the format shows it.
                state.second = .min
                state.style = style
            }
            guard state.count > 0 else { return nil }
            let batch = LineBatch(buffer: state.buffer, count: state.count, lines: state.lines)
            state.buffer = spare()
            state.count = 0
            state.lines = 0
            return batch
        }
    }

    var isEmpty: Bool { state.withLock { $0.count == 0 } }
    var droppedLines: UInt64 { state.withLock { $0.dropped } }

    // MARK: Formats

    /// How much of what a client sent goes into a line, in bytes: with it no line is longer than some 25 KiB.
    enum Limit {
        static let method = 32
        /// A name of 253 bytes and a port.
        static let host = 260
        static let target = 4_096
        static let referer = 2_048
        static let userAgent = 1_024
    }

    private static func json(
        _ line: inout LogLine, _ head: RequestHead, _ client: ClientAddress,
        _ site: [UInt8], _ facts: AccessFacts, _ now: WallTime, _ time: [UInt8]
    ) {
        line.literal("{\"time\":\"")
        line.raw(time)
        line.byte(UInt8(ascii: "."))
        line.milliseconds(now.milliseconds - now.seconds * 1000)
        line.literal("Z\",\"client\":")
        line.json(client.text)
        if let refusal = facts.refusal {
            line.literal(",\"refusal\":")
            line.json(Array(refusal.rawValue.utf8))
        } else {
            request(&line, head, site)
        }
        line.literal(",\"status\":")
        line.decimal(Int64(facts.status))
        line.literal(",\"bytes\":")
        line.decimal(facts.bodyBytes)
        line.literal(",\"us\":")
        line.decimal(facts.microseconds)
        if let head = facts.headMicroseconds {
            line.literal(",\"ttfbMicros\":")
            line.decimal(head)
        }
        line.literal(",\"cache\":\"")
        line.literal(facts.outcome.literal)
        line.byte(Octet.quote)
        if let reason = facts.reason {
            line.literal(",\"reason\":\"")
            line.raw(reason.octets)
            line.byte(Octet.quote)
        }
        if let status = facts.originStatus {
            line.literal(",\"originStatus\":")
            line.decimal(Int64(status))
        }
        if facts.isAborted { line.literal(",\"aborted\":true") }
        line.literal("}\n")
    }

    private static func request(
        _ line: inout LogLine, _ head: RequestHead, _ site: [UInt8]
    ) {
        head.fields.bytes.withUnsafeBufferPointer { bytes in
            line.literal(",\"site\":")
            line.json(site)
            line.literal(",\"host\":")
            line.json(
                UnsafeBufferPointer(rebasing: bytes[head.authorityRange ?? 0..<0]), limit: Limit.host)
            line.literal(",\"method\":")
            line.json(UnsafeBufferPointer(rebasing: bytes[head.methodRange]), limit: Limit.method)
            line.literal(",\"target\":")
            line.json(UnsafeBufferPointer(rebasing: bytes[head.targetRange]), limit: Limit.target)
            line.literal(",\"proto\":\"HTTP/1.")
            line.decimal(Int64(head.minorVersion))
            line.byte(Octet.quote)
            if let range = head.range(of: .referer) {
                line.literal(",\"referer\":")
                line.json(UnsafeBufferPointer(rebasing: bytes[range]), limit: Limit.referer)
            }
            if let range = head.range(of: .userAgent) {
                line.literal(",\"userAgent\":")
                line.json(UnsafeBufferPointer(rebasing: bytes[range]), limit: Limit.userAgent)
            }
        }
    }

    /// The combined log format, with the cache's outcome as a last field.
    private static func combined(
        _ line: inout LogLine, _ head: RequestHead, _ client: ClientAddress,
        _ facts: AccessFacts, _ time: [UInt8]
    ) {
        head.fields.bytes.withUnsafeBufferPointer { bytes in
            line.escaped(client.text)
            line.literal(" - - [")
            line.raw(time)
            line.literal("] \"")
            if facts.refusal == nil {
                line.escaped(UnsafeBufferPointer(rebasing: bytes[head.methodRange]), limit: Limit.method)
                line.byte(Octet.space)
                line.escaped(UnsafeBufferPointer(rebasing: bytes[head.targetRange]), limit: Limit.target)
                line.literal(" HTTP/1.")
                line.decimal(Int64(head.minorVersion))
            } else {
                line.byte(UInt8(ascii: "-"))
            }
            line.literal("\" ")
            line.decimal(Int64(facts.status))
            line.byte(Octet.space)
            line.decimal(facts.bodyBytes)
            line.literal(" \"")
            line.escapedOrHyphen(
                head.range(of: .referer).map { UnsafeBufferPointer(rebasing: bytes[$0]) },
                limit: Limit.referer)
            line.literal("\" \"")
            line.escapedOrHyphen(
                head.range(of: .userAgent).map { UnsafeBufferPointer(rebasing: bytes[$0]) },
                limit: Limit.userAgent)
            line.literal("\" ")
            line.literal(facts.outcome.literal)
            line.byte(Octet.lf)
        }
    }
}

extension RequestHead {
    /// Where the value of the first field of that name lies in `fields.bytes`.
    fileprivate func range(of name: FieldName) -> Range<Int>? {
        guard names.contains(name) else { return nil }
        for line in fields.lines where line.name == name { return line.valueRange }
        return nil
    }
}

extension RequestOutcome {
    fileprivate var literal: StaticString {
        switch self {
        case .hit: "hit"
        case .stale: "stale"
        case .revalidated: "revalidated"
        case .miss: "miss"
        case .pass: "pass"
        case .error: "error"
        }
    }
}

extension Reason {
    private static let texts = Reason.allCases.map { Array($0.rawValue.utf8) }

    fileprivate var octets: [UInt8] { Self.texts[ordinal] }
}

/// Times as logs write them, in UTC.
enum ISOTime {
    /// `2026-11-21T05:12:30`
    static func toSecond(_ time: WallTime) -> [UInt8] {
        let parts = civil(time.seconds)
        return pad(parts.year, 4) + [45] + pad(parts.month, 2) + [45] + pad(parts.day, 2) + [84]
            + pad(parts.hour, 2) + [58] + pad(parts.minute, 2) + [58] + pad(parts.second, 2)
    }

    /// `2026-11-21T05:12:30.123Z`
    static func format(_ time: WallTime) -> [UInt8] {
        toSecond(time) + [46] + pad(time.milliseconds - time.seconds * 1000, 3) + [90]
    }

    /// `21/Nov/2026:05:12:30 +0000`
    static func common(_ time: WallTime) -> [UInt8] {
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let parts = civil(time.seconds)
        return pad(parts.day, 2) + [47] + Array(months[Int(parts.month) - 1].utf8) + [47] + pad(parts.year, 4)
            + [58]
            + pad(parts.hour, 2) + [58] + pad(parts.minute, 2) + [58] + pad(parts.second, 2)
            + Array(" +0000".utf8)
    }

    private static func pad(_ value: Int64, _ width: Int) -> [UInt8] {
        let digits = Array(String(value).utf8)
        return Array(repeating: 48, count: max(0, width - digits.count)) + digits
    }

    /// Days to civil date after Howard Hinnant's published algorithm (chrono-compatible low-level date algorithms).
    private static func civil(
        _ seconds: Int64
    ) -> (year: Int64, month: Int64, day: Int64, hour: Int64, minute: Int64, second: Int64) {
        let days = seconds / 86_400
        let rest = seconds - days * 86_400
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthIndex = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthIndex + 2) / 5 + 1
        let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, day, rest / 3600, rest / 60 % 60, rest % 60)
    }
}
