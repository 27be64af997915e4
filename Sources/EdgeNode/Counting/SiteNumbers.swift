import Synchronization

/// The number under which a site is counted. It goes with the site's name, so a reload goes on counting where the
/// configuration before it left off; the number of them is bounded, however many names a node sees in its life.
public final class SiteNumbers: Sendable {
    /// How many numbers there are. The first stands for no site, the last for those that came when all were taken.
    static let capacity = 4_096
    static let none = 0
    private static let overflow = capacity - 1

    private struct State {
        var numbers: [String: Int] = [:]
        /// By number, from 1.
        var names: [String] = []
    }

    private let state = Mutex(State())

    public init() {}

    /// The number of the site of that name.
    func number(_ name: String) -> Int {
        guard !name.isEmpty else { return Self.none }
        return state.withLock { state in
            if let number = state.numbers[name] { return number }
            let number = state.names.count + 1
            guard number < Self.overflow else { return Self.overflow }
            state.numbers[name] = number
            state.names.append(name)
            return number
        }
    }

    /// Every number with its name; "" for no site, "(other)" for all that have no number of their own.
    var all: [(number: Int, name: String)] {
        let names = state.withLock { $0.names }
        return [(Self.none, "")] + names.enumerated().map { ($0 + 1, $1) } + [(Self.overflow, "(other)")]
    }
}
