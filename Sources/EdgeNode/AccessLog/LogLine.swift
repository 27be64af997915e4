import EdgeHTTP
import EdgePrimitives

/// Writes log text into a piece of memory and stops at its end: what does not fit is not written at all, and
/// ``isFull`` says so.
///
/// Whatever a client sent goes through ``json(_:)`` or ``escaped(_:)``: no byte of it ends a line or a field, or
/// reaches a terminal as a control character.
struct LogLine {
    private let start: UnsafeMutablePointer<UInt8>
    private var next: UnsafeMutablePointer<UInt8>
    private let end: UnsafeMutablePointer<UInt8>
    private(set) var isFull = false

    init(_ start: UnsafeMutablePointer<UInt8>, capacity: Int) {
        self.start = start
        next = start
        end = start + capacity
    }

    var count: Int { next - start }

    /// Whether `count` more bytes fit; else the line is given up.
    @inline(__always)
    private mutating func hasRoom(_ count: Int) -> Bool {
        if end - next >= count { return true }
        isFull = true
        return false
    }

    @inline(__always)
    mutating func byte(_ byte: UInt8) {
        guard hasRoom(1) else { return }
        next.pointee = byte
        next += 1
    }

    @inline(__always)
    mutating func literal(_ text: StaticString) {
        let length = text.utf8CodeUnitCount
        guard hasRoom(length) else { return }
        next.update(from: text.utf8Start, count: length)
        next += length
    }

    /// Bytes of our own that need no escaping.
    mutating func raw(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard let base = bytes.baseAddress, hasRoom(bytes.count) else { return }
        next.update(from: base, count: bytes.count)
        next += bytes.count
    }

    mutating func raw(_ bytes: [UInt8]) { bytes.withUnsafeBufferPointer { raw($0) } }

    mutating func decimal(_ value: Int64) {
        guard hasRoom(20) else { return }
        var rest = value.magnitude
        if value < 0 { byte(UInt8(ascii: "-")) }
        var digits = 1
        var limit: UInt64 = 10
        while digits < 20, rest >= limit {
            digits += 1
            limit = limit.multipliedReportingOverflow(by: 10).overflow ? .max : limit * 10
            if limit == .max { break }
        }
        if digits == 19, rest >= 10_000_000_000_000_000_000 { digits = 20 }
        for index in stride(from: digits - 1, through: 0, by: -1) {
            next[index] = UInt8(truncatingIfNeeded: rest % 10) + 48
            rest /= 10
        }
        next += digits
    }

    /// Three digits.
    mutating func milliseconds(_ value: Int64) {
        guard hasRoom(3) else { return }
        next[0] = UInt8(truncatingIfNeeded: value / 100 % 10) + 48
        next[1] = UInt8(truncatingIfNeeded: value / 10 % 10) + 48
        next[2] = UInt8(truncatingIfNeeded: value % 10) + 48
        next += 3
    }

    // MARK: JSON

    /// A JSON string. What is not UTF-8 becomes U+FFFD; whatever does not show as itself (``PlainText/shows(_:)``) is
    /// escaped. Of more than `limit` bytes the rest is left out, and the text ends with how many those are.
    mutating func json(_ whole: UnsafeBufferPointer<UInt8>, limit: Int = .max) {
        let bytes = Self.cut(whole, limit)
        guard hasRoom(bytes.count * 6 + 2 + Self.largestMark) else { return }
        put(Octet.quote)
        var index = copyPlain(bytes)
        while index < bytes.count {
            let byte = bytes[index]
            switch byte {
            case Octet.quote, Octet.backslash:
                put(Octet.backslash)
                put(byte)
                index += 1
            case 0..<32, 127:
                putUnicode(UInt16(byte))
                index += 1
            case 32..<127:
                put(byte)
                index += 1
            default: index += putScalar(UnsafeBufferPointer(rebasing: bytes[index...]))
            }
        }
        if bytes.count < whole.count { mark(cut: whole.count - bytes.count) }
        put(Octet.quote)
    }

    mutating func json(_ bytes: [UInt8], limit: Int = .max) {
        bytes.withUnsafeBufferPointer { json($0, limit: limit) }
    }

    // MARK: Long texts

    /// `...(+N)` with the largest number there is.
    private static let largestMark = 26

    /// The front of `bytes` that a log shows: no character of UTF-8 is cut in its middle.
    private static func cut(_ bytes: UnsafeBufferPointer<UInt8>, _ limit: Int) -> UnsafeBufferPointer<UInt8> {
        guard bytes.count > limit else { return bytes }
        var end = limit
        while end > 0, limit - end < 3, bytes[end] & 0xc0 == 0x80 { end -= 1 }
        return UnsafeBufferPointer(rebasing: bytes[..<(bytes[end] & 0xc0 == 0x80 ? limit : end)])
    }

    /// Says that so many bytes were left out; see ``PlainText/cutMark(bytes:)``.
    private mutating func mark(cut count: Int) {
        literal("...(+")
        decimal(Int64(count))
        byte(UInt8(ascii: ")"))
    }

    @inline(__always)
    private mutating func put(_ byte: UInt8) {
        next.pointee = byte
        next += 1
    }

    /// Copies bytes that need no escape in either format, eight at a time, up to the first group that may hold one
    /// that does; the number of bytes copied.
    @inline(__always)
    private mutating func copyPlain(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
        let memory = UnsafeRawBufferPointer(bytes)
        let ones: UInt64 = 0x0101_0101_0101_0101
        var index = 0
        while index + 8 <= memory.count {
            let group = memory.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            let quotes = group ^ (ones &* 0x22)
            let slashes = group ^ (ones &* 0x5c)
            let deletes = group ^ (ones &* 0x7f)
            let found =
                ((quotes &- ones) & ~quotes) | ((slashes &- ones) & ~slashes) | ((deletes &- ones) & ~deletes)
                | ((group &- (ones &* 0x20)) & ~group) | group
            guard found & 0x8080_8080_8080_8080 == 0 else { break }
            UnsafeMutableRawPointer(next).storeBytes(of: group, as: UInt64.self)
            next += 8
            index += 8
        }
        return index
    }

    private static let hexadecimal: StaticString = "0123456789abcdef"

    private mutating func putDigit(_ value: UInt8) { put(Self.hexadecimal.utf8Start[Int(value & 15)]) }

    /// `\uXXXX`
    private mutating func putUnicode(_ value: UInt16) {
        put(Octet.backslash)
        put(UInt8(ascii: "u"))
        putDigit(UInt8(truncatingIfNeeded: value >> 12))
        putDigit(UInt8(truncatingIfNeeded: value >> 8))
        putDigit(UInt8(truncatingIfNeeded: value >> 4))
        putDigit(UInt8(truncatingIfNeeded: value))
    }

    /// One scalar outside ASCII from the front of `bytes`; how many bytes it took.
    private mutating func putScalar(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
        guard let length = Self.scalarLength(bytes) else {
            put(0xef)
            put(0xbf)
            put(0xbd)
            return 1
        }
        var value = UInt32(bytes[0] & (length == 2 ? 0x1f : length == 3 ? 0x0f : 0x07))
        for index in 1..<length { value = value << 6 | UInt32(bytes[index] & 0x3f) }
        guard let scalar = Unicode.Scalar(value), !PlainText.shows(scalar) else {
            for index in 0..<length { put(bytes[index]) }
            return length
        }
        if value < 0x1_0000 {
            putUnicode(UInt16(value))
        } else {
            putUnicode(UInt16(0xd800 + (value - 0x1_0000) >> 10))
            putUnicode(UInt16(0xdc00 + (value - 0x1_0000) & 0x3ff))
        }
        return length
    }

    /// How many bytes the well-formed sequence at the front takes (Unicode 15, table 3-7); nil where there is none.
    private static func scalarLength(_ bytes: UnsafeBufferPointer<UInt8>) -> Int? {
        let first = bytes[0]
        let length: Int
        var second: ClosedRange<UInt8> = 0x80...0xbf
        switch first {
        case 0xc2...0xdf: length = 2
        case 0xe0: (length, second) = (3, 0xa0...0xbf)
        case 0xed: (length, second) = (3, 0x80...0x9f)
        case 0xe1...0xef: length = 3
        case 0xf0: (length, second) = (4, 0x90...0xbf)
        case 0xf1...0xf3: length = 4
        case 0xf4: (length, second) = (4, 0x80...0x8f)
        default: return nil
        }
        guard bytes.count >= length, second.contains(bytes[1]) else { return nil }
        for index in 2..<max(2, length) where bytes[index] & 0xc0 != 0x80 { return nil }
        return length
    }

    // MARK: Combined format

    /// Text between quotes as the usual servers write it: quotes, backslashes and all but printable ASCII as `\xHH`. Of
    /// more than `limit` bytes the rest is left out, and the text ends with how many those are.
    mutating func escaped(_ whole: UnsafeBufferPointer<UInt8>, limit: Int = .max) {
        let bytes = Self.cut(whole, limit)
        guard hasRoom(bytes.count * 4 + Self.largestMark) else { return }
        for index in copyPlain(bytes)..<bytes.count {
            let byte = bytes[index]
            if byte < 32 || byte > 126 || byte == Octet.quote || byte == Octet.backslash {
                put(Octet.backslash)
                put(UInt8(ascii: "x"))
                putDigit(byte >> 4)
                putDigit(byte)
            } else {
                put(byte)
            }
        }
        if bytes.count < whole.count { mark(cut: whole.count - bytes.count) }
    }

    mutating func escaped(_ bytes: [UInt8], limit: Int = .max) {
        bytes.withUnsafeBufferPointer { escaped($0, limit: limit) }
    }

    /// The same, or a hyphen where there is nothing.
    mutating func escapedOrHyphen(_ bytes: UnsafeBufferPointer<UInt8>?, limit: Int = .max) {
        if let bytes, !bytes.isEmpty { escaped(bytes, limit: limit) } else { byte(UInt8(ascii: "-")) }
    }
}
