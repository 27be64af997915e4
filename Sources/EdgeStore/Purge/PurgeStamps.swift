import EdgePrimitives
import Synchronization

/// The purges that still matter, as stamps by what they cover: a purge writes one stamp, whatever is stored.
///
/// A hit compares one number while nothing was purged since its stored response was last checked. After a purge the
/// first hit of each stored response looks its key and tags up, once.
///
/// The number of stamps is bounded: when there are more, the oldest go, and with them everything that was pulled
/// before their purge.
public final class PurgeStamps: Sendable {
    public static let largestCount = 200_000

    private struct Stamp {
        var hard = PurgePosition.zero
        var soft = PurgePosition.zero
        var softAt = WallTime(milliseconds: 0)

        var newest: PurgePosition { max(hard, soft) }
    }

    private enum Kind: Int, CaseIterable {
        case url, anyQuery, prefix, host, tag
    }

    private struct Place: Hashable {
        let kind: Kind
        let digest: Digest128
        /// Of a prefix, its length in octets.
        let length: Int
    }

    private struct State {
        /// By ``Kind``.
        var stamps = [[Digest128: Stamp]](repeating: [:], count: Kind.allCases.count)
        var all = Stamp()
        /// How many stamps there are for prefixes of a length; the keys in order.
        var prefixCounts: [Int: Int] = [:]
        var prefixLengths: [Int] = []
        /// Every stamp that was made, oldest first from `first` on.
        var order: [(position: PurgePosition, place: Place)] = []
        var first = 0
        var count = 0
        /// What was pulled before this is hidden.
        var floor = PurgePosition.zero
        var head = PurgePosition.zero
        var lastTag = PurgePosition.zero
    }

    private let seed = DigestSeed.random()
    private let capacity: Int
    /// Counts changes; see ``StoredResponse/checkedVersion``.
    @usableFromInline
    let versionNumber = Atomic<UInt64>(0)
    private let state = Mutex(State())

    public init(capacity: Int = PurgeStamps.largestCount) {
        self.capacity = max(1, capacity)
    }

    /// Changes with every purge. A stored response that was found untouched at this version still is.
    @inlinable
    public var version: UInt64 { versionNumber.load(ordering: .acquiring) }

    /// The newest position: what a pull carries that begins now.
    public var head: PurgePosition { state.withLock { $0.head } }

    public var count: Int { state.withLock { $0.count } }

    /// Entries that are remembered to know which stamp is the oldest.
    var orderCount: Int { state.withLock { $0.order.count - $0.first } }

    // MARK: - Purging

    /// Takes purges in their order. When this returns, every look-up that begins sees them.
    public func apply(_ entries: [PurgeEntry]) {
        guard !entries.isEmpty else { return }
        state.withLock { state in
            for entry in entries where entry.position > state.head { apply(entry, &state) }
            while state.count > capacity { dropOldest(&state, hiding: true) }
            dropRenewed(&state)
        }
        versionNumber.wrappingAdd(1, ordering: .releasing)
    }

    /// Hides what was pulled before `position`, which becomes the newest one: the log begins there.
    public func begin(at position: PurgePosition) {
        state.withLock { state in
            state.floor = max(state.floor, position)
            state.head = max(state.head, position)
        }
        versionNumber.wrappingAdd(1, ordering: .releasing)
    }

    /// The log stands at `position` although its newest purges are in force no more.
    func advance(to position: PurgePosition) {
        state.withLock { $0.head = max($0.head, position) }
    }

    /// What was pulled before this position is hidden.
    var floor: PurgePosition { state.withLock { max($0.floor, $0.all.hard) } }

    /// Those of `entries` that still have a stamp.
    func inForce(_ entries: [PurgeEntry]) -> [PurgeEntry] {
        state.withLock { state in
            entries.filter { entry in
                if entry.purge.scope == .all {
                    return entry.position == state.all.soft
                }
                let place = place(entry.purge.scope)
                guard let stamp = state.stamps[place.kind.rawValue][place.digest] else { return false }
                return stamp.hard == entry.position || stamp.soft == entry.position
            }
        }
    }

    /// Forgets the stamps of purges that nothing stored is older than.
    ///
    /// - Parameter oldest: no stored response was pulled before this position, and no fill under way.
    public func forget(before oldest: PurgePosition) {
        state.withLock { state in
            while state.first < state.order.count, state.order[state.first].position <= oldest {
                dropOldest(&state, hiding: false)
            }
        }
    }

    private func apply(_ entry: PurgeEntry, _ state: inout State) {
        state.head = entry.position
        if entry.purge.scope == .all {
            if entry.purge.isSoft {
                state.all.soft = entry.position
                state.all.softAt = entry.time
            } else {
                state.all.hard = entry.position
                // Everything older is hidden by this one stamp.
                while state.first < state.order.count { dropOldest(&state, hiding: false) }
            }
            return
        }
        let place = place(entry.purge.scope)
        if place.kind == .tag { state.lastTag = entry.position }
        let isNew = state.stamps[place.kind.rawValue][place.digest] == nil
        var stamp = state.stamps[place.kind.rawValue][place.digest] ?? Stamp()
        if entry.purge.isSoft {
            stamp.soft = entry.position
            stamp.softAt = entry.time
        } else {
            stamp.hard = entry.position
        }
        state.stamps[place.kind.rawValue][place.digest] = stamp
        state.order.append((entry.position, place))
        guard isNew else { return }
        state.count += 1
        if place.kind == .prefix {
            state.prefixCounts[place.length, default: 0] += 1
            if state.prefixCounts[place.length] == 1 {
                let index = state.prefixLengths.firstIndex { $0 > place.length }
                state.prefixLengths.insert(place.length, at: index ?? state.prefixLengths.endIndex)
            }
        }
    }

    /// Takes the oldest entry out of the order, and its stamp with it unless a newer purge renewed that.
    private func dropOldest(_ state: inout State, hiding: Bool) {
        guard state.first < state.order.count else { return }
        let (position, place) = state.order[state.first]
        state.first += 1
        if state.first > 4_096, state.first * 2 > state.order.count {
            state.order.removeFirst(state.first)
            state.first = 0
        }
        let kind = place.kind.rawValue
        guard let stamp = state.stamps[kind][place.digest], stamp.newest <= position else { return }
        state.stamps[kind][place.digest] = nil
        state.count -= 1
        if hiding { state.floor = max(state.floor, position) }
        if place.kind == .prefix, let count = state.prefixCounts[place.length] {
            state.prefixCounts[place.length] = count > 1 ? count - 1 : nil
            if count == 1 { state.prefixLengths.removeAll { $0 == place.length } }
        }
    }

    /// Takes what was renewed out of the order, when that is most of it.
    private func dropRenewed(_ state: inout State) {
        guard state.order.count - state.first > 2 * state.count + 4_096 else { return }
        state.order = state.order[state.first...].filter { position, place in
            state.stamps[place.kind.rawValue][place.digest]?.newest == position
        }
        state.first = 0
    }

    private func place(_ scope: PurgeScope) -> Place {
        switch scope {
        case .url(let key): Place(kind: .url, digest: seed.digest(key), length: 0)
        case .anyQuery(let key): Place(kind: .anyQuery, digest: seed.digest(key), length: 0)
        case .prefix(let key): Place(kind: .prefix, digest: seed.digest(key), length: key.count)
        case .host(let host): Place(kind: .host, digest: seed.digest(host), length: 0)
        case .tag(let tag): Place(kind: .tag, digest: seed.digest(tag), length: 0)
        case .all: preconditionFailure("a purge of everything has one place of its own")
        }
    }

    // MARK: - Looking up

    /// What the purges mean for a response whose pull began at `position`.
    ///
    /// - Parameters:
    ///   - keyText: its canonical key, scheme included.
    ///   - tags: its surrogate keys; nil where they are not known yet, which takes every purge of a tag for one of
    ///     its own.
    public func verdict(pulledAt position: PurgePosition, keyText: [UInt8], tags: [[UInt8]]?) -> PurgeVerdict
    {
        state.withLock { state in
            guard state.head != position else { return .untouched }
            // What claims to be newer than the log shows that the log has lost its end.
            if position < state.floor || position > state.head { return .hidden }
            var look = Look(position: position)
            look.take(state.all)
            if tags == nil, state.lastTag > position { return .hidden }
            if state.count > 0 {
                keyText.withUnsafeBytes { look.takeKey($0, state, seed) }
                let byTag = state.stamps[Kind.tag.rawValue]
                if !byTag.isEmpty {
                    for tag in tags ?? [] { look.take(byTag[seed.digest(tag)]) }
                }
            }
            return look.verdict
        }
    }

    /// One look-up in the making.
    private struct Look {
        let position: PurgePosition
        private var isHidden = false
        private var staleSince: WallTime?

        init(position: PurgePosition) { self.position = position }

        var verdict: PurgeVerdict {
            isHidden ? .hidden : staleSince.map { .stale(since: $0) } ?? .untouched
        }

        mutating func take(_ stamp: Stamp?) {
            guard let stamp else { return }
            if stamp.hard > position { isHidden = true }
            if stamp.soft > position {
                let known = staleSince ?? stamp.softAt
                staleSince = stamp.softAt.milliseconds < known.milliseconds ? stamp.softAt : known
            }
        }

        mutating func takeKey(_ text: UnsafeRawBufferPointer, _ state: borrowing State, _ seed: DigestSeed) {
            guard let colon = text.firstIndex(of: UInt8(ascii: ":")) else { return }
            let isSecure = colon == 5
            let key = UnsafeRawBufferPointer(rebasing: text[(colon + 1)...])
            if !state.stamps[Kind.url.rawValue].isEmpty {
                take(state.stamps[Kind.url.rawValue][seed.digest(key)])
            }
            if !state.stamps[Kind.anyQuery.rawValue].isEmpty {
                let end = key.firstIndex(of: UInt8(ascii: "?")) ?? key.count
                let base = UnsafeRawBufferPointer(rebasing: key[..<end])
                take(state.stamps[Kind.anyQuery.rawValue][seed.digest(base)])
            }
            if !state.stamps[Kind.host.rawValue].isEmpty { takeHost(key, isSecure, state, seed) }
            if !state.prefixLengths.isEmpty {
                let prefixes = state.stamps[Kind.prefix.rawValue]
                seed.digests(ofPrefixes: state.prefixLengths, in: key) { take(prefixes[$0]) }
            }
        }

        private mutating func takeHost(
            _ key: UnsafeRawBufferPointer, _ isSecure: Bool, _ state: borrowing State, _ seed: DigestSeed
        ) {
            let authority = key.dropFirst(2).prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
            let hosts = state.stamps[Kind.host.rawValue]
            let (name, port) = PurgeStamps.split(authority: authority)
            take(hosts[seed.digest(Array(name))])
            let written = port.map { Array($0) } ?? Array((isSecure ? "443" : "80").utf8)
            take(hosts[seed.digest(Array(name) + [UInt8(ascii: ":")] + written)])
        }
    }

    /// Host and port of an authority; a colon inside of an IPv6 literal is no separator.
    public static func split<Bytes: BidirectionalCollection<UInt8>>(
        authority: Bytes
    ) -> (name: Bytes.SubSequence, port: Bytes.SubSequence?) {
        guard let colon = authority.lastIndex(of: UInt8(ascii: ":")),
            !authority[colon...].contains(UInt8(ascii: "]"))
        else { return (authority[...], nil) }
        return (authority[..<colon], authority[authority.index(after: colon)...])
    }
}

extension PurgeStamps {
    /// What the purges mean for `response`: one comparison where nothing was purged since the last look.
    public func verdict(of response: StoredResponse) -> PurgeVerdict {
        let current = version
        if response.checkedVersion == current {
            return response.softPurgedAt.map { .stale(since: $0) } ?? .untouched
        }
        let verdict = verdict(
            pulledAt: response.pulledAt, keyText: response.keyText, tags: response.tags)
        switch verdict {
        case .untouched: response.noteChecked(at: current, softPurgedAt: nil)
        case .stale(let time): response.noteChecked(at: current, softPurgedAt: time)
        case .hidden: return .hidden
        }
        return response.softPurgedAt.map { .stale(since: $0) } ?? .untouched
    }
}
