/// The octet classes of RFC 9110 and RFC 9112, as inlinable tests.
public enum Octet {
    public static let cr: UInt8 = 13
    public static let lf: UInt8 = 10
    public static let space: UInt8 = 32
    public static let tab: UInt8 = 9
    public static let comma: UInt8 = 44
    public static let colon: UInt8 = 58
    public static let semicolon: UInt8 = 59
    public static let quote: UInt8 = 34
    public static let backslash: UInt8 = 92
    public static let equals: UInt8 = 61

    /// `tchar` of RFC 9110 5.6.2, a bit for each octet below 128.
    @usableFromInline static let tokenLow: UInt64 = 0x03ff_6cfa_0000_0000
    @usableFromInline static let tokenHigh: UInt64 = 0x57ff_ffff_c7ff_fffe

    /// Whether `byte` may stand in a token (RFC 9110 5.6.2).
    @inlinable
    public static func isToken(_ byte: UInt8) -> Bool {
        if byte < 64 { return (tokenLow >> UInt64(byte)) & 1 == 1 }
        if byte < 128 { return (tokenHigh >> UInt64(byte &- 64)) & 1 == 1 }
        return false
    }

    /// Whether `byte` may stand in a field value: HTAB, SP, VCHAR or obs-text (RFC 9110 5.5).
    @inlinable
    public static func isFieldValue(_ byte: UInt8) -> Bool {
        (byte >= 32 && byte != 127) || byte == tab
    }

    @inlinable
    public static func isDigit(_ byte: UInt8) -> Bool { byte &- 48 < 10 }

    @inlinable
    public static func isWhitespace(_ byte: UInt8) -> Bool { byte == space || byte == tab }

    /// The lower-case form of an ASCII letter; any other octet unchanged.
    @inlinable
    public static func lower(_ byte: UInt8) -> UInt8 {
        byte &- 65 < 26 ? byte | 32 : byte
    }

    /// The value of a hexadecimal digit, or nil.
    @inlinable
    public static func hexValue(_ byte: UInt8) -> Int? {
        if isDigit(byte) { return Int(byte &- 48) }
        let low = byte | 32
        if low &- 97 < 6 { return Int(low &- 97) + 10 }
        return nil
    }

    /// Whether two octet strings are equal but for the case of ASCII letters.
    @inlinable
    public static func equalIgnoringCase(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>)
        -> Bool
    {
        guard left.count == right.count else { return false }
        var other = right.makeIterator()
        for byte in left {
            guard let match = other.next(), lower(byte) == lower(match) else { return false }
        }
        return true
    }

    /// `bytes` without leading and trailing spaces and tabs.
    @inlinable
    public static func trim(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var slice = bytes
        while let first = slice.first, isWhitespace(first) { slice.removeFirst() }
        while let last = slice.last, isWhitespace(last) { slice.removeLast() }
        return slice
    }
}
