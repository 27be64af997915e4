import EdgeHTTP

/// The secondary key of a stored response (RFC 9111 4.1): the fields of its request that Vary names,
/// normalised.
///
/// Normalised away are the order of the names in Vary, the case of field names, how values are spread over
/// lines, and white space around commas; in Accept-Encoding and Accept-Language, whose meaning is known,
/// also case, order and the spelling of quality values.
///
/// A request whose value differs still matches where its most wanted language or coding, by quality and
/// without a tie, is the one that the stored response has: the origin was seen to have it, and nothing
/// could be liked better. A tie, a wildcard on top or a malformed list leaves the choice to the origin.
///
/// Whether the request had an Origin selects too, though Vary does not name it: stores such as S3 send
/// Access-Control-Allow-Origin, and Vary with it, to such requests alone, so that what they sent to another can be of
/// no use to a page of another site. Which origin it was does not: that would take Vary.
public struct SecondaryKey: Sendable, Equatable {
    private struct Field: Sendable, Equatable {
        let name: [UInt8]
        let known: FieldName
        /// The value as it came; nil where the request had no such field.
        let raw: [UInt8]?
        let normalised: [UInt8]?
    }

    public let rule: VaryRule
    /// Whether the request had an Origin that the rule does not name.
    public let isWithOrigin: Bool
    private let fields: [Field]
    /// The one language of the stored response, in lower case, where it is known.
    private let language: [UInt8]?
    /// The codings of the stored response, in lower case; nil where the response is not known.
    private let codings: [[UInt8]]?

    /// The key of a response of which only the rule is known.
    public init(rule: VaryRule, request: FieldSection) {
        self.init(rule: rule, request: request, isWithOrigin: false, codings: nil, language: nil)
    }

    /// The key of `response` to a request that went to its origin with these fields; nil where nothing but the
    /// primary key selects it.
    public init?(request: FieldSection, response: FieldSection) {
        let rule = VaryRule.parse(response)
        guard rule != nil || request.contains(.origin) else { return nil }
        self.init(rule: rule ?? .none, request: request, response: response)
    }

    /// The key of `response`; with it, requests that want just its language or coding match as well.
    public init(rule: VaryRule, request: FieldSection, response: FieldSection) {
        let codings = Self.members(response, .contentEncoding).map(ContentCoding.canonicalName)
        let languages = Self.members(response, .contentLanguage)
        self.init(
            rule: rule, request: request,
            isWithOrigin: !rule.isStar && !rule.namesOrigin && request.contains(.origin),
            codings: codings.filter { $0 != ContentCoding.identity },
            language: languages.count == 1 ? languages[0] : nil)
    }

    private init(
        rule: VaryRule, request: FieldSection, isWithOrigin: Bool, codings: [[UInt8]]?, language: [UInt8]?
    ) {
        self.rule = rule
        self.isWithOrigin = isWithOrigin
        self.codings = codings
        self.language = language
        // Codings that nobody has registered say nothing to an origin that answered with a registered one.
        let keepsUnknown = Self.keepsUnknown(codings)
        fields = rule.names.map { name in
            let known = FieldName.recognise(name)
            let raw = Self.combined(request, name, known)
            return Field(
                name: name, known: known, raw: raw,
                normalised: raw.map { Self.normalise($0, known, keepsUnknownCodings: keepsUnknown) })
        }
    }

    /// Equal where the same rule and the same normalised values select the response.
    public static func == (left: SecondaryKey, right: SecondaryKey) -> Bool {
        left.rule == right.rule && !left.rule.isStar && left.isWithOrigin == right.isWithOrigin
            && left.fields.map(\.normalised) == right.fields.map(\.normalised)
    }

    /// How well a stored response fits a request.
    public enum Fit: Sendable {
        case none
        /// It may be chosen where nothing fits exactly.
        case near
        case exact
    }

    /// How well `response`, stored under `key`, fits a request.
    ///
    /// - Parameters:
    ///   - request: the request's fields; those that the key's rule touches as they are sent.
    ///   - hasOrigin: whether the request is sent with an Origin.
    public static func fit(
        of response: FieldSection, under key: SecondaryKey?, request: FieldSection, hasOrigin: Bool
    ) -> Fit {
        if let key {
            guard key.matches(request) else { return .none }
            if key.isExact(withOrigin: hasOrigin) { return .exact }
        } else if !hasOrigin {
            return .exact
        }
        // Who sends no Origin makes nothing of what was said to one.
        return !hasOrigin || response.contains(.accessControlAllowOrigin) ? .near : .none
    }

    /// Whether the request of the stored response had an Origin as this one has, or the rule says which it was.
    public func isExact(withOrigin hasOrigin: Bool) -> Bool { rule.namesOrigin || isWithOrigin == hasOrigin }

    /// Whether the fields of `request` select the stored response; never under Vary: *.
    public func matches(_ request: FieldSection) -> Bool {
        guard !rule.isStar else { return false }
        for field in fields where !matches(request, field) { return false }
        return true
    }

    /// The normalised selecting fields, one `name:value` a line, `name` alone where the field was absent;
    /// for logs.
    public var selectionBytes: [UInt8] {
        if rule.isStar { return [UInt8(ascii: "*")] }
        var bytes: [UInt8] = []
        for field in fields {
            if !bytes.isEmpty { bytes.append(Octet.lf) }
            bytes.append(contentsOf: field.name)
            guard let value = field.normalised else { continue }
            bytes.append(Octet.colon)
            bytes.append(contentsOf: value)
        }
        if isWithOrigin {
            if !bytes.isEmpty { bytes.append(Octet.lf) }
            bytes.append(contentsOf: "origin:*".utf8)
        }
        return bytes
    }

    /// The selecting fields as the request had them, each on one line: what a store keeps on disk. A key
    /// made from them and the same response is equal to this one. Which Origin it was is not kept where it does not
    /// select.
    public var selectingFields: FieldSection {
        var section = FieldSection()
        for field in fields {
            guard let raw = field.raw else { continue }
            section.append(name: field.name, value: raw)
        }
        if isWithOrigin { section.append(.origin, "*") }
        return section
    }

    // MARK: One field

    private func matches(_ request: FieldSection, _ field: Field) -> Bool {
        if let isSame = Self.singleLineEquals(request, field.name, field.known, field.raw), isSame {
            return true
        }
        let raw = Self.combined(request, field.name, field.known)
        if raw == field.raw { return true }
        guard let raw else { return false }
        switch field.known {
        case .acceptEncoding:
            return matchesEncoding(raw, field)
        case .acceptLanguage:
            if Self.normalise(raw, .acceptLanguage, keepsUnknownCodings: true) == field.normalised {
                return true
            }
            guard let language else { return false }
            return PreferenceList(raw).mostWanted == language
        default:
            return Self.normalise(raw, field.known, keepsUnknownCodings: true) == field.normalised
        }
    }

    private func matchesEncoding(_ raw: [UInt8], _ field: Field) -> Bool {
        let keepsUnknown = Self.keepsUnknown(codings)
        let isEqual =
            Self.normalise(raw, .acceptEncoding, keepsUnknownCodings: keepsUnknown) == field.normalised
        guard let codings else { return isEqual }
        let list = PreferenceList(raw, canonical: ContentCoding.canonicalName)
        if isEqual {
            // An origin that read a malformed list in its own way may have sent a coding that the list
            // doesn't hold.
            return codings.allSatisfy { list.accepts($0) }
        }
        switch codings.count {
        case 0:
            // An empty list wants the identity alone (RFC 9110 12.5.3).
            return list.isWellFormed && (list.members.isEmpty || list.mostWanted == ContentCoding.identity)
        case 1: return list.mostWanted == codings[0]
        default: return false
        }
    }

    private static func keepsUnknown(_ codings: [[UInt8]]?) -> Bool {
        guard let codings else { return true }
        return !codings.allSatisfy(ContentCoding.isRegistered)
    }

    /// Whether the request's value is `raw`, without an allocation; nil where it came in more lines than one.
    private static func singleLineEquals(
        _ request: FieldSection, _ name: [UInt8], _ known: FieldName, _ raw: [UInt8]?
    ) -> Bool? {
        var found: FieldLine?
        for line in request.lines where isNamed(request, line, name, known) {
            if found != nil { return nil }
            found = line
        }
        guard let found else { return raw == nil }
        guard let raw else { return false }
        return request.value(found).elementsEqual(raw)
    }

    private static func isNamed(
        _ request: FieldSection, _ line: FieldLine, _ name: [UInt8], _ known: FieldName
    ) -> Bool {
        known == .other
            ? line.name == .other && Octet.equalIgnoringCase(request.bytes[line.nameRange], name)
            : line.name == known
    }

    /// The request's lines of that name as one value; Cookie is put together as RFC 9113 8.2.3 says.
    private static func combined(_ request: FieldSection, _ name: [UInt8], _ known: FieldName) -> [UInt8]? {
        var value: [UInt8]?
        for line in request.lines where isNamed(request, line, name, known) {
            if value == nil {
                value = Array(request.value(line))
            } else {
                value?.append(known == .cookie ? Octet.semicolon : Octet.comma)
                value?.append(Octet.space)
                value?.append(contentsOf: request.value(line))
            }
        }
        return value
    }

    private static func normalise(_ raw: [UInt8], _ known: FieldName, keepsUnknownCodings: Bool) -> [UInt8] {
        switch known {
        case .acceptEncoding:
            return PreferenceList(raw, canonical: ContentCoding.canonicalName)
                .canonicalBytes { keepsUnknownCodings || ContentCoding.isRegistered($0) }
        case .acceptLanguage:
            let list = PreferenceList(raw)
            return list.isWellFormed ? list.canonicalBytes { _ in true } : withoutSpaceAroundCommas(raw)
        case .authorization, .cookie, .host, .origin, .referer, .userAgent:
            // Not lists: a comma there is just an octet.
            return raw
        default:
            return withoutSpaceAroundCommas(raw)
        }
    }

    /// `raw` without the white space around commas, quoted strings left alone (RFC 9110 5.6.1).
    private static func withoutSpaceAroundCommas(_ raw: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(raw.count)
        var pendingStart: Int?
        var isQuoted = false
        var isEscaped = false
        for (index, byte) in raw.enumerated() {
            if isQuoted {
                result.append(byte)
                if isEscaped {
                    isEscaped = false
                } else if byte == Octet.backslash {
                    isEscaped = true
                } else if byte == Octet.quote {
                    isQuoted = false
                }
                continue
            }
            if Octet.isWhitespace(byte) {
                if pendingStart == nil { pendingStart = index }
                continue
            }
            if let start = pendingStart {
                if byte != Octet.comma, let last = result.last, last != Octet.comma {
                    result.append(contentsOf: raw[start..<index])
                }
                pendingStart = nil
            }
            isQuoted = byte == Octet.quote
            result.append(byte)
        }
        return result
    }

    /// The members of a list field of a response, in lower case.
    private static func members(_ fields: FieldSection, _ name: FieldName) -> [[UInt8]] {
        fields.all(name).flatMap { $0.split(separator: Octet.comma) }
            .map { Octet.trim($0).map(Octet.lower) }
            .filter { !$0.isEmpty }
    }
}

extension FieldName {
    /// The known name that `bytes` spell, or ``other``.
    static func recognise(_ bytes: [UInt8]) -> FieldName {
        bytes.withUnsafeBufferPointer { recognise($0) }
    }
}
