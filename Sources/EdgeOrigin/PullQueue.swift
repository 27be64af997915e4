/// Pulls that wait for one of an origin's connections: round robin over clients, so that one client with many misses
/// does not stand in front of the others.
package struct PullQueue<Element> {
    package static var capacity: Int { 1_024 }

    private var byClient: [UInt64: [Element]] = [:]
    private var turns: [UInt64] = []
    package private(set) var count = 0

    package init() {}

    /// False: the queue is full.
    package mutating func append(_ element: Element, client: UInt64) -> Bool {
        guard count < Self.capacity else { return false }
        if byClient[client] == nil { turns.append(client) }
        byClient[client, default: []].append(element)
        count += 1
        return true
    }

    /// The first pull of the client whose turn it is.
    package mutating func next() -> Element? {
        guard !turns.isEmpty else { return nil }
        let client = turns.removeFirst()
        guard var waiting = byClient[client], !waiting.isEmpty else { return nil }
        let element = waiting.removeFirst()
        count -= 1
        if waiting.isEmpty {
            byClient[client] = nil
        } else {
            byClient[client] = waiting
            turns.append(client)
        }
        return element
    }

    /// Takes out what `isGone` says, wherever it stands.
    package mutating func remove(where isGone: (Element) -> Bool) -> [Element] {
        var gone: [Element] = []
        for client in turns {
            gone += byClient[client, default: []].filter(isGone)
            byClient[client]?.removeAll(where: isGone)
            if byClient[client]?.isEmpty == true { byClient[client] = nil }
        }
        turns.removeAll { byClient[$0] == nil }
        count -= gone.count
        return gone
    }
}
