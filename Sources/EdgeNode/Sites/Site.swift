import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import Synchronization

/// One site, ready to serve: the hosts it answers for, its origin, and its rules with their globs compiled.
///
/// A request's path is tried against every rule. The set of those that match, as bits, finds the
/// ``ResolvedRules`` in a small cache; the sum of a set is worked out the first time that the set occurs. A
/// site whose rules match every path (or that has none) knows its one answer from the start and looks at
/// nothing.
public final class Site: Sendable {
    /// The most rules that one site may have: one bit for each in ``RuleSet``.
    public static let maxRules = RuleSet.capacity
    /// How many sums are remembered. Paths that clients make up reach few sets in practice, as the rules
    /// decide which exist; the bound is there so that no set of rules can let clients fill the memory.
    private static let maxRemembered = 1024

    /// Lower-case names: exact, `*.example.net`, or `*`.
    public let hosts: [String]
    /// What the site is called in metrics and logs: the first of its hosts.
    public var name: String { hosts.first ?? "" }
    /// Where its requests are counted (``SiteNumbers``).
    let number: Int
    let nameOctets: [UInt8]
    /// The name of the origin in ``NodeConfiguration/origins``.
    public let originName: String

    /// What Allow says (RFC 9110 10.2.1).
    let allow: String
    /// The methods that the site takes; nil: all.
    private let methods: [[UInt8]]?

    /// Whose PURGE requests are carried out.
    var purgeFrom: [NetworkRange] { configuration.purgeFrom }

    private let configuration: SiteConfiguration
    private let maxResponseBytes: Int64
    /// The names of the fields that its origin gets with every pull.
    private let originFields: [String]
    /// One for each rule; nil matches everything.
    private let globs: [PathPattern?]
    private let constant: ResolvedRules?
    private let remembered = Mutex<[RuleSet: ResolvedRules]>([:])
    /// The same for paths that can be read as several, by the sets of their readings.
    private let rememberedReadings = Mutex<[[RuleSet]: ResolvedRules]>([:])

    init(
        _ configuration: SiteConfiguration, maxResponseBytes: Int64, number: Int = SiteNumbers.none,
        originFields: [String] = []
    ) {
        precondition(configuration.rules.count <= Self.maxRules, "a site has at most \(Self.maxRules) rules")
        self.configuration = configuration
        self.maxResponseBytes = maxResponseBytes
        self.originFields = originFields
        hosts = configuration.hosts
        allow = configuration.methods?.joined(separator: ", ") ?? Node.allowedMethods
        methods = configuration.methods?.map { Array($0.utf8) }
        self.number = number
        nameOctets = Array((configuration.hosts.first ?? "").utf8)
        originName = configuration.origin
        globs = configuration.rules.map { rule in
            let pattern = rule.match.path.map { PathPattern($0) }
            return pattern?.glob.matchesEverything == true ? nil : pattern
        }
        constant =
            globs.allSatisfy({ $0 == nil })
            ? ResolvedRules(
                rules: configuration.rules, site: configuration, maxResponseBytes: maxResponseBytes,
                originFields: originFields) : nil
    }

    /// Whether the site takes requests of that method.
    @inline(__always)
    func takes(_ head: RequestHead) -> Bool {
        guard let methods else { return true }
        return methods.contains { $0.elementsEqual(head.methodBytes) }
    }

    /// The rules that apply to a request for `path`, in their order; those that match one reading of it are
    /// among them.
    func matching(path: ArraySlice<UInt8>) -> [RuleConfiguration] {
        let sets = ruleSets(path)
        return configuration.rules.indices.filter { index in sets.contains { $0.contains(index) } }
            .map { configuration.rules[$0] }
    }

    /// The rules that match some readings of `path` and not all.
    func matchingInPart(path: ArraySlice<UInt8>) -> [RuleConfiguration] {
        let sets = ruleSets(path)
        return configuration.rules.indices.filter { index in
            sets.contains { $0.contains(index) } && !sets.allSatisfy { $0.contains(index) }
        }.map { configuration.rules[$0] }
    }

    /// What the rules say about a request for `path`. Its octets are matched as they came, and as whoever
    /// reads the path in another way would see them (``PathReadings``).
    public func resolve(path: ArraySlice<UInt8>) -> ResolvedRules {
        if let constant { return constant }
        if PathReadings.isPlain(path) { return resolve(ruleSet(path)) }
        let sets = ruleSets(path)
        if sets.count == 1 { return resolve(sets[0]) }
        if let rules = rememberedReadings.withLock({ $0[sets] }) { return rules }
        let rules = ResolvedRules(strictest: sets.map(resolve))
        rememberedReadings.withLock { if $0.count < Self.maxRemembered { $0[sets] = rules } }
        return rules
    }

    /// The rules that match that very text.
    private func ruleSet(_ path: ArraySlice<UInt8>) -> RuleSet {
        var matching = RuleSet()
        for index in 0..<globs.count {
            if let glob = globs[index], !glob.matches(path) { continue }
            matching.insert(index)
        }
        return matching
    }

    /// The sets of rules that match the readings of `path`, each once.
    private func ruleSets(_ path: ArraySlice<UInt8>) -> [RuleSet] {
        guard constant == nil, !PathReadings.isPlain(path) else { return [ruleSet(path)] }
        let readings = PathReadings(path)
        guard !readings.isTooMany else { return unreadable }
        var sets: [RuleSet] = []
        for text in readings.texts {
            let set = ruleSet(text[...])
            if !sets.contains(set) { sets.append(set) }
        }
        return sets
    }

    /// What a path may match that has more readings than are worked out: the rules for every path, and each
    /// other.
    private var unreadable: [RuleSet] {
        let every = globs.map { $0 == nil || $0?.glob == Self.everyPath }
        return ([nil] + globs.indices.filter { !every[$0] }).map { other in
            var set = RuleSet()
            for index in globs.indices where every[index] || index == other { set.insert(index) }
            return set
        }
    }

    private static let everyPath = Glob("/*")

    private func resolve(_ matching: RuleSet) -> ResolvedRules {
        remembered.withLock { known in
            if let rules = known[matching] { return rules }
            let rules = ResolvedRules(
                rules: configuration.rules.indices.filter { matching.contains($0) }.map {
                    configuration.rules[$0]
                },
                site: configuration, maxResponseBytes: maxResponseBytes, originFields: originFields)
            if known.count < Self.maxRemembered { known[matching] = rules }
            return rules
        }
    }
}
