/// What the texts of a purge or a question have to look like before the node is asked. A problem names the field.
enum ScopeText {
    static let maxURLBytes = 8_192
    static let maxTagBytes = 1_024
    /// A name of 253 bytes, a colon and a port.
    static let maxHostBytes = 259

    static func checkURL(_ text: String, _ field: String) throws {
        try check(text, field, maxBytes: maxURLBytes)
        let lower = text.lowercased()
        guard let scheme = ["http://", "https://"].first(where: { lower.hasPrefix($0) }) else {
            throw Problem.badRequest(
                "`\(field)` is not absolute: it begins with http:// or https://", field: field)
        }
        let rest = text.dropFirst(scheme.count)
        let authority = rest.prefix { !"/?#".contains($0) }
        guard !authority.isEmpty, !authority.hasPrefix(":") else {
            throw Problem.badRequest("`\(field)` has no host", field: field)
        }
        guard !authority.contains("@") else {
            throw Problem.badRequest("`\(field)` has a user name, which is no part of a key", field: field)
        }
        guard !rest.contains("#") else {
            throw Problem.badRequest("`\(field)` has a fragment, which no server ever sees", field: field)
        }
    }

    static func checkHost(_ text: String, _ field: String) throws {
        try check(text, field, maxBytes: maxHostBytes)
        guard !text.contains(where: { "/?#@,".contains($0) }), !text.hasPrefix(":") else {
            throw Problem.badRequest(
                "`\(field)` is a name, or a name and a port: www.example.com:8080", field: field)
        }
    }

    static func checkTag(_ text: String, _ field: String) throws {
        try check(text, field, maxBytes: maxTagBytes)
        guard !text.contains(",") else {
            throw Problem.badRequest("`\(field)` is one tag: it has no comma", field: field)
        }
    }

    private static func check(_ text: String, _ field: String, maxBytes: Int) throws {
        guard !text.isEmpty else { throw Problem.badRequest("`\(field)` is empty", field: field) }
        guard text.utf8.count <= maxBytes else {
            throw Problem.badRequest("`\(field)` is longer than \(maxBytes) bytes", field: field)
        }
        guard !text.utf8.contains(where: { $0.isControl }) else {
            throw Problem.badRequest("`\(field)` has a control byte", field: field)
        }
        guard !text.unicodeScalars.contains(where: \.properties.isWhitespace) else {
            throw Problem.badRequest("`\(field)` has white space", field: field)
        }
    }
}
