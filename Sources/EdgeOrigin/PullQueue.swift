/// Pulls that wait for one of an origin's connections: round robin over clients, so that one client with many misses
/// does not stand in front of the others.
package struct PullQueue<Element> {
    package static var capacity: Int { 1_024 }

    /// First in, first out, both in constant time: the places of those who were taken are freed when they are half.
    private struct Line<Member> {
        private var members: [Member?] = []
        private var first = 0

        var isEmpty: Bool { first == members.count }

        mutating func append(_ member: Member) { members.append(member) }

        mutating func next() -> Member? {
            guard !isEmpty else { return nil }
            let member = members[first]
            members[first] = nil
            first += 1
            if first * 2 >= members.count {
                members.removeFirst(first)
                first = 0
            }
            return member
        }

        mutating func remove(where isGone: (Member) -> Bool) -> [Member] {
            let all = members[first...].compactMap { $0 }
            members = all.filter { !isGone($0) }
            first = 0
            return all.filter(isGone)
        }
    }

    private var byClient: [UInt64: Line<Element>] = [:]
    private var turns = Line<UInt64>()
    package private(set) var count = 0

    package init() {}

    /// False: the queue is full.
    package mutating func append(_ element: Element, client: UInt64) -> Bool {
        guard count < Self.capacity else { return false }
        if byClient[client] == nil { turns.append(client) }
        byClient[client, default: Line()].append(element)
        count += 1
        return true
    }

    /// The first pull of the client whose turn it is.
    package mutating func next() -> Element? {
        // In its place: a copy of a client's line for each of its pulls would cost their square.
        guard let client = turns.next(), let index = byClient.index(forKey: client),
            let element = byClient.values[index].next()
        else { return nil }
        count -= 1
        if byClient.values[index].isEmpty {
            byClient.remove(at: index)
        } else {
            turns.append(client)
        }
        return element
    }

    /// Takes out what `isGone` says, wherever it stands.
    package mutating func remove(where isGone: (Element) -> Bool) -> [Element] {
        var gone: [Element] = []
        for client in Array(byClient.keys) {
            gone += byClient[client]?.remove(where: isGone) ?? []
            if byClient[client]?.isEmpty == true { byClient[client] = nil }
        }
        _ = turns.remove { byClient[$0] == nil }
        count -= gone.count
        return gone
    }
}
