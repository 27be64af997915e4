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

    /// Whose PURGE requests are carried out.
    var purgeFrom: [NetworkRange] { configuration.purgeFrom }

    private let configuration: SiteConfiguration
    private let maxResponseBytes: Int64
    /// The names of the fields that its origin gets with every pull.
    private let originFields: [String]
    /// One for each rule; nil matches everything.
    private let globs: [Glob?]
    private let constant: ResolvedRules?
    private let remembered = Mutex<[RuleSet: ResolvedRules]>([:])

    init(
        _ configuration: SiteConfiguration, maxResponseBytes: Int64, number: Int = SiteNumbers.none,
        originFields: [String] = []
    ) {
        precondition(configuration.rules.count <= Self.maxRules, "a site has at most \(Self.maxRules) rules")
        self.configuration = configuration
        self.maxResponseBytes = maxResponseBytes
        self.originFields = originFields
        hosts = configuration.hosts
        self.number = number
        nameOctets = Array((configuration.hosts.first ?? "").utf8)
        originName = configuration.origin
        globs = configuration.rules.map { rule in
            let glob = rule.match.path.map { Glob($0) }
            return glob?.matchesEverything == true ? nil : glob
        }
        constant =
            globs.allSatisfy({ $0 == nil })
            ? ResolvedRules(
                rules: configuration.rules, site: configuration, maxResponseBytes: maxResponseBytes,
                originFields: originFields) : nil
    }

    /// The rules that apply to a request for `path`, in their order.
    func matching(path: ArraySlice<UInt8>) -> [RuleConfiguration] {
        zip(configuration.rules, globs).filter { $1?.matches(path) ?? true }.map(\.0)
    }

    /// What the rules say about a request for `path`, whose octets are matched as they came.
    public func resolve(path: ArraySlice<UInt8>) -> ResolvedRules {
        if let constant { return constant }
        var matching = RuleSet()
        for index in 0..<globs.count {
            if let glob = globs[index], !glob.matches(path) { continue }
            matching.insert(index)
        }
        return remembered.withLock { known in
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
