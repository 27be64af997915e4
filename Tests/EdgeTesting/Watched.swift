import Foundation

/// A value that threads change and tests wait on.
// Sendable because every access holds the condition's lock.
public final class Watched<Value: Sendable>: @unchecked Sendable {
    private let condition = NSCondition()
    private var value: Value

    public init(_ value: Value) { self.value = value }

    public var current: Value { change { $0 } }

    @discardableResult
    public func change<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        condition.lock()
        defer {
            condition.broadcast()
            condition.unlock()
        }
        return try body(&value)
    }

    /// Blocks until `isMet`; false when the deadline passes first.
    public func block(until deadline: Deadline, _ isMet: (Value) -> Bool) -> Bool {
        condition.lock()
        defer { condition.unlock() }
        while !isMet(value) {
            if !condition.wait(until: deadline.date), !isMet(value) { return false }
        }
        return true
    }

    /// Waits until `isMet`; throws when the deadline passes first.
    public func wait(
        for what: String, until deadline: Deadline = .standard, _ isMet: @escaping @Sendable (Value) -> Bool
    ) async throws {
        let isInTime = try await onThread { self.block(until: deadline, isMet) }
        if !isInTime { throw TestFailure("waited in vain for \(what); at the end: \(current)") }
    }
}

/// A named event that a test lets happen.
public final class Gate: Sendable, CustomStringConvertible {
    public let description: String
    private let isOpen = Watched(false)

    public init(_ name: String) { description = name }

    public func open() { isOpen.change { $0 = true } }

    /// Blocks until the gate opens.
    public func pass() throws {
        guard isOpen.block(until: Deadline(milliseconds: 20_000), { $0 }) else {
            throw TestFailure("the gate \(description) was never opened")
        }
    }
}
