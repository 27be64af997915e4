import Glibc

/// Limits of a request's head.
public struct RequestLimits: Sendable, Equatable {
    /// The field section with the request line, in bytes (431).
    public var maxHeadBytes = 16 * 1024
    /// The request-target, in bytes (414).
    public var maxTargetBytes = 8 * 1024
    /// Field lines (431).
    public var maxFields = 128

    public init() {}
}

/// Parses request heads (RFC 9112 2 to 6), strictly: what two recipients could read in two ways is refused.
///
/// A parser belongs to one connection. It remembers how far it has looked, so that a head that comes a byte at a
/// time is not read again from its start.
public struct RequestParser: Sendable {
    public enum Outcome: Equatable, Sendable {
        /// More bytes are needed; give all of them again, the new ones at the end.
        case incomplete
        /// The head is complete and took so many bytes.
        case complete(consumed: Int)
        case refused(RequestRefusal)
    }

    let limits: RequestLimits
    /// Start of the first line that has not been seen whole.
    private var lineStart = 0
    /// Start of the request line, after empty lines before it.
    private var headStart = 0

    public init(limits: RequestLimits = RequestLimits()) {
        self.limits = limits
    }

    /// Whether bytes of a head have been seen and its end has not.
    public var isInsideHead: Bool { lineStart > 0 }

    /// Reads one head from the start of `bytes`. `head` is reused; it holds meaning only after ``Outcome/complete``.
    public mutating func parse(_ bytes: UnsafeRawBufferPointer, into head: inout RequestHead) -> Outcome {
        guard let base = bytes.baseAddress else { return .incomplete }
        let count = bytes.count
        while true {
            guard let found = memchr(base + lineStart, 10, count - lineStart) else {
                return refuseIfTooLong(bytes: count) ?? .incomplete
            }
            let lineFeed = UnsafeRawPointer(found) - base
            if lineFeed == lineStart || bytes[lineFeed - 1] != Octet.cr { return refused(.bareLineFeed) }
            let length = lineFeed - 1 - lineStart
            if length == 0 {
                if lineStart == headStart {
                    // RFC 9112 2.2: an empty line before the request line is ignored; a stream of them is not.
                    if headStart >= 8 { return refused(.malformedRequestLine) }
                    headStart = lineFeed + 1
                    lineStart = headStart
                    if lineStart == count { return .incomplete }
                    continue
                }
                return finish(bytes, end: lineFeed + 1, into: &head)
            }
            if lineStart == headStart, length > limits.maxTargetBytes + 64 { return refused(.targetTooLong) }
            lineStart = lineFeed + 1
            if lineStart - headStart > limits.maxHeadBytes { return refused(.headTooLarge) }
            if lineStart == count { return .incomplete }
        }
    }

    private func refuseIfTooLong(bytes count: Int) -> Outcome? {
        if lineStart == headStart, count - headStart > limits.maxTargetBytes + 64 {
            return .refused(.targetTooLong)
        }
        if count - headStart > limits.maxHeadBytes { return .refused(.headTooLarge) }
        return nil
    }

    private mutating func refused(_ refusal: RequestRefusal) -> Outcome {
        lineStart = 0
        headStart = 0
        return .refused(refusal)
    }

    private mutating func finish(_ bytes: UnsafeRawBufferPointer, end: Int, into head: inout RequestHead)
        -> Outcome
    {
        let start = headStart
        lineStart = 0
        headStart = 0
        guard end - start <= limits.maxHeadBytes + 2 else { return .refused(.headTooLarge) }
        var text: [UInt8] = []
        var lines: [FieldLine] = []
        swap(&text, &head.fields.bytes)
        swap(&lines, &head.fields.lines)
        text.removeAll(keepingCapacity: true)
        lines.removeAll(keepingCapacity: true)
        text.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
        let refusal = HeadReader(limits: limits).read(text.span, lines: &lines, head: &head)
        swap(&text, &head.fields.bytes)
        swap(&lines, &head.fields.lines)
        if let refusal { return .refused(refusal) }
        return .complete(consumed: end)
    }
}

/// Reads a head that is known to be whole: every line ends in CRLF, the last one is empty.
struct HeadReader {
    let limits: RequestLimits

    /// What the fields said that needs a second look when all have been read.
    private struct Noted {
        var host: Range<Int>?
        var length: UInt64?
        var coding: Range<Int>?
        var codingLines = 0
        var connectionClose = false
        var connectionKeepAlive = false
        var nominatesFields = false
        var expectsContinue = false
        var names = FieldNameSet()
    }

    func read(_ text: Span<UInt8>, lines: inout [FieldLine], head: inout RequestHead) -> RequestRefusal? {
        var cursor = 0
        if let refusal = requestLine(text, cursor: &cursor, head: &head) { return refusal }
        var noted = Noted()
        if text[cursor] == Octet.space || text[cursor] == Octet.tab { return .spaceBeforeFirstField }
        while text[cursor] != Octet.cr || text[cursor + 1] != Octet.lf {
            if lines.count == limits.maxFields { return .tooManyFields }
            if let refusal = fieldLine(text, cursor: &cursor, lines: &lines, noted: &noted) { return refusal }
        }
        return conclude(text, noted, &head)
    }

    // MARK: Request line

    private func requestLine(_ text: Span<UInt8>, cursor: inout Int, head: inout RequestHead)
        -> RequestRefusal?
    {
        var index = 0
        while Octet.isToken(text[index]) { index += 1 }
        guard index > 0, text[index] == Octet.space else {
            return text[index] == Octet.cr && text[index + 1] != Octet.lf
                ? .bareCarriageReturn : .malformedMethod
        }
        head.methodRange = 0..<index
        head.method = Self.method(text, index)
        let targetStart = index + 1
        index = targetStart
        // Octets of a target: no control, no space, no DEL, no fragment.
        while text[index] > Octet.space, text[index] != 127, text[index] != UInt8(ascii: "#") { index += 1 }
        guard index > targetStart, text[index] == Octet.space else {
            return text[index] == Octet.cr && text[index + 1] != Octet.lf
                ? .bareCarriageReturn : .malformedTarget
        }
        if index - targetStart > limits.maxTargetBytes { return .targetTooLong }
        head.targetRange = targetStart..<index
        index += 1
        var end = index
        while text[end] != Octet.cr { end += 1 }
        guard text[end + 1] == Octet.lf else { return .bareCarriageReturn }
        if let refusal = version(text, index..<end, &head) { return refusal }
        cursor = end + 2
        return target(text, &head)
    }

    private func version(_ text: Span<UInt8>, _ range: Range<Int>, _ head: inout RequestHead)
        -> RequestRefusal?
    {
        let start = range.lowerBound
        guard range.count == 8, text[start] == UInt8(ascii: "H"), text[start + 1] == UInt8(ascii: "T"),
            text[start + 2] == UInt8(ascii: "T"), text[start + 3] == UInt8(ascii: "P"),
            text[start + 4] == UInt8(ascii: "/"), Octet.isDigit(text[start + 5]),
            text[start + 6] == UInt8(ascii: "."), Octet.isDigit(text[start + 7])
        else { return .malformedRequestLine }
        guard text[start + 5] == UInt8(ascii: "1") else { return .versionNotSupported }
        // RFC 9110 2.5: a higher minor version is read as the highest we know.
        head.minorVersion = text[start + 7] == UInt8(ascii: "0") ? 0 : 1
        return nil
    }

    private func target(_ text: Span<UInt8>, _ head: inout RequestHead) -> RequestRefusal? {
        head.isAbsoluteForm = false
        head.authorityRange = nil
        head.queryRange = nil
        let range = head.targetRange
        var pathStart = range.lowerBound
        var schemeSlash = pathStart..<pathStart
        if head.method == .connect {
            guard AuthorityReader.isValid(text, range) else { return .malformedTarget }
            head.authorityRange = range
            head.pathRange = range.lowerBound..<range.lowerBound
            return nil
        }
        if text[pathStart] != UInt8(ascii: "/") {
            if range.count == 1, text[pathStart] == UInt8(ascii: "*"), head.method == .options {
                head.pathRange = range
                return nil
            }
            guard let authorityStart = Self.schemeEnd(text, range) else { return .malformedTarget }
            pathStart = authorityStart
            schemeSlash = (authorityStart - 1)..<authorityStart
            while pathStart < range.upperBound, text[pathStart] != UInt8(ascii: "/"),
                text[pathStart] != UInt8(ascii: "?")
            { pathStart += 1 }
            guard AuthorityReader.isValid(text, authorityStart..<pathStart) else { return .malformedTarget }
            // Of the port, the target's own scheme decides, whatever scheme the connection speaks.
            head.authorityRange = AuthorityReader.trimmed(
                text, authorityStart..<pathStart, defaultPort: Self.defaultPort(text, range))
            head.isAbsoluteForm = true
        }
        var pathEnd = pathStart
        while pathEnd < range.upperBound, text[pathEnd] != UInt8(ascii: "?") { pathEnd += 1 }
        // Without a path the last slash of "http://" stands for it: the bytes are not rewritten.
        head.pathRange = pathStart < pathEnd ? pathStart..<pathEnd : schemeSlash
        if pathEnd < range.upperBound { head.queryRange = (pathEnd + 1)..<range.upperBound }
        return nil
    }

    /// Where the authority of an absolute-form target begins, or nil where it has no scheme that we serve.
    private static func schemeEnd(_ text: Span<UInt8>, _ range: Range<Int>) -> Int? {
        for scheme in ["http://", "https://"] as [StaticString] where range.count > scheme.utf8CodeUnitCount {
            var equal = true
            for offset in 0..<scheme.utf8CodeUnitCount
            where Octet.lower(text[range.lowerBound + offset]) != scheme.utf8Start[offset] {
                equal = false
                break
            }
            if equal { return range.lowerBound + scheme.utf8CodeUnitCount }
        }
        return nil
    }

    /// The default port of an absolute-form target's scheme, `http` or `https`.
    private static func defaultPort(_ text: Span<UInt8>, _ target: Range<Int>) -> Int {
        text[target.lowerBound + 4] == Octet.colon ? 80 : 443
    }

    private static func method(_ text: Span<UInt8>, _ length: Int) -> Method {
        func spells(_ name: StaticString) -> Bool {
            for index in 0..<length where text[index] != name.utf8Start[index] { return false }
            return true
        }
        switch length {
        case 3: return spells("GET") ? .get : spells("PUT") ? .put : .other
        case 4: return spells("HEAD") ? .head : spells("POST") ? .post : .other
        case 5:
            return spells("PATCH") ? .patch : spells("TRACE") ? .trace : spells("QUERY") ? .query : .other
        case 6:
            return spells("DELETE")
                ? .delete : spells("SEARCH") ? .search : spells("REPORT") ? .report : .other
        case 7: return spells("OPTIONS") ? .options : spells("CONNECT") ? .connect : .other
        case 8: return spells("PROPFIND") ? .propfind : .other
        default: return .other
        }
    }

    // MARK: Fields

    private func fieldLine(
        _ text: Span<UInt8>, cursor: inout Int, lines: inout [FieldLine], noted: inout Noted
    ) -> RequestRefusal? {
        let nameStart = cursor
        var index = cursor
        while Octet.isToken(text[index]) { index += 1 }
        guard text[index] == Octet.colon, index > nameStart else {
            if index == nameStart, Octet.isWhitespace(text[index]) { return .foldedLine }
            return .malformedFieldName
        }
        let nameEnd = index
        index += 1
        while Octet.isWhitespace(text[index]) { index += 1 }
        let valueStart = index
        while Octet.isFieldValue(text[index]) { index += 1 }
        guard text[index] == Octet.cr else { return .malformedFieldValue }
        guard text[index + 1] == Octet.lf else { return .bareCarriageReturn }
        cursor = index + 2
        while index > valueStart, Octet.isWhitespace(text[index - 1]) { index -= 1 }
        let name = text.extracting(nameStart..<nameEnd).withUnsafeBufferPointer { FieldName.recognise($0) }
        lines.append(FieldLine(name: name, nameRange: nameStart..<nameEnd, valueRange: valueStart..<index))
        noted.names.insert(name)
        return note(text, name, valueStart..<index, &noted)
    }

    private func note(
        _ text: Span<UInt8>, _ name: FieldName, _ value: Range<Int>, _ noted: inout Noted
    ) -> RequestRefusal? {
        switch name {
        case .host:
            if noted.host != nil { return .duplicateHost }
            noted.host = value
        case .contentLength:
            guard let length = Self.length(text, value) else { return .malformedLength }
            if let before = noted.length, before != length { return .differingLengths }
            noted.length = length
        case .transferEncoding:
            noted.codingLines += 1
            noted.coding = value
        case .connection:
            ListReader.forEachToken(text, value) { token in
                if Self.equal(text, token, "keep-alive") {
                    noted.connectionKeepAlive = true
                } else if Self.equal(text, token, "close") {
                    noted.connectionClose = true
                } else {
                    noted.nominatesFields = true
                }
            }
        case .expect:
            guard Self.equal(text, value, "100-continue") else { return .unknownExpectation }
            noted.expectsContinue = true
        default: break
        }
        return nil
    }

    private func conclude(_ text: Span<UInt8>, _ noted: Noted, _ head: inout RequestHead) -> RequestRefusal? {
        if let refusal = settleHost(text, noted, &head) { return refusal }
        if let coding = noted.coding {
            if head.minorVersion == 0 { return .codingInHTTP10 }
            if noted.length != nil { return .lengthAndCoding }
            // One line and nothing but "chunked" is what every sender of a chunked request writes.
            if noted.codingLines > 1 { return .malformedCoding }
            if let refusal = Self.coding(text, coding) { return refusal }
            head.framing = .chunked
        } else if let length = noted.length, length > 0 {
            head.framing = .length(length)
        } else {
            head.framing = .none
        }
        head.names = noted.names
        head.nominatesFields = noted.nominatesFields
        head.keepAlive = !noted.connectionClose && (head.minorVersion == 1 || noted.connectionKeepAlive)
        head.expectsContinue = noted.expectsContinue && head.minorVersion == 1 && head.framing != .none
        return nil
    }

    private func settleHost(_ text: Span<UInt8>, _ noted: Noted, _ head: inout RequestHead) -> RequestRefusal?
    {
        guard let host = noted.host else {
            if head.minorVersion == 1 { return .missingHost }
            return nil
        }
        guard AuthorityReader.isValid(text, host) else { return .malformedHost }
        if let authority = head.authorityRange {
            let defaultPort = head.isAbsoluteForm ? Self.defaultPort(text, head.targetRange) : -1
            guard AuthorityReader.equal(text, host, authority, defaultPort: defaultPort) else {
                return .hostMismatch
            }
        } else {
            head.authorityRange = host
        }
        return nil
    }

    /// A Content-Length value: digits alone, below 2^63.
    static func length(_ text: Span<UInt8>, _ range: Range<Int>) -> UInt64? {
        guard !range.isEmpty, range.count <= 19 else { return nil }
        var value: UInt64 = 0
        for index in range {
            guard Octet.isDigit(text[index]) else { return nil }
            value = value &* 10 &+ UInt64(text[index] &- 48)
        }
        return value > UInt64(Int64.max) ? nil : value
    }

    /// Transfer-Encoding: `chunked` alone; an unknown coding before a final chunked is 501, all else 400.
    private static func coding(_ text: Span<UInt8>, _ range: Range<Int>) -> RequestRefusal? {
        if equal(text, range, "chunked") { return nil }
        var tokens: [Range<Int>] = []
        var start = range.lowerBound
        for index in range where text[index] == Octet.comma {
            tokens.append(ListReader.trim(text, start..<index))
            start = index + 1
        }
        tokens.append(ListReader.trim(text, start..<range.upperBound))
        guard let last = tokens.last, tokens.count > 1, equal(text, last, "chunked") else {
            return .malformedCoding
        }
        for token in tokens.dropLast() {
            guard !token.isEmpty, !equal(text, token, "chunked"), !equal(text, token, "identity") else {
                return .malformedCoding
            }
            for index in token where !Octet.isToken(text[index]) { return .malformedCoding }
        }
        return .unknownCoding
    }

    private static func equal(_ text: Span<UInt8>, _ range: Range<Int>, _ literal: StaticString) -> Bool {
        guard range.count == literal.utf8CodeUnitCount else { return false }
        for offset in 0..<range.count
        where Octet.lower(text[range.lowerBound + offset]) != literal.utf8Start[offset] { return false }
        return true
    }
}

/// The comma-separated lists of RFC 9110 5.6.1.
enum ListReader {
    static func trim(_ text: Span<UInt8>, _ range: Range<Int>) -> Range<Int> {
        var start = range.lowerBound
        var end = range.upperBound
        while start < end, Octet.isWhitespace(text[start]) { start += 1 }
        while end > start, Octet.isWhitespace(text[end - 1]) { end -= 1 }
        return start..<end
    }

    @inline(__always)
    static func forEachToken(_ text: Span<UInt8>, _ range: Range<Int>, _ body: (Range<Int>) -> Void) {
        var start = range.lowerBound
        var index = start
        while index <= range.upperBound {
            if index == range.upperBound || text[index] == Octet.comma {
                let token = trim(text, start..<index)
                if !token.isEmpty { body(token) }
                start = index + 1
            }
            index += 1
        }
    }
}
