import EdgeHTTP
import Synchronization

/// The fields of one request as far as Vary may name them, for all the stored responses and pulls that the
/// request is compared with: what a field says is worked out once a request, whoever asks.
public final class FieldValues: Sendable {
    public let fields: FieldSection
    private let values = Mutex(SelectingValues())

    public init(_ fields: FieldSection) {
        self.fields = fields
    }

    func withValues<Result: Sendable>(_ body: (inout SelectingValues) -> Result) -> Result {
        values.withLock { body(&$0) }
    }

    /// Whether two requests select the same response of an origin that varies by `rule`, as far as can be
    /// said without the response.
    public func agrees(with other: FieldValues, by rule: VaryRule) -> Bool {
        guard !rule.isStar else { return false }
        if self === other { return true }
        for name in rule.names {
            let known = FieldName.recognise(name)
            let mine = withValues { $0.value(of: name, known, in: fields) }
            let theirs = other.withValues { $0.value(of: name, known, in: other.fields) }
            guard mine?.raw == theirs?.raw || mine?.normalised == theirs?.normalised else { return false }
        }
        return true
    }
}

/// What was worked out so far of a request's values. Empty, it holds no memory.
public struct SelectingValues: Sendable {
    private var known: [(name: [UInt8], value: SelectingValue?)] = []

    public init() {}

    /// The value of a field; nil where the request has no such field.
    mutating func value(
        of name: [UInt8], _ field: FieldName, in request: FieldSection
    ) -> SelectingValue? {
        for entry in known where entry.name == name { return entry.value }
        let value = request.combined(name, field).map { SelectingValue($0, name, field) }
        known.append((name, value))
        return value
    }
}

/// One value of a request in the forms in which it is compared.
struct SelectingValue: Sendable {
    /// As it came, the lines joined.
    let raw: [UInt8]
    let normalised: [UInt8]
    /// Of Accept-Encoding, without the codings that nobody has registered; else the same.
    let registered: [UInt8]
    /// Of Accept-Encoding and Accept-Language.
    let list: PreferenceList?
    let mostWanted: [UInt8]?
    /// Of a well-formed Accept-Encoding.
    let codingNames: [UInt8]?

    init(_ raw: [UInt8], _ name: [UInt8], _ known: FieldName) {
        self.raw = raw
        switch known {
        case .acceptEncoding:
            let list = PreferenceList(raw, canonical: ContentCoding.canonicalName)
            normalised = list.canonicalBytes { _ in true }
            registered = list.canonicalBytes(keeping: ContentCoding.isRegistered)
            codingNames = list.isWellFormed ? list.nameBytes(keeping: ContentCoding.isRegistered) : nil
            mostWanted = list.mostWanted
            self.list = list
            return
        case .acceptLanguage:
            let list = PreferenceList(raw)
            normalised =
                list.isWellFormed
                ? list.canonicalBytes { _ in true }
                : Self.withoutSpaceAroundCommas(CountedLists.counted(raw, name, known))
            mostWanted = list.mostWanted
            self.list = list
        case .authorization, .cookie, .host, .origin, .referer, .userAgent:
            // Not lists: a comma there is just an octet.
            normalised = raw
            mostWanted = nil
            list = nil
        default:
            normalised = Self.withoutSpaceAroundCommas(CountedLists.counted(raw, name, known))
            mostWanted = nil
            list = nil
        }
        registered = normalised
        codingNames = nil
    }

    /// `raw` without the white space around commas, quoted strings left alone (RFC 9110 5.6.1).
    private static func withoutSpaceAroundCommas(_ raw: ArraySlice<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(raw.count)
        var pendingStart: Int?
        var isQuoted = false
        var isEscaped = false
        for index in raw.indices {
            let byte = raw[index]
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
}

extension FieldSection {
    /// Whether a line has that name; `known` is what it is recognised as.
    func isNamed(_ line: FieldLine, _ name: [UInt8], _ known: FieldName) -> Bool {
        known == .other
            ? line.name == .other && Octet.equalIgnoringCase(bytes[line.nameRange], name)
            : line.name == known
    }

    /// The lines of that name as one value; Cookie is put together as RFC 9113 8.2.3 says.
    func combined(_ name: [UInt8], _ known: FieldName) -> [UInt8]? {
        var joined: [UInt8]?
        for line in lines where isNamed(line, name, known) {
            if joined == nil {
                joined = Array(value(line))
            } else {
                joined?.append(known == .cookie ? Octet.semicolon : Octet.comma)
                joined?.append(Octet.space)
                joined?.append(contentsOf: value(line))
            }
        }
        return joined
    }
}
