import EdgeHTTP

/// How much of a client's lists counts.
///
/// Nothing that people use lists more; a list of thousands only costs time, here and at the origin. What does
/// not count is not sent on either, so that no origin decides by what this node has not read.
public enum CountedLists {
    /// Of Accept, Accept-Charset, Accept-Encoding, Accept-Language, TE, and a client's Cache-Control, all
    /// lines of a name together.
    public static let maxPreferences = 32

    /// Takes from a request what does not count of its lists.
    ///
    /// If-None-Match and If-Match of a GET or HEAD keep ``EntityTag/maxMembers`` members: at worst that costs
    /// a 200 in place of a 304, or a 412. Of other methods they stay whole, since here nothing reads them,
    /// and half an If-None-Match would let a PUT overwrite what it was told to spare. A Range with more
    /// members than ``RangeSpecifier/maxMembers`` is ignored (RFC 9110 14.2), so it goes, with its If-Range.
    public static func trim(_ fields: inout FieldSection, method: Method) {
        for name in [FieldName.accept, .acceptEncoding, .acceptLanguage, .te, .cacheControl] {
            trim(&fields, to: maxPreferences, quoting(name)) { $0.name == name }
        }
        let bytes = fields.bytes
        trim(&fields, to: maxPreferences, .none) { isAcceptCharset($0, bytes) }
        guard method == .get || method == .head else { return }
        for name in [FieldName.ifMatch, .ifNoneMatch] {
            trim(&fields, to: EntityTag.maxMembers, .tags) { $0.name == name }
        }
        let hasLongRange = fields.lines.contains {
            $0.name == .range
                && exceeds(fields.value($0), RangeSpecifier.maxMembers, .none, counted: 0) != nil
        }
        if hasLongRange { fields.lines.removeAll { $0.name == .range || $0.name == .ifRange } }
    }

    /// What counts of the value of a field, its lines joined; the whole of a field that this does not limit.
    static func counted(_ value: [UInt8], _ name: [UInt8], _ known: FieldName) -> ArraySlice<UInt8> {
        switch known {
        case .accept, .acceptEncoding, .acceptLanguage, .te, .cacheControl: break
        case .other where Octet.equalIgnoringCase(name, acceptCharset): break
        default: return value[...]
        }
        guard let end = exceeds(value[...], maxPreferences, quoting(known), counted: 0) else {
            return value[...]
        }
        return value[..<end]
    }

    private static let acceptCharset = "accept-charset".utf8

    private static func isAcceptCharset(_ line: FieldLine, _ bytes: [UInt8]) -> Bool {
        line.name == .other && line.nameRange.count == acceptCharset.count
            && Octet.equalIgnoringCase(bytes[line.nameRange], acceptCharset)
    }

    private static func quoting(_ name: FieldName) -> ListMembers.Quoting {
        switch name {
        case .accept, .te, .cacheControl: .strings
        default: .none
        }
    }

    private static func trim(
        _ fields: inout FieldSection, to limit: Int, _ quoting: ListMembers.Quoting,
        _ isNamed: (FieldLine) -> Bool
    ) {
        // Each comma ends at most one member: nearly every request is done with here.
        var commas = 0
        var lines = 0
        for line in fields.lines where isNamed(line) {
            lines += 1
            for byte in fields.bytes[line.valueRange] where byte == Octet.comma { commas += 1 }
        }
        guard commas + lines > limit else { return }

        var counted = 0
        fields.lines = fields.lines.compactMap { line in
            guard isNamed(line) else { return line }
            guard counted < limit else { return nil }
            let value = fields.value(line)
            if let end = exceeds(value, limit, quoting, counted: counted) {
                counted = limit
                return FieldLine(
                    name: line.name, nameRange: line.nameRange, valueRange: value.startIndex..<end)
            }
            for _ in ListMembers(value, quoting: quoting) { counted += 1 }
            return line
        }
    }

    /// Where the last member that counts ends; nil where all of them do.
    private static func exceeds(
        _ value: ArraySlice<UInt8>, _ limit: Int, _ quoting: ListMembers.Quoting, counted: Int
    ) -> Int? {
        // A member takes an octet and its comma.
        guard value.count / 2 + 1 > limit - counted else { return nil }
        var counted = counted
        var end = value.startIndex
        for member in ListMembers(value, quoting: quoting) {
            guard counted < limit else { return end }
            counted += 1
            end = member.endIndex
        }
        return nil
    }
}
