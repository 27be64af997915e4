import Foundation

/// A point in time after which a wait has failed. Tests wait for events; a deadline only ends a test that
/// hangs.
public struct Deadline: Sendable {
    private let instant: ContinuousClock.Instant

    public init(milliseconds: Int64) { instant = .now + .milliseconds(milliseconds) }

    /// Ten seconds from now: far more than anything here takes.
    public static var standard: Deadline { Deadline(milliseconds: 10_000) }

    /// What is left, for `poll`; never negative.
    public var milliseconds: Int32 {
        let left = (instant - .now) / .milliseconds(1)
        return Int32(max(0, min(left.rounded(.up), 1_000_000)))
    }

    public var isOver: Bool { instant <= .now }

    var date: Date { Date(timeIntervalSinceNow: (instant - .now) / .seconds(1)) }
}

/// Runs blocking work on a thread of its own, so that no test holds up the threads of the others.
public func onThread<Value: Sendable>(_ work: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result { try work() }) }
    }
}
