import Testing

/// Tests that start whole nodes take turns: so many at once over all suites with this trait.
///
/// Left to themselves the tests start all at the same time, hundreds of nodes and origins in one process. That is
/// thousands of threads and descriptors, more than a usual limit of 1,024 open files allows, and what a test waits
/// for then comes when the machine has time for it.
public struct WholeNodes: SuiteTrait, TestTrait, TestScoping {
    private static let places = Places(8)

    public var isRecursive: Bool { true }

    /// A place is held by a case of a test, not by the suite around it, whose cases would wait for each other.
    public func scopeProvider(for test: Test, testCase: Test.Case?) -> Self? {
        testCase == nil ? nil : self
    }

    public func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await Self.places.hold(function)
    }
}

extension Trait where Self == WholeNodes {
    /// The tests of this suite start whole nodes and take turns with others that do.
    public static var wholeNodes: Self { WholeNodes() }
}
