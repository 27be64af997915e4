import EdgeConfig

/// A URL to warm: what is asked of the node, and as which host.
struct WarmURL: Equatable {
    /// As it was written.
    let text: String
    /// Host and port as they go into the Host field.
    let authority: String
    /// Path and query, from the slash on; what is not ASCII is percent-encoded, as browsers do.
    let target: String

    /// Why a line is none.
    struct Problem: Error, Equatable {
        let text: String
    }

    /// Parses an absolute `http` or `https` URL. Which of the two doesn't matter, since the node is asked over the
    /// scheme of its own listener; a fragment is dropped.
    init(_ line: some StringProtocol) throws(Problem) {
        let text = String(line)
        guard let mark = text.firstRange(of: "://") else {
            throw Problem(text: "no scheme; write http://...")
        }
        let scheme = text[..<mark.lowerBound].lowercased()
        guard scheme == "http" || scheme == "https" else {
            throw Problem(text: "the scheme is not http")
        }
        guard !text.unicodeScalars.contains(where: { $0.value <= 0x20 || $0.value == 0x7f }) else {
            throw Problem(text: "white space or a control character in it; write %20 for a space")
        }
        let rest = text[mark.upperBound...].prefix { $0 != "#" }
        let end = rest.firstIndex { "/?".contains($0) } ?? rest.endIndex
        guard !rest[..<end].contains("@") else { throw Problem(text: "it holds a user name") }
        do {
            let normal = try OriginURL.parse("\(scheme)://\(rest[..<end])")
            var authority = normal.dropFirst(scheme.count + 3)
            let defaultPort = scheme == "http" ? ":80" : ":443"
            if authority.hasSuffix(defaultPort) { authority = authority.dropLast(defaultPort.count) }
            self.authority = String(authority)
        } catch {
            throw Problem(text: end == rest.startIndex ? "no host" : "not a host that can be asked for")
        }
        self.text = text
        target = Self.encoded((rest[end...].hasPrefix("/") ? "" : "/") + rest[end...])
    }

    private static func encoded(_ text: String) -> String {
        guard !text.utf8.allSatisfy({ $0 < 0x80 }) else { return text }
        var result = ""
        for byte in text.utf8 {
            if byte < 0x80 {
                result.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                result += "%" + String(byte, radix: 16, uppercase: true)
            }
        }
        return result
    }
}
