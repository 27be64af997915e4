import Synchronization

/// What the listeners did because client connections came to their bound.
public final class ConnectionPressure: Sendable {
    private let limitNumber = Atomic<Int>(0)
    private let endedCount = Atomic<UInt64>(0)
    private let pauseCount = Atomic<UInt64>(0)
    private let failureCount = Atomic<UInt64>(0)

    public init() {}

    /// The most client connections; 0: no bound is known.
    public var limit: Int {
        get { limitNumber.load(ordering: .relaxed) }
        set { limitNumber.store(newValue, ordering: .relaxed) }
    }

    /// Connections between two requests that were ended so that others could come.
    public var ended: UInt64 { endedCount.load(ordering: .relaxed) }
    /// How often accepting stopped.
    public var pauses: UInt64 { pauseCount.load(ordering: .relaxed) }
    /// Connections that the system would not give: no descriptor or no memory was left.
    public var failures: UInt64 { failureCount.load(ordering: .relaxed) }

    public func noteEnded() { endedCount.wrappingAdd(1, ordering: .relaxed) }
    public func notePause() { pauseCount.wrappingAdd(1, ordering: .relaxed) }
    public func noteFailure() { failureCount.wrappingAdd(1, ordering: .relaxed) }
}
