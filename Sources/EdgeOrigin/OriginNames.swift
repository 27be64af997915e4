import EdgePrimitives

/// The addresses of the origins' names, looked up again and again: libcurl would ask only when it connects, and so
/// never learn that a name has moved while it has connections. Pure, time passed in; the pull thread's own.
struct OriginNames {
    /// How often a name is looked up while something behind it fails.
    static let hurriedMilliseconds: Int64 = 1_000
    /// More addresses of one name than these are not used.
    static let maxAddresses = 32

    enum Standing: Equatable {
        /// In the order in which they are tried, and which of the answers that is.
        case known([String], number: Int)
        /// The first answer is still to come.
        case unknown
        /// Looked up just now, in vain.
        case notFound
    }

    private struct Entry {
        var addresses: [String] = []
        /// The addresses of the newest answers, as long as these differ.
        var recent: Set<String> = []
        var number = 0
        var isAsking = false
        var askedAt: MonotonicTime?
        var hasFailed = false
        /// Somebody cannot do with what is known.
        var isWanted = false
    }

    /// And while all is well.
    private let regularMilliseconds: Int64
    private var entries: [String: Entry] = [:]
    private var lastNumber = 0

    init(regularMilliseconds: Int64 = 10_000) { self.regularMilliseconds = regularMilliseconds }

    /// Follows these names and no other; what is known of those that stay is kept.
    mutating func follow(_ names: Set<String>) {
        entries = entries.filter { names.contains($0.key) }
        for name in names where entries[name] == nil { entries[name] = Entry() }
    }

    /// - Parameter name: one of those that are followed.
    func standing(_ name: String, now: MonotonicTime) -> Standing {
        guard let entry = entries[name] else { return .unknown }
        if !entry.addresses.isEmpty { return .known(entry.addresses, number: entry.number) }
        guard entry.hasFailed, let askedAt = entry.askedAt, now < askedAt + Self.hurriedMilliseconds else {
            return .unknown
        }
        return .notFound
    }

    /// The addresses that the name has, as far as is known: one has left when two answers in a row agree that it is not
    /// among them. Large services name a few of many with each answer, and their connections are good all the same.
    func current(_ name: String) -> Set<String> { entries[name]?.recent ?? [] }

    /// What came of an answer.
    struct Change: Equatable {
        /// There are other addresses to connect to.
        var isNew = false
        /// Some that were good are the name's no more.
        var hasDepartures = false
    }

    /// More than these are not remembered of answers that differ.
    static let maxRecent = 256

    /// Looks the name up as soon as may be.
    mutating func want(_ name: String) { entries[name]?.isWanted = true }

    private func due(_ entry: Entry, isInTrouble: Bool) -> MonotonicTime {
        guard let askedAt = entry.askedAt else { return MonotonicTime(nanoseconds: 0) }
        let isHurried = isInTrouble || entry.isWanted || entry.hasFailed
        return askedAt
            + (isHurried ? min(Self.hurriedMilliseconds, regularMilliseconds) : regularMilliseconds)
    }

    /// The names to look up now.
    ///
    /// - Parameter inTrouble: names behind which something fails.
    mutating func takeDue(inTrouble: Set<String>, now: MonotonicTime) -> [String] {
        var names: [String] = []
        for (name, entry) in entries
        where !entry.isAsking && due(entry, isInTrouble: inTrouble.contains(name)) <= now {
            entries[name]?.isAsking = true
            entries[name]?.askedAt = now
            entries[name]?.isWanted = false
            names.append(name)
        }
        return names
    }

    /// When the next of them is due.
    func nextDue(inTrouble: Set<String>) -> MonotonicTime? {
        entries.lazy.filter { !$0.value.isAsking }
            .map { due($0.value, isInTrouble: inTrouble.contains($0.key)) }.min()
    }

    /// Takes what a look-up found; a name that is not found any more keeps its last addresses.
    ///
    mutating func found(_ addresses: [String]?, of name: String) -> Change {
        guard var entry = entries[name] else { return Change() }
        defer { entries[name] = entry }
        entry.isAsking = false
        guard let addresses, !addresses.isEmpty else {
            entry.hasFailed = true
            return Change()
        }
        entry.hasFailed = false
        let used = Array(addresses.prefix(Self.maxAddresses))
        // A name server that turns the order round is none that says something new.
        guard Set(used) != Set(entry.addresses) else {
            let hasDepartures = entry.recent != Set(used)
            entry.recent = Set(used)
            return Change(hasDepartures: hasDepartures)
        }
        let isFull = entry.recent.count > Self.maxRecent
        entry.recent = isFull ? Set(used).union(entry.addresses) : entry.recent.union(used)
        entry.addresses = used
        lastNumber += 1
        entry.number = lastNumber
        return Change(isNew: true, hasDepartures: isFull)
    }

    /// Tries the addresses of a name in another order from now on: with the first of them something fails that libcurl
    /// does not take as a reason to try the next.
    mutating func turn(_ name: String, number: Int) {
        guard let entry = entries[name], entry.number == number, entry.addresses.count > 1 else { return }
        entries[name]?.addresses = Array(entry.addresses.dropFirst() + entry.addresses.prefix(1))
        lastNumber += 1
        entries[name]?.number = lastNumber
    }
}
