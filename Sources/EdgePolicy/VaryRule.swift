import EdgeHTTP

/// The request fields that selected a response, from its Vary field (RFC 9110 12.5.5).
public struct VaryRule: Sendable, Equatable {
    /// Field names in lower case, sorted, each once.
    public let names: [[UInt8]]
    /// Whether `*` is among the members: the response fits no later request (RFC 9111 4.1).
    public let isStar: Bool

    /// The rule that fits no later request.
    public static let star = VaryRule(names: [], isStar: true)

    private init(names: [[UInt8]], isStar: Bool) {
        self.names = names
        self.isStar = isStar
    }

    /// A response that varies by more than this fits no later request: nobody's requests would meet it again,
    /// and of what an origin lists nothing is left out in silence.
    static let maxNames = 64

    /// Reads all Vary lines of a response; nil where they name nothing. A member that is no field name
    /// makes the rule ``star``: what the origin meant is unknown, so no later request can be known to fit.
    public static func parse(_ fields: FieldSection) -> VaryRule? {
        var names: [[UInt8]] = []
        var count = 0
        for line in fields.lines where line.name == .vary {
            for member in ListMembers(fields.value(line)) {
                count += 1
                guard count <= maxNames, member.allSatisfy(Octet.isToken),
                    !member.elementsEqual([UInt8(ascii: "*")])
                else { return .star }
                let name = member.map(Octet.lower)
                if !names.contains(name) { names.append(name) }
            }
        }
        guard !names.isEmpty else { return nil }
        return VaryRule(names: names.sorted { $0.lexicographicallyPrecedes($1) }, isStar: false)
    }
}
