/// Why an origin's response is refused: it could be read in two ways, or not at all.
public enum ResponseRefusal: String, Error, Sendable, CaseIterable {
    case bareLineFeed = "bare LF"
    case bareCarriageReturn = "bare CR"
    case malformedStatusLine = "malformed status line"
    case versionNotSupported = "HTTP version not supported on this connection"
    case switchingProtocols = "101 that nobody asked for"
    case foldedLine = "obsolete line folding"
    case malformedFieldName = "malformed field name"
    case malformedFieldValue = "control byte in a field value"
    case lengthAndCoding = "Content-Length with Transfer-Encoding"
    case malformedLength = "malformed Content-Length"
    case differingLengths = "differing Content-Length"
    case malformedCoding = "malformed Transfer-Encoding"
    case codingInHTTP10 = "Transfer-Encoding in HTTP/1.0"
    case tooManyFields = "too many fields"
    case headTooLarge = "header section over the limit"
    case headIncomplete = "header section without its end"
    case tooManyInterims = "too many interim responses"
    case trailersTooLarge = "trailer section over the limit"
    case malformedTrailerEnd = "trailer line without its end"
}

/// Reads an origin's response head line by line, as strictly as requests are read (RFC 9112 2 to 6).
public struct ResponseHeadParser: Sendable {
    public enum Event: Sendable {
        /// The line was taken; the section goes on.
        case needMore
        /// The section is complete.
        case head(ResponseHead)
        case refused(ResponseRefusal)
    }

    /// All but the tags, which go no further than this node.
    public static let maxSectionBytes = 64 * 1024
    /// Lines of Surrogate-Key and Cache-Tag: more than count (128 KiB), so that a response with too many is served and
    /// not kept. libcurl gives up at 300 KiB.
    public static let maxTagBytes = 192 * 1024
    public static let maxFields = 256
    /// Interim responses before one final one; their heads together may be as large as one section.
    public static let maxInterims = 32

    private var head: ResponseHead?
    private var sectionBytes = 0
    private var tagBytes = 0
    private var interims = 0
    private var interimBytes = 0
    private var contentLength: UInt64?
    private var codingLines = 0

    public init() {}

    /// Whether a section has begun and its blank line has not come.
    public var isInsideHead: Bool { head != nil }

    /// Takes one line with its line end.
    public mutating func read(line: UnsafeBufferPointer<UInt8>) -> Event {
        let count = line.count
        guard count >= 2, line[count - 1] == Octet.lf, line[count - 2] == Octet.cr else {
            return .refused(line.last == Octet.lf ? .bareLineFeed : .headIncomplete)
        }
        let text = UnsafeBufferPointer(rebasing: line[0..<(count - 2)])
        sectionBytes += count
        let event = head == nil ? statusLine(text) : text.isEmpty ? end() : field(text)
        if sectionBytes > Self.maxSectionBytes || tagBytes > Self.maxTagBytes {
            return .refused(.headTooLarge)
        }
        return event
    }

    private mutating func statusLine(_ text: UnsafeBufferPointer<UInt8>) -> Event {
        // "HTTP/1.1 200 OK": version, space, three digits, then nothing or a space and the phrase.
        guard text.count >= 5, text[0..<5].elementsEqual("HTTP/".utf8),
            let space = text.firstIndex(of: Octet.space)
        else { return .refused(.malformedStatusLine) }
        let minor: Int
        let version = text[5..<space]
        if version.elementsEqual("1.1".utf8) {
            minor = 1
        } else if version.elementsEqual("1.0".utf8) {
            minor = 0
        } else {
            return .refused(.versionNotSupported)
        }
        guard text.count >= space + 4, text[(space + 1)..<(space + 4)].allSatisfy(Octet.isDigit),
            text.count == space + 4 || text[space + 4] == Octet.space
        else { return .refused(.malformedStatusLine) }
        let status = text[(space + 1)..<(space + 4)].reduce(0) { $0 * 10 + Int($1 - 48) }
        guard status >= 100 else { return .refused(.malformedStatusLine) }
        if status == 101 { return .refused(.switchingProtocols) }
        let phrase = text.count > space + 5 ? Array(text[(space + 5)...]) : []
        if phrase.contains(Octet.cr) { return .refused(.bareCarriageReturn) }
        guard phrase.allSatisfy(Octet.isFieldValue) else { return .refused(.malformedStatusLine) }
        head = ResponseHead(status: status, minorVersion: minor, reason: Array(Octet.trim(phrase[...])))
        return .needMore
    }

    private mutating func field(_ text: UnsafeBufferPointer<UInt8>) -> Event {
        let line: LineText
        switch LineText.read(text) {
        case .refused(let refusal): return .refused(refusal)
        case .line(let read): line = read
        }
        guard (head?.fields.count ?? 0) < Self.maxFields else { return .refused(.tooManyFields) }
        let value = text[line.value]
        switch FieldName.recognise(UnsafeBufferPointer(rebasing: text[line.name])) {
        case .contentLength:
            guard let length = Self.length(value) else { return .refused(.malformedLength) }
            if let before = contentLength {
                return before == length ? .needMore : .refused(.differingLengths)
            }
            contentLength = length
        case .transferEncoding:
            codingLines += 1
            guard codingLines == 1, Octet.equalIgnoringCase(value, "chunked".utf8) else {
                return .refused(.malformedCoding)
            }
        case .surrogateKey, .cacheTag:
            sectionBytes -= text.count + 2
            tagBytes += text.count + 2
        default: break
        }
        head?.fields.append(name: text[line.name], value: value)
        return .needMore
    }

    private static func length(_ value: Slice<UnsafeBufferPointer<UInt8>>) -> UInt64? {
        guard !value.isEmpty, value.count <= 18, value.allSatisfy(Octet.isDigit) else { return nil }
        return value.reduce(0) { $0 * 10 + UInt64($1 - 48) }
    }

    private mutating func end() -> Event {
        guard let finished = head else { return .refused(.malformedStatusLine) }
        if codingLines > 0 {
            if contentLength != nil { return .refused(.lengthAndCoding) }
            if finished.minorVersion == 0 { return .refused(.codingInHTTP10) }
        }
        if finished.isInterim {
            // Nothing else ends a pull whose origin says for ever that it is about to answer.
            interims += 1
            interimBytes += sectionBytes + tagBytes
            guard interims <= Self.maxInterims, interimBytes <= Self.maxSectionBytes else {
                return .refused(.tooManyInterims)
            }
        }
        head = nil
        sectionBytes = 0
        tagBytes = 0
        contentLength = nil
        codingLines = 0
        return .head(finished)
    }
}

/// Where name and value stand in one field line without its line end (RFC 9112 5).
struct LineText {
    enum Event {
        case line(LineText)
        case refused(ResponseRefusal)
    }

    let name: Range<Int>
    let value: Range<Int>

    static func read(_ text: UnsafeBufferPointer<UInt8>) -> Event {
        if let first = text.first, Octet.isWhitespace(first) { return .refused(.foldedLine) }
        var colon = 0
        while colon < text.count, Octet.isToken(text[colon]) { colon += 1 }
        guard colon > 0, colon < text.count, text[colon] == Octet.colon else {
            return .refused(.malformedFieldName)
        }
        var start = colon + 1
        var end = text.count
        while start < end, Octet.isWhitespace(text[start]) { start += 1 }
        while end > start, Octet.isWhitespace(text[end - 1]) { end -= 1 }
        for index in start..<end where !Octet.isFieldValue(text[index]) {
            return .refused(text[index] == Octet.cr ? .bareCarriageReturn : .malformedFieldValue)
        }
        return .line(LineText(name: 0..<colon, value: start..<end))
    }
}

extension Octet {
    /// Whether `left` spells the ASCII text `right` in any case.
    public static func equalIgnoringCase(_ left: some Collection<UInt8>, _ right: String.UTF8View) -> Bool {
        left.count == right.count && zip(left, right).allSatisfy { lower($0) == lower($1) }
    }
}
