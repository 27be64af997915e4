/// Why a test could not go on: what was waited for and did not come, or what came and cannot be.
public struct TestFailure: Error, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}
