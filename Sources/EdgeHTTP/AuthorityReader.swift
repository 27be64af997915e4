/// `uri-host [":" port]` (RFC 9110 4.2, 7.2), without userinfo.
public enum AuthorityReader {
    /// Whether `bytes` are a host with an optional port.
    public static func isValid(_ bytes: [UInt8]) -> Bool { isValid(bytes.span, 0..<bytes.count) }

    static func isValid(_ text: Span<UInt8>, _ range: Range<Int>) -> Bool {
        var index = range.lowerBound
        let end = range.upperBound
        guard index < end else { return false }
        if text[index] == UInt8(ascii: "[") {
            // IP-literal (RFC 3986 3.2.2). IPvFuture is refused: nobody can connect to one.
            var close = index + 1
            while close < end, text[close] != UInt8(ascii: "]") { close += 1 }
            guard close < end, isIPv6(text, (index + 1)..<close) else { return false }
            index = close + 1
        } else {
            let start = index
            while index < end, isNameOctet(text[index]) {
                if text[index] == UInt8(ascii: "%") {
                    guard index + 2 < end, Octet.hexValue(text[index + 1]) != nil,
                        Octet.hexValue(text[index + 2]) != nil
                    else { return false }
                }
                index += 1
            }
            guard index > start else { return false }
        }
        if index == end { return true }
        guard text[index] == Octet.colon, end - index <= 6 else { return false }
        var port = 0
        for digit in (index + 1)..<end {
            guard Octet.isDigit(text[digit]) else { return false }
            port = port * 10 + Int(text[digit] &- 48)
        }
        return port <= 65_535
    }

    /// IPv6address (RFC 3986 3.2.2): eight groups of one to four hexadecimal digits, of which `::` stands for
    /// one or more once, and the last two may be written as an IPv4 address. No zone.
    private static func isIPv6(_ text: Span<UInt8>, _ range: Range<Int>) -> Bool {
        var index = range.lowerBound
        let end = range.upperBound
        var groups = 0
        var hasGap = false
        if index + 1 < end, text[index] == Octet.colon, text[index + 1] == Octet.colon {
            hasGap = true
            index += 2
        }
        while index < end {
            let start = index
            while index < end, Octet.hexValue(text[index]) != nil { index += 1 }
            if index < end, text[index] == UInt8(ascii: ".") {
                guard isIPv4(text, start..<end) else { return false }
                groups += 2
                break
            }
            guard (1...4).contains(index - start) else { return false }
            groups += 1
            if index == end { break }
            // A colon is followed by a group, or by the second colon of the only gap.
            guard text[index] == Octet.colon, index + 1 < end else { return false }
            index += 1
            if text[index] == Octet.colon {
                guard !hasGap else { return false }
                hasGap = true
                index += 1
            }
        }
        return hasGap ? groups <= 7 : groups == 8
    }

    /// IPv4address (RFC 3986 3.2.2): four numbers up to 255 without leading zeros.
    private static func isIPv4(_ text: Span<UInt8>, _ range: Range<Int>) -> Bool {
        var index = range.lowerBound
        for place in 0..<4 {
            if place > 0 {
                guard index < range.upperBound, text[index] == UInt8(ascii: ".") else { return false }
                index += 1
            }
            let start = index
            var value = 0
            while index < range.upperBound, index - start < 3, Octet.isDigit(text[index]) {
                value = value * 10 + Int(text[index] &- 48)
                index += 1
            }
            guard index > start, value <= 255, index - start == 1 || text[start] != 48 else { return false }
        }
        return index == range.upperBound
    }

    /// unreserved, sub-delims and percent (RFC 3986 3.2.2).
    @inline(__always)
    private static func isNameOctet(_ byte: UInt8) -> Bool {
        if Octet.lower(byte) &- 97 < 26 || Octet.isDigit(byte) { return true }
        switch byte {
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "!"),
            UInt8(ascii: "$"), UInt8(ascii: "&"), UInt8(ascii: "'"), UInt8(ascii: "("), UInt8(ascii: ")"),
            UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: ";"), UInt8(ascii: "="), UInt8(ascii: "%"):
            return true
        default: return false
        }
    }

    /// Whether two valid authorities are the same, whatever the case of their letters, dots that end the host, and
    /// whether and how the port is written.
    static func equal(
        _ text: Span<UInt8>, _ left: Range<Int>, _ right: Range<Int>, defaultPort: Int
    ) -> Bool {
        let (left, leftPort) = split(text, left)
        let (right, rightPort) = split(text, right)
        guard left.count == right.count, (leftPort ?? defaultPort) == (rightPort ?? defaultPort) else {
            return false
        }
        for offset in 0..<left.count
        where Octet.lower(text[left.lowerBound + offset]) != Octet.lower(text[right.lowerBound + offset]) {
            return false
        }
        return true
    }

    /// A valid authority without its port where that is `defaultPort`.
    static func trimmed(_ text: Span<UInt8>, _ range: Range<Int>, defaultPort: Int) -> Range<Int> {
        let (host, port) = split(text, range)
        return port == defaultPort ? host : range
    }

    /// The host without dots that end it, and the port; nil where none is written.
    private static func split(_ text: Span<UInt8>, _ range: Range<Int>) -> (host: Range<Int>, port: Int?) {
        var end = range.upperBound
        while end > range.lowerBound, Octet.isDigit(text[end - 1]) { end -= 1 }
        var port: Int?
        if end > range.lowerBound, text[end - 1] == Octet.colon {
            for digit in end..<range.upperBound { port = (port ?? 0) * 10 + Int(text[digit] &- 48) }
            end -= 1
        } else {
            end = range.upperBound
        }
        while end > range.lowerBound + 1, text[end - 1] == UInt8(ascii: ".") { end -= 1 }
        return (range.lowerBound..<end, port)
    }
}
