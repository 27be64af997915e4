import EdgeTesting
import Testing

/// The tables in `fixtures/conformance`, played over sockets against a whole node.
@Suite(.wholeNodes) struct ConformanceTests {
    @Test(arguments: ConformanceCase.all)
    func `the node answers as the RFC says`(testCase: ConformanceCase) async throws {
        let problems = try await CaseRun(testCase).problems()
        #expect(problems.isEmpty, "\(testCase.testDescription)\n\(problems.joined(separator: "\n"))")
    }

    @Test func `every case has an id of its own`() {
        let ids = ConformanceCase.all.map(\.id)
        let repeated = Dictionary(grouping: ids) { $0 }.filter { $0.value.count > 1 }.keys
        #expect(repeated.isEmpty)
        #expect(ids.count >= 120)
    }
}
