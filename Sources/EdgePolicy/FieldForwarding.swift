import EdgeHTTP

/// Which of a client's fields reach the origin on pulls whose answer may be kept.
public enum FieldForwarding: Sendable, Equatable {
    /// All but those of ``UnkeyedFields``.
    case all
    /// Those that negotiate, authorise or say where the request comes from, and the named ones.
    case strict(and: [String])

    /// Whether a known field passes.
    func passes(_ name: FieldName) -> Bool {
        guard case .strict(let names) = self else { return true }
        if Self.inert.contains(name) { return true }
        return names.contains { FieldName.recognise(Array($0.utf8)) == name }
    }

    /// Whether a field passes whose name, in lower case, is not among the known ones.
    func passes(_ name: [UInt8]) -> Bool {
        guard case .strict = self else { return true }
        return name.starts(with: Self.accept) || name.starts(with: Self.accessControl) || lists(name)
    }

    /// Whether the configuration names the field itself.
    func lists(_ name: [UInt8]) -> Bool {
        guard case .strict(let names) = self else { return false }
        return names.contains { Octet.equalIgnoringCase(Array($0.utf8), name) }
    }

    private static let inert = FieldNameSet(
        .accept, .acceptEncoding, .acceptLanguage, .acceptRanges, .userAgent, .authorization, .cookie,
        .origin, .referer)
    private static let accept = Array("accept".utf8)
    private static let accessControl = Array("access-control-request-".utf8)
}
