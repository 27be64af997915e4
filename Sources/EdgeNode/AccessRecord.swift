import EdgeHTTP
import EdgePolicy
import EdgePrimitives

/// What the access log says of one request.
public struct AccessRecord: Sendable {
    let client: ClientAddress
    let method: [UInt8]
    let target: [UInt8]
    let host: [UInt8]
    let minorVersion: Int
    let started: MonotonicTime
    let userAgent: [UInt8]
    let referer: [UInt8]
    public internal(set) var status = 0
    public internal(set) var bodyBytes: Int64 = 0
    public internal(set) var outcome = RequestOutcome.error
    public internal(set) var reason: Reason?
    public internal(set) var originStatus: Int?
    public internal(set) var isAborted = false

    init(head: RequestHead, client: ClientAddress, started: MonotonicTime) {
        self.client = client
        self.started = started
        method = Array(head.methodBytes)
        target = Array(head.target)
        host = head.authority.map { Array($0) } ?? []
        minorVersion = head.minorVersion
        userAgent = head.fields.first(.userAgent).map { Array($0) } ?? []
        referer = head.fields.first(.referer).map { Array($0) } ?? []
    }

    init(_ request: ExchangeRequest) {
        self.init(head: request.head, client: request.client, started: request.started)
    }

    mutating func set(_ outcome: RequestOutcome, _ reason: Reason?) {
        self.outcome = outcome
        self.reason = reason
    }

    /// One line, with its line feed.
    func line(_ format: AccessLog.Format, now: WallTime, finished: MonotonicTime) -> [UInt8] {
        switch format {
        case .json: json(now, finished)
        case .combined: combined(now)
        }
    }

    private func json(_ now: WallTime, _ finished: MonotonicTime) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(320)
        func key(_ name: StaticString) {
            out.append(out.isEmpty ? UInt8(ascii: "{") : Octet.comma)
            out.append(Octet.quote)
            out.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
            out.append(contentsOf: [Octet.quote, Octet.colon])
        }
        func text(_ name: StaticString, _ value: some Collection<UInt8>) {
            key(name)
            JSONText.append(value, to: &out)
        }
        func number(_ name: StaticString, _ value: Int64) {
            key(name)
            out.append(contentsOf: String(value).utf8)
        }
        text("time", ISOTime.format(now))
        text("client", client.text)
        text("method", method)
        text("host", host)
        text("target", target)
        number("status", Int64(status))
        number("bytes", bodyBytes)
        number("us", max(0, (finished.nanoseconds - started.nanoseconds) / 1000))
        text("cache", outcome.label.utf8)
        if let reason { text("reason", reason.rawValue.utf8) }
        if let originStatus { number("originStatus", Int64(originStatus)) }
        if isAborted {
            key("aborted")
            out.append(contentsOf: "true".utf8)
        }
        out.append(contentsOf: "}\n".utf8)
        return out
    }

    /// The combined log format, with the cache's outcome as a last field.
    private func combined(_ now: WallTime) -> [UInt8] {
        func quoted(_ bytes: [UInt8]) -> String {
            String(
                decoding: bytes.map { $0 < 32 || $0 == 34 || $0 == 92 || $0 > 126 ? UInt8(ascii: "?") : $0 },
                as: UTF8.self)
        }
        let request = "\(quoted(method)) \(quoted(target)) HTTP/1.\(minorVersion)"
        let time = String(decoding: ISOTime.common(now), as: UTF8.self)
        let agent = userAgent.isEmpty ? "-" : quoted(userAgent)
        let from = referer.isEmpty ? "-" : quoted(referer)
        let answer = "\(status) \(bodyBytes) \"\(from)\" \"\(agent)\" \(outcome.label)"
        return Array("\(quoted(client.text)) - - [\(time)] \"\(request)\" \(answer)\n".utf8)
    }
}

/// JSON strings from bytes: what is not UTF-8 becomes U+FFFD, so that a hostile target cannot spoil the log.
enum JSONText {
    static func append(_ bytes: some Collection<UInt8>, to out: inout [UInt8]) {
        out.append(Octet.quote)
        for byte in String(decoding: bytes, as: UTF8.self).utf8 {
            switch byte {
            case Octet.quote, Octet.backslash:
                out.append(Octet.backslash)
                out.append(byte)
            case 0..<32, 127:
                let digits = Array("0123456789abcdef".utf8)
                out.append(contentsOf: "\\u00".utf8)
                out.append(digits[Int(byte >> 4)])
                out.append(digits[Int(byte & 15)])
            default: out.append(byte)
            }
        }
        out.append(Octet.quote)
    }
}

/// Times as logs write them, in UTC.
enum ISOTime {
    /// `2026-11-21T05:12:30.123Z`
    static func format(_ time: WallTime) -> [UInt8] {
        let parts = civil(time.seconds)
        let milliseconds = time.milliseconds - time.seconds * 1000
        return pad(parts.year, 4) + [45] + pad(parts.month, 2) + [45] + pad(parts.day, 2) + [84]
            + pad(parts.hour, 2) + [58] + pad(parts.minute, 2) + [58] + pad(parts.second, 2) + [46]
            + pad(milliseconds, 3) + [90]
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
