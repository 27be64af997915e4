/// A 128-bit keyed digest, used as a cache key.
///
/// The two halves come from SipHash-1-3 in its 128-bit form (Aumasson and Bernstein, 2012) under a secret seed,
/// so that a client cannot construct two targets whose keys collide.
public struct Digest128: Hashable, Sendable {
    public let high: UInt64
    public let low: UInt64

    @inlinable
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    @inlinable
    public static func == (left: Digest128, right: Digest128) -> Bool {
        left.high == right.high && left.low == right.low
    }

    /// The low half is already uniform and secret: the hasher needs no more than that.
    @inlinable
    public func hash(into hasher: inout Hasher) {
        hasher.combine(low)
    }

    /// 32 lower-case hexadecimal digits.
    public var hexadecimal: String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(32)
        for half in [high, low] {
            for shift in stride(from: 60, through: 0, by: -4) {
                text.append(digits[Int((half >> UInt64(shift)) & 15)])
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}

/// The secret under which ``Digest128`` values are computed.
public struct DigestSeed: Sendable, Equatable {
    let first: UInt64
    let second: UInt64

    public init(first: UInt64, second: UInt64) {
        self.first = first
        self.second = second
    }

    /// The seed itself, for who has to keep it.
    public var words: (UInt64, UInt64) { (first, second) }

    /// A seed from the system's random source.
    public static func random() -> DigestSeed {
        var generator = SystemRandomNumberGenerator()
        return DigestSeed(first: generator.next(), second: generator.next())
    }

    /// The SipHash-1-3-128 digest of `bytes`: one compression and three finalisation rounds, the strength that
    /// hash tables in Rust and Ruby use against flooding.
    public func digest(_ bytes: UnsafeRawBufferPointer) -> Digest128 {
        var state = SipState(first, second)
        let count = bytes.count
        var offset = 0
        while offset + 8 <= count {
            state.compress(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
            offset += 8
        }
        var last = UInt64(truncatingIfNeeded: count) << 56
        var shift: UInt64 = 0
        while offset < count {
            last |= UInt64(bytes[offset]) << shift
            shift += 8
            offset += 1
        }
        state.compress(last)
        return state.finish()
    }

    /// The digests of the first so many octets of `bytes`, for each of `lengths` that is not longer: one pass.
    ///
    /// - Parameter lengths: in rising order.
    public func digests(
        ofPrefixes lengths: [Int], in bytes: UnsafeRawBufferPointer, _ body: (Digest128) -> Void
    ) {
        var state = SipState(first, second)
        var offset = 0
        for length in lengths {
            guard length <= bytes.count else { return }
            while offset + 8 <= length {
                state.compress(
                    UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
                offset += 8
            }
            var last = UInt64(truncatingIfNeeded: length) << 56
            for index in offset..<length { last |= UInt64(bytes[index]) << UInt64(8 * (index - offset)) }
            var ending = state
            ending.compress(last)
            body(ending.finish())
        }
    }

    /// The digest of `bytes`. See ``digest(_:)-swift.method``.
    public func digest(_ bytes: [UInt8]) -> Digest128 {
        bytes.withUnsafeBytes { digest($0) }
    }
}

private struct SipState {
    var v0: UInt64
    var v1: UInt64
    var v2: UInt64
    var v3: UInt64

    @inline(__always)
    init(_ k0: UInt64, _ k1: UInt64) {
        v0 = k0 ^ 0x736f_6d65_7073_6575
        v1 = k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee
        v2 = k0 ^ 0x6c79_6765_6e65_7261
        v3 = k1 ^ 0x7465_6462_7974_6573
    }

    @inline(__always)
    private static func rotate(_ value: UInt64, _ count: UInt64) -> UInt64 {
        (value << count) | (value >> (64 - count))
    }

    @inline(__always)
    mutating func round() {
        v0 = v0 &+ v1
        v1 = Self.rotate(v1, 13) ^ v0
        v0 = Self.rotate(v0, 32)
        v2 = v2 &+ v3
        v3 = Self.rotate(v3, 16) ^ v2
        v0 = v0 &+ v3
        v3 = Self.rotate(v3, 21) ^ v0
        v2 = v2 &+ v1
        v1 = Self.rotate(v1, 17) ^ v2
        v2 = Self.rotate(v2, 32)
    }

    @inline(__always)
    mutating func compress(_ word: UInt64) {
        v3 ^= word
        round()
        v0 ^= word
    }

    @inline(__always)
    mutating func finish() -> Digest128 {
        v2 ^= 0xee
        round()
        round()
        round()
        let low = v0 ^ v1 ^ v2 ^ v3
        v1 ^= 0xdd
        round()
        round()
        round()
        return Digest128(high: v0 ^ v1 ^ v2 ^ v3, low: low)
    }
}
