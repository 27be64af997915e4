import NIOCore

/// Writes the head of a plain hit: the stored head, then the fields that change from hit to hit.
///
/// One reservation and raw copies: this runs for every hit.
enum PlainHead {
    private static let age: StaticString = "Age: "
    private static let hit: StaticString = "\r\nCache-Status: rockpool; hit; ttl="
    private static let fresh: StaticString = "; detail=fresh"
    private static let heuristic: StaticString = "; detail=heuristic"
    private static let end: StaticString = "\r\n\r\n"
    private static let close: StaticString = "\r\nConnection: close\r\n\r\n"
    private static let keepAlive: StaticString = "\r\nConnection: keep-alive\r\n\r\n"

    static func write(
        _ stored: [UInt8], ageSeconds: Int64, ttlSeconds: Int64, isHeuristic: Bool, keepAlive: Bool,
        minorVersion: Int,
        into output: inout ByteBuffer
    ) {
        output.writeWithUnsafeMutableBytes(minimumWritableBytes: stored.count + 192) { memory in
            var cursor = Cursor(memory)
            stored.withUnsafeBytes { cursor.copy($0) }
            cursor.copy(age)
            cursor.decimal(UInt64(ageSeconds))
            cursor.copy(hit)
            cursor.decimal(UInt64(max(0, ttlSeconds)))
            cursor.copy(isHeuristic ? heuristic : fresh)
            cursor.copy(!keepAlive ? close : minorVersion == 0 ? Self.keepAlive : end)
            return cursor.written
        }
    }

    private struct Cursor {
        let memory: UnsafeMutableRawBufferPointer
        var written = 0

        init(_ memory: UnsafeMutableRawBufferPointer) { self.memory = memory }

        @inline(__always)
        mutating func copy(_ bytes: UnsafeRawBufferPointer) {
            precondition(written + bytes.count <= memory.count)
            guard let base = bytes.baseAddress, let target = memory.baseAddress else { return }
            (target + written).copyMemory(from: base, byteCount: bytes.count)
            written += bytes.count
        }

        @inline(__always)
        mutating func copy(_ text: StaticString) {
            copy(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
        }

        mutating func decimal(_ value: UInt64) {
            var digits = 1
            var bound: UInt64 = 10
            while digits < 20, value >= bound {
                digits += 1
                let (next, overflow) = bound.multipliedReportingOverflow(by: 10)
                bound = overflow ? .max : next
            }
            precondition(written + digits <= memory.count)
            var rest = value
            for index in stride(from: written + digits - 1, through: written, by: -1) {
                memory[index] = 48 + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            }
            written += digits
        }
    }
}
