import EdgeHTTP
import EdgePrimitives

/// The glob of a rule, and what it is when its escapes are decoded: a rule for `/caf%C3%A9/*` is one for
/// `/café/*` too, so that it matches every reading of such a path. Escapes of `*` and `?`, and those that a
/// client writes in another case, match only as they are written.
struct PathPattern: Sendable {
    let glob: Glob
    private let decoded: [Glob]

    init(_ pattern: String) {
        glob = Glob(pattern)
        var decoded: [Glob] = []
        var text = Array(pattern.utf8)
        while let next = Self.decode(text), decoded.count < PathReadings.maxDecodings {
            decoded.append(Glob(next))
            text = next
        }
        self.decoded = decoded
    }

    func matches(_ path: ArraySlice<UInt8>) -> Bool {
        glob.matches(path) || (!decoded.isEmpty && decoded.contains { $0.matches(path) })
    }

    /// The pattern with its escapes decoded, but for those of `*` and `?`, which would become wildcards; nil
    /// where there is nothing to decode.
    private static func decode(_ pattern: [UInt8]) -> [UInt8]? {
        var result: [UInt8] = []
        var index = 0
        while index < pattern.count {
            if pattern[index] == UInt8(ascii: "%"), index + 2 < pattern.count,
                let high = Octet.hexValue(pattern[index + 1]), let low = Octet.hexValue(pattern[index + 2]),
                case let octet = UInt8(high << 4 | low), octet != UInt8(ascii: "*"),
                octet != UInt8(ascii: "?")
            {
                result.append(octet)
                index += 3
            } else {
                result.append(pattern[index])
                index += 1
            }
        }
        return result.count < pattern.count ? result : nil
    }
}
