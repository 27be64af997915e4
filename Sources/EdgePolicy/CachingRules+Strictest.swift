extension CachingRules {
    /// What rules come to for a path that can be read as several: no more than every reading permits, and no
    /// less than any forbids. `readings` are the rules of each, the path as it came first.
    public static func strictest(of readings: [CachingRules]) -> CachingRules {
        guard var rules = readings.first else { return CachingRules() }
        var distinct: [CachingRules] = []
        for reading in readings where !distinct.contains(reading) { distinct.append(reading) }
        guard distinct.count > 1 else { return rules }

        rules.passes = distinct.contains { $0.passes }
        rules.cookies = cookies(distinct.map(\.cookies))
        rules.setCookie = distinct.allSatisfy { $0.setCookie == .store } ? .store : .drop
        rules.lifetimes = lifetimes(distinct.map(\.lifetimes))
        rules.lifetimeRuleLine = distinct.first { $0.lifetimes == rules.lifetimes }?.lifetimeRuleLine ?? 0
        rules.overridesOrigin = distinct.allSatisfy { $0.overridesOrigin }
        rules.maxLifetimeMilliseconds = maxLifetime(distinct)
        rules.readings = Array(distinct.prefix(maxReadings))
        return rules
    }

    /// What is kept of the readings only tells why something was not stored.
    private static let maxReadings = 8

    private static func cookies(_ readings: [Cookies]) -> Cookies {
        if readings.contains(.pass) { return .pass }
        return readings.allSatisfy { $0 == .strip } ? .strip : .keep
    }

    /// By status the shortest lifetime, and none where one reading gives none; but none at all, 0, forbids
    /// what heuristics would give.
    private static func lifetimes(_ readings: [Lifetimes]) -> Lifetimes {
        guard let first = readings.first, !readings.allSatisfy({ $0 == first }) else {
            return readings.first ?? Lifetimes()
        }
        var statuses: Set<Int> = [200, 203, 301, 308]
        for reading in readings { statuses.formUnion(reading.byStatus.keys) }
        var strictest = Lifetimes()
        for status in statuses {
            let given = readings.map { $0.milliseconds(for: status) }
            if given.contains(0) {
                strictest.byStatus[status] = 0
            } else if !given.contains(nil) {
                strictest.byStatus[status] = given.lazy.compactMap { $0 }.min()
            }
        }
        return strictest
    }

    /// Where only some readings override the origin, their ttl does not give a lifetime, but it limits the
    /// origin's.
    private static func maxLifetime(_ readings: [CachingRules]) -> Int64? {
        var caps = readings.compactMap(\.maxLifetimeMilliseconds)
        if !readings.allSatisfy({ $0.overridesOrigin }) {
            for reading in readings where reading.overridesOrigin {
                caps += reading.lifetimes.byStatus.values
                if let other = reading.lifetimes.defaultMilliseconds { caps.append(other) }
            }
        }
        return caps.min()
    }
}
