import EdgeHTTP
import EdgePolicy

/// Which fields a configuration may set or remove, and what their values may hold (RFC 9110 5).
enum FieldText {
    /// Fields that frame a message or belong to one connection (RFC 9110 7.6.1, RFC 9112 6): the node
    /// writes them itself, and an edit of one would break the messages that follow.
    private static let reserved: Set<FieldName> = [
        .connection, .contentLength, .host, .keepAlive, .proxyConnection, .te, .trailer, .transferEncoding,
        .upgrade,
    ]

    /// What is wrong with `name` as the name of a field to edit; nil: nothing.
    static func problem(name: String) -> TextProblem? {
        let octets = Array(name.utf8)
        guard !octets.isEmpty, octets.allSatisfy({ Octet.isToken($0) }) else {
            let clean = String(decoding: octets.filter { Octet.isToken($0) }, as: UTF8.self)
            return TextProblem(
                "\"\(escape(name))\" is not a field name",
                clean.isEmpty ? "write letters, digits and hyphens" : "write \(clean)")
        }
        let known = octets.withUnsafeBufferPointer { FieldName.recognise($0) }
        guard reserved.contains(known) else { return nil }
        let cure =
            known == .host
            ? "use host of the origin instead" : "remove it: the node frames its messages itself"
        return TextProblem("\(name) may not be edited", cure)
    }

    /// Whether `name` is that of a field which neither the node nor HTTP has a use for.
    static func isFree(_ name: String) -> Bool {
        let plain = ForwardedFields.plain(name.utf8)
        return plain.withUnsafeBufferPointer { FieldName.recognise($0) } == .other
            && !plain.starts(with: "x-forwarded-".utf8) && UnkeyedFields.family(of: plain) != .never
    }

    /// What is wrong with `name` as that of a client's field that is to be passed on; nil: nothing.
    static func problem(forwarded name: String) -> TextProblem? {
        if let problem = problem(name: name) { return problem }
        guard ForwardedFields.canPass(name.utf8) else {
            return TextProblem("\(name) never passes as a client sends it", "remove it")
        }
        return nil
    }

    /// What is wrong with `value` as the value of a field; nil: nothing.
    static func problem(value: String, of name: String) -> TextProblem? {
        if let bad = value.utf8.first(where: { !Octet.isFieldValue($0) }) {
            let what = bad == 13 || bad == 10 ? "a line break" : "a control character"
            return TextProblem(
                "the value of \(name) holds \(what)", "write it on one line of visible characters")
        }
        if let first = value.utf8.first, let last = value.utf8.last,
            Octet.isWhitespace(first) || Octet.isWhitespace(last)
        {
            return TextProblem("the value of \(name) begins or ends with a space", "remove the space")
        }
        return nil
    }

    /// `text` with control characters made visible.
    static func escape(_ text: String) -> String {
        text.unicodeScalars.map { $0.value < 32 || $0.value == 127 ? $0.escaped(asASCII: true) : String($0) }
            .joined()
    }
}
