import EdgeHTTP

/// An Accept-Encoding or Accept-Language value (RFC 9110 12.5.3, 12.5.4): names with qualities.
struct PreferenceList: Sendable, Equatable {
    struct Member: Sendable, Equatable {
        /// In lower case.
        let name: [UInt8]
        /// In thousandths.
        let quality: Int
    }

    /// The members that could be read, sorted by name; of a name that came twice, the higher quality.
    let members: [Member]
    /// Whether all members that count could be read.
    let isWellFormed: Bool

    /// Reads the first ``CountedLists/maxPreferences`` members of a value.
    init(_ value: [UInt8], canonical: ([UInt8]) -> [UInt8] = { $0 }) {
        var members: [Member] = []
        var isWellFormed = true
        for part in ListMembers(value[...]).prefix(CountedLists.maxPreferences) {
            guard let member = Self.parse(part, canonical) else {
                isWellFormed = false
                continue
            }
            guard let index = members.firstIndex(where: { $0.name == member.name }) else {
                members.append(member)
                continue
            }
            if members[index].quality < member.quality { members[index] = member }
        }
        self.members = members.sorted { $0.name.lexicographicallyPrecedes($1.name) }
        self.isWellFormed = isWellFormed
    }

    /// The name that is wanted more than every other; nil on a tie, for a wildcard, or for a malformed list.
    var mostWanted: [UInt8]? {
        guard isWellFormed, let top = members.max(by: { $0.quality < $1.quality }), top.quality > 0,
            top.name != Self.wildcard, members.count(where: { $0.quality == top.quality }) == 1
        else { return nil }
        return top.name
    }

    /// Whether `name` is listed, or covered by the wildcard, with a quality above zero.
    func accepts(_ name: [UInt8]) -> Bool {
        if let member = members.first(where: { $0.name == name }) { return member.quality > 0 }
        return members.contains { $0.name == Self.wildcard && $0.quality > 0 }
    }

    /// Whether an answer without a content coding is acceptable (RFC 9110 12.5.3): unless `identity`, or else
    /// the wildcard, is ruled out.
    var acceptsIdentity: Bool {
        let named = members.first { $0.name == ContentCoding.identity }
        return (named ?? members.first { $0.name == Self.wildcard })?.quality != 0
    }

    /// The names that `keeping` lets through, sorted, without their qualities.
    func nameBytes(keeping: ([UInt8]) -> Bool) -> [UInt8] {
        Array(members.lazy.map(\.name).filter(keeping).joined(separator: [Octet.comma]))
    }

    /// The members that `keeping` lets through, `name` or `name;q=0.5`, sorted.
    func canonicalBytes(keeping: ([UInt8]) -> Bool) -> [UInt8] {
        var bytes: [UInt8] = []
        for member in members where keeping(member.name) {
            if !bytes.isEmpty { bytes.append(Octet.comma) }
            bytes.append(contentsOf: member.name)
            guard member.quality < 1000 else { continue }
            bytes.append(contentsOf: ";q=0".utf8)
            guard member.quality > 0 else { continue }
            bytes.append(UInt8(ascii: "."))
            var rest = member.quality
            var unit = 100
            while rest > 0 {
                bytes.append(48 + UInt8(rest / unit))
                rest %= unit
                unit /= 10
            }
        }
        return bytes
    }

    private static let wildcard = [UInt8(ascii: "*")]

    private static func parse(_ part: ArraySlice<UInt8>, _ canonical: ([UInt8]) -> [UInt8]) -> Member? {
        guard let semicolon = part.firstIndex(of: Octet.semicolon) else {
            return part.allSatisfy(Octet.isToken)
                ? Member(name: canonical(part.map(Octet.lower)), quality: 1000) : nil
        }
        let name = Octet.trim(part[..<semicolon])
        let weight = Octet.trim(part[(semicolon + 1)...])
        guard !name.isEmpty, name.allSatisfy(Octet.isToken), weight.count >= 3,
            Octet.lower(weight[weight.startIndex]) == UInt8(ascii: "q"),
            weight[weight.startIndex + 1] == Octet.equals, let quality = quality(weight.dropFirst(2))
        else { return nil }
        return Member(name: canonical(name.map(Octet.lower)), quality: quality)
    }

    /// A `qvalue` (RFC 9110 12.4.2) in thousandths; nil where it is not one.
    static func quality(_ text: ArraySlice<UInt8>) -> Int? {
        guard let first = text.first, first == 48 || first == 49 else { return nil }
        var value = Int(first - 48) * 1000
        let rest = text.dropFirst()
        if rest.isEmpty { return value }
        guard rest.first == UInt8(ascii: "."), rest.count <= 4 else { return nil }
        var unit = 100
        for byte in rest.dropFirst() {
            guard Octet.isDigit(byte) else { return nil }
            value += Int(byte - 48) * unit
            unit /= 10
        }
        return value <= 1000 ? value : nil
    }
}

/// The content codings that somebody has registered (IANA HTTP Content Coding Registry).
enum ContentCoding {
    static let identity = Array("identity".utf8)

    private static let registered: [[UInt8]] = [
        "gzip", "br", "zstd", "deflate", "identity", "*", "compress", "dcb", "dcz", "exi", "pack200-gzip",
        "aes128gcm",
    ].map { Array($0.utf8) }

    static func isRegistered(_ name: [UInt8]) -> Bool { registered.contains(name) }

    /// The current name of a coding: `x-gzip` and `x-compress` are old ones (RFC 9110 8.4.1).
    static func canonicalName(_ name: [UInt8]) -> [UInt8] {
        name.count > 2 && (name.elementsEqual("x-gzip".utf8) || name.elementsEqual("x-compress".utf8))
            ? Array(name.dropFirst(2)) : name
    }
}
