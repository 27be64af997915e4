/// The paths that a path may mean to those who read it.
///
/// An origin, or what stands before it, may decode a path once or twice, take `\` for `/`, `//` for `/`,
/// remove dot segments (RFC 3986 5.2.4) and path parameters (`;…`, 3.3), and end at a decoded `?`, `#` or
/// NUL; and it may do several of these, in whatever order. These readings are all that come of that, the path
/// itself first.
public struct PathReadings: Sendable {
    /// Each once.
    public private(set) var texts: [[UInt8]]
    /// Whether there were more readings than are worked out. Nobody writes such a path but to be misread.
    public private(set) var isTooMany = false

    /// So many readings are worked out, of so many octets in all: with that, no path takes long.
    static let maxTexts = 64
    static let maxBytes = 32 * 1024
    public static let maxDecodings = 2

    private var byHash: [UInt64: Int] = [:]
    private var bytes = 0

    /// Whether a path has one reading: no `%`, `\`, `;`, `//` nor `/.` in it.
    @inlinable
    public static func isPlain(_ path: ArraySlice<UInt8>) -> Bool {
        path.withUnsafeBufferPointer { octets in
            var previous: UInt8 = 0
            for octet in octets {
                switch octet {
                case UInt8(ascii: "%"), UInt8(ascii: "\\"), UInt8(ascii: ";"): return false
                case UInt8(ascii: "/"), UInt8(ascii: "."):
                    if previous == UInt8(ascii: "/") { return false }
                default: break
                }
                previous = octet
            }
            return true
        }
    }

    public init(_ path: ArraySlice<UInt8>) {
        texts = []
        add(Array(path))
        guard !Self.isPlain(path) else { return }
        // All that comes without a further decoding, then what that decodes to: so each text is found with
        // the fewest decodings.
        var first = 0
        for decodings in 0...Self.maxDecodings {
            var next = first
            while next < texts.count {
                for step in Step.allCases { add(step.apply(to: texts[next])) }
                next += 1
            }
            guard decodings < Self.maxDecodings else { return }
            first = texts.count
            for index in 0..<first { add(Step.decoded(texts[index])) }
        }
    }

    private mutating func add(_ text: [UInt8]?) {
        guard let text, !isTooMany else { return }
        let hash = Self.hash(text)
        if let same = byHash[hash], texts[same] == text || texts.contains(text) { return }
        bytes += text.count
        guard texts.count < Self.maxTexts, texts.isEmpty || bytes <= Self.maxBytes else {
            isTooMany = true
            return
        }
        byHash[hash] = texts.count
        texts.append(text)
    }

    private static func hash(_ text: [UInt8]) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return hash
    }
}

/// One thing that a reader may do to a path. Nil: it changes nothing.
private enum Step: CaseIterable {
    case cut, slashes, parameters, merge, dots

    func apply(to path: [UInt8]) -> [UInt8]? {
        switch self {
        case .cut: path.firstIndex(where: Self.ends).map { Array(path[..<$0]) }
        case .slashes:
            path.contains(Octet.backslash) ? path.map { $0 == Octet.backslash ? Self.slash : $0 } : nil
        case .parameters: Self.withoutParameters(path)
        case .merge: Self.merged(path)
        case .dots: Self.withoutDotSegments(path)
        }
    }

    private static let slash = UInt8(ascii: "/")
    private static let dot = UInt8(ascii: ".")

    /// A path as it comes has none of these: they are decoded ones.
    private static func ends(_ byte: UInt8) -> Bool {
        byte == 0 || byte == UInt8(ascii: "?") || byte == UInt8(ascii: "#")
    }

    static func decoded(_ path: [UInt8]) -> [UInt8]? {
        guard path.contains(UInt8(ascii: "%")) else { return nil }
        let result = Octet.percentDecoded(path[...])
        return result.count < path.count ? result : nil
    }

    private static func withoutParameters(_ path: [UInt8]) -> [UInt8]? {
        guard path.contains(Octet.semicolon) else { return nil }
        var result: [UInt8] = []
        result.reserveCapacity(path.count)
        var isParameter = false
        for byte in path {
            if byte == Octet.semicolon { isParameter = true }
            if byte == slash { isParameter = false }
            if !isParameter { result.append(byte) }
        }
        return result
    }

    private static func merged(_ path: [UInt8]) -> [UInt8]? {
        var result: [UInt8] = []
        result.reserveCapacity(path.count)
        for byte in path where byte != slash || result.last != slash { result.append(byte) }
        return result.count < path.count ? result : nil
    }

    /// RFC 3986 5.2.4, of a path that begins with a slash.
    private static func withoutDotSegments(_ path: [UInt8]) -> [UInt8]? {
        guard path.first == slash else { return nil }
        var result: [UInt8] = []
        result.reserveCapacity(path.count)
        var start = 1
        while start <= path.count {
            let end = path[start...].firstIndex(of: slash) ?? path.count
            let segment = path[start..<end]
            let isLast = end == path.count
            if segment.count == 1, segment.first == dot {
                if isLast { result.append(slash) }
            } else if segment.count == 2, segment.first == dot, segment.last == dot {
                while let last = result.popLast(), last != slash {}
                if isLast { result.append(slash) }
            } else {
                result.append(slash)
                result.append(contentsOf: segment)
            }
            start = end + 1
        }
        return result.count < path.count ? result : nil
    }
}

extension Octet {
    /// `text` with its percent-encoding undone once (RFC 3986 2.1); a percent sign without two hexadecimal
    /// digits stays.
    public static func percentDecoded(_ text: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var index = text.startIndex
        while index < text.endIndex {
            if text[index] == UInt8(ascii: "%"), index + 2 < text.endIndex,
                let high = Octet.hexValue(text[index + 1]), let low = Octet.hexValue(text[index + 2])
            {
                result.append(UInt8(high << 4 | low))
                index += 3
            } else {
                result.append(text[index])
                index += 1
            }
        }
        return result
    }
}
