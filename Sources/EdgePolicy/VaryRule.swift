import EdgeHTTP

/// The request fields that selected a response, from its Vary field (RFC 9110 12.5.5).
public struct VaryRule: Sendable, Equatable {
    /// Field names in lower case, sorted, each once.
    public let names: [[UInt8]]
    /// Whether `*` is among the members: the response fits no later request (RFC 9111 4.1).
    public let isStar: Bool

    /// The rule that fits no later request.
    public static let star = VaryRule(names: [], isStar: true)

    /// The rule of a response without Vary.
    public static let none = VaryRule(names: [], isStar: false)

    private let known: FieldNameSet
    /// Whether a name is among them that is not known.
    private let hasOthers: Bool
    /// Whether the node by itself writes, drops or replaces a field that is named.
    private let touchesNode: Bool

    private init(names: [[UInt8]], isStar: Bool) {
        self.names = names
        self.isStar = isStar
        var known = FieldNameSet()
        var hasOthers = false
        for name in names {
            let name = FieldName.recognise(name)
            if name == .other { hasOthers = true } else { known.insert(name) }
        }
        self.known = known
        self.hasOthers = hasOthers
        touchesNode = names.contains(where: ForwardedFields.isTouched)
    }

    public var namesOrigin: Bool { known.contains(.origin) }

    /// Whether a field is named that may have reached the origin otherwise than it came: then what was sent selects
    /// (RFC 9111 4.1 speaks of the request that the origin saw), and that has to be worked out.
    ///
    /// - Parameter nominates: whether the request's Connection lists fields.
    public func isTouched(by fields: TouchedFields, nominates: Bool) -> Bool {
        if touchesNode || known.intersects(fields.known) { return true }
        guard hasOthers else { return false }
        return nominates || fields.others || fields.touchesOne(of: names)
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
