import EdgePolicy
import EdgePrimitives

@testable import EdgeStore

/// What may be found: every version that was ever stored, and for each slot its states in order.
struct DiskModel {
    /// Since which step a state may be what is found.
    enum Floor {
        /// The newest, or nothing.
        case now
        /// That of this step, or any after it.
        case step(Int)
        /// Any: there was damage.
        case any
    }

    private struct State {
        let step: Int
        /// nil: removed, or never stored.
        let version: Int?
    }

    /// Bytes may change under the tier's feet; see ``BodyReader``.
    var isDoubting = false
    private(set) var versions: [Version] = []
    private var states: [Slot: [State]] = [:]
    /// Versions that the disk was asked to store while it failed, or that it may decline.
    private var optional: Set<Int> = []
    /// Versions that a fault took bytes from, where it might.
    private(set) var incomplete: Set<Int> = []
    /// Counts what was asked for.
    private(set) var step = 0

    var slots: [Slot] { states.keys.sorted { ($0.key, $0.language) < ($1.key, $1.language) } }

    func current(_ slot: Slot) -> Version? { states[slot]?.last?.version.map { versions[$0] } }

    // MARK: What happens

    var nextNumber: Int { versions.count }

    mutating func store(_ version: Version, isOptional: Bool) {
        precondition(version.number == versions.count)
        step += 1
        versions.append(version)
        if isOptional { optional.insert(version.number) }
        note(version.slot, version.number)
    }

    mutating func remove(_ slot: Slot) {
        step += 1
        note(slot, nil)
    }

    mutating func remove(key: Int) {
        step += 1
        for slot in states.keys where slot.key == key { note(slot, nil) }
    }

    mutating func removeAll() {
        step += 1
        for slot in states.keys { note(slot, nil) }
    }

    private mutating func note(_ slot: Slot, _ version: Int?) {
        states[slot, default: [State(step: 0, version: nil)]].append(State(step: step, version: version))
    }

    /// What was found after a restart is what is on disk from now on; older states may return where
    /// `isDurable` is false, because a power cut may take back what a kill left.
    mutating func settle(_ found: [Slot: Int], isDurable: Bool) {
        step += 1
        for slot in states.keys {
            let state = State(step: step, version: found[slot])
            if isDurable { states[slot] = [state] } else { note(slot, state.version) }
        }
    }

    // MARK: What may be found

    /// The versions, nil among them, that a slot may show.
    private func allowed(_ slot: Slot, _ floor: Floor) -> [Int?] {
        guard let states = states[slot] else { return [] }
        switch floor {
        case .now: return states.suffix(1).map(\.version)
        case .any: return versions.filter { $0.slot == slot }.map(\.number)
        case .step(let step):
            let first = states.lastIndex { $0.step <= step } ?? 0
            return states[first...].map(\.version)
        }
    }

    /// What has to be found: nil where nothing has to.
    private func demanded(_ slot: Slot, _ floor: Floor) -> Int? {
        let allowed = allowed(slot, floor)
        guard allowed.count == 1, let version = allowed[0], !optional.contains(version) else { return nil }
        return version
    }

    /// Loads every key, reads every byte, and tells what is wrong.
    ///
    /// - Parameters:
    ///   - isComplete: what was stored has to be there.
    ///   - found: gets the versions that were there.
    mutating func check(
        _ find: (Digest128) -> [StoredResponse], _ floor: Floor, isComplete: Bool,
        found: inout [Slot: Int]
    ) -> [String] {
        var problems: [String] = []
        for key in Set(states.keys.map(\.key)).sorted() {
            for response in find(DiskContent.key(key)) {
                problems += check(response, key, floor, isComplete: isComplete, &found)
            }
        }
        guard isComplete else { return problems }
        for slot in slots {
            guard let version = demanded(slot, floor), found[slot] == nil else { continue }
            problems.append("\(slot): version \(version) is lost")
        }
        return problems
    }

    private mutating func check(
        _ response: StoredResponse, _ key: Int, _ floor: Floor, isComplete: Bool, _ found: inout [Slot: Int]
    ) -> [String] {
        guard let number = DiskContent.number(response), versions.indices.contains(number) else {
            return ["key \(key): a response that nobody stored"]
        }
        let version = versions[number]
        guard version.slot.key == key else { return ["key \(key): version \(number) of \(version.slot)"] }
        var problems: [String] = []
        if let difference = version.difference(response) {
            return ["\(version.slot): version \(number) with \(difference)"]
        }
        let expected = DiskContent.bytes(version.content, version.length)
        let outcome = BodyReader.compare(response.body, with: expected, isDoubting: isDoubting)
        if let wrong = outcome.wrong { problems.append("\(version.slot): version \(number): \(wrong)") }
        let allowed = allowed(version.slot, floor)
        if !allowed.contains(number) {
            let expected = allowed.map { $0.map(String.init) ?? "none" }.joined(separator: ", ")
            problems.append("\(version.slot): version \(number) instead of \(expected)")
        }
        if found[version.slot] != nil { problems.append("\(version.slot): found twice") }
        found[version.slot] = number
        guard outcome.missingBytes > 0, !version.isPartial, !incomplete.contains(number) else {
            return problems
        }
        if case .now = floor {} else { incomplete.insert(number) }
        if isComplete, demanded(version.slot, floor) == number {
            problems.append("\(version.slot): \(outcome.missingBytes) bytes of version \(number) are lost")
        }
        return problems
    }
}
