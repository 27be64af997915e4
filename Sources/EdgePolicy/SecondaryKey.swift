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
/// And a response without a content coding fits every request that names the same codings, whatever their
/// qualities, as long as it takes identity: the origin had all of them to choose from and chose none.
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
        /// The codings of a well-formed Accept-Encoding without their qualities.
        let codingNames: [UInt8]?
    }

    public let rule: VaryRule
    /// Whether the request had an Origin that the rule does not name.
    public let isWithOrigin: Bool
    private let fields: [Field]
    /// The one language of the stored response, in lower case, where it is known.
    private let language: [UInt8]?
    /// The codings of the stored response, in lower case; nil where the response is not known.
    private let codings: [[UInt8]]?
    private let keepsUnknownCodings: Bool

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
        let codings = Self.members(response, .contentEncoding)?.map(ContentCoding.canonicalName)
        let languages = Self.members(response, .contentLanguage)
        self.init(
            rule: rule, request: request,
            isWithOrigin: !rule.isStar && !rule.namesOrigin && request.contains(.origin),
            codings: codings?.filter { $0 != ContentCoding.identity },
            language: languages?.count == 1 ? languages?[0] : nil)
    }

    private init(
        rule: VaryRule, request: FieldSection, isWithOrigin: Bool, codings: [[UInt8]]?, language: [UInt8]?
    ) {
        self.rule = rule
        self.isWithOrigin = isWithOrigin
        self.codings = codings
        self.language = language
        // Codings that nobody has registered say nothing to an origin that answered with a registered one.
        let keepsUnknown = codings.map { !$0.allSatisfy(ContentCoding.isRegistered) } ?? true
        keepsUnknownCodings = keepsUnknown
        fields = rule.names.map { name in
            let known = FieldName.recognise(name)
            let raw = request.combined(name, known)
            let value = raw.map { SelectingValue($0, name, known) }
            return Field(
                name: name, known: known, raw: raw,
                normalised: keepsUnknown ? value?.normalised : value?.registered,
                codingNames: value?.codingNames)
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
        of response: FieldSection, under key: SecondaryKey?, request: FieldValues, hasOrigin: Bool
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
        var memo = SelectingValues()
        return matches(request, &memo)
    }

    /// The same for a request that is compared with many keys: what it has under a name is worked out once.
    /// Nothing is allocated where all values are equal octet for octet.
    public func matches(_ request: FieldSection, _ memo: inout SelectingValues) -> Bool {
        guard !rule.isStar else { return false }
        for field in fields where !matches(request, field, &memo) { return false }
        return true
    }

    /// The same for a request that is asked about in several places.
    public func matches(_ request: FieldValues) -> Bool {
        request.withValues { matches(request.fields, &$0) }
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

    private func matches(
        _ request: FieldSection, _ field: Field, _ memo: inout SelectingValues
    ) -> Bool {
        if let isSame = Self.singleLineEquals(request, field.name, field.known, field.raw), isSame {
            return true
        }
        guard let value = memo.value(of: field.name, field.known, in: request) else {
            return field.raw == nil
        }
        if value.raw == field.raw { return true }
        switch field.known {
        case .acceptEncoding:
            return matchesEncoding(value, field)
        case .acceptLanguage:
            if value.normalised == field.normalised { return true }
            guard let language else { return false }
            return value.mostWanted == language
        default:
            return value.normalised == field.normalised
        }
    }

    private func matchesEncoding(_ value: SelectingValue, _ field: Field) -> Bool {
        let isEqual = (keepsUnknownCodings ? value.normalised : value.registered) == field.normalised
        guard let codings else { return isEqual }
        guard let list = value.list else { return false }
        if isEqual {
            // An origin that read a malformed list in its own way may have sent a coding that the list
            // doesn't hold.
            return codings.allSatisfy { list.accepts($0) }
        }
        switch codings.count {
        case 0:
            guard list.isWellFormed else { return false }
            // An empty list wants the identity alone (RFC 9110 12.5.3).
            if list.members.isEmpty || value.mostWanted == ContentCoding.identity { return true }
            return list.acceptsIdentity && value.codingNames == field.codingNames
        case 1: return value.mostWanted == codings[0]
        default: return false
        }
    }

    /// Whether the request's value is `raw`, without an allocation; nil where it came in more lines than one.
    private static func singleLineEquals(
        _ request: FieldSection, _ name: [UInt8], _ known: FieldName, _ raw: [UInt8]?
    ) -> Bool? {
        var found: FieldLine?
        for line in request.lines where request.isNamed(line, name, known) {
            if found != nil { return nil }
            found = line
        }
        guard let found else { return raw == nil }
        guard let raw, raw.count == found.valueRange.count else { return false }
        return request.value(found).elementsEqual(raw)
    }

    /// The members of a list field of a response, in lower case; nil where they are so many that they tell
    /// nothing.
    private static func members(_ fields: FieldSection, _ name: FieldName) -> [[UInt8]]? {
        var members: [[UInt8]] = []
        for line in fields.lines where line.name == name {
            for member in ListMembers(fields.value(line)) {
                guard members.count < 16 else { return nil }
                members.append(member.map(Octet.lower))
            }
        }
        return members
    }
}

extension FieldName {
    /// The known name that `bytes` spell, or ``other``.
    static func recognise(_ bytes: [UInt8]) -> FieldName {
        bytes.withUnsafeBufferPointer { recognise($0) }
    }
}
