import EdgeNode
import EdgeServer
import Testing

@testable import rockpool

/// What a node wants of a limit of open files, and what it says where that is not there.
struct DescriptorPlanTests {
    private static func configuration(disk: Int64, origins: Int = 1) -> NodeConfiguration {
        var configuration = NodeConfiguration.forSingleOrigin(url: "http://a.example")
        for number in 1..<origins {
            configuration.origins["o\(number)"] = configuration.origins["main"]
        }
        configuration.cache.diskBytes = disk
        return configuration
    }

    private static func plan(_ limit: Int) -> DescriptorPlan {
        DescriptorPlan(limit: limit, processors: 2, inherited: 3)
    }

    @Test func `the default of systems is enough for the default of nodes`() throws {
        let budget = try Self.plan(1024).budget(Self.configuration(disk: 10 << 30))
        #expect(!budget.isTight)
        #expect(budget.clients > 300)
        #expect(budget.origins == 64)
    }

    @Test func `a larger disk has more files, and more origins more connections`() throws {
        let plan = Self.plan(1 << 20)
        let few = try plan.budget(Self.configuration(disk: 10 << 30))
        let large = try plan.budget(Self.configuration(disk: 1 << 40))
        let many = try plan.budget(Self.configuration(disk: 10 << 30, origins: 20))
        #expect(few.clients - large.clients > 6_000)
        #expect(many.origins == 20 * 64)
        #expect(Self.plan(1024).needs(Self.configuration(disk: 0)).disk == 0)
    }

    @Test func `a limit that is too low is said with what would do`() throws {
        let configuration = Self.configuration(disk: 10 << 30)
        let error = #expect(throws: StartError.self) { try Self.plan(64).budget(configuration) }
        let text = try #require(error?.description)
        #expect(text.hasPrefix("64 open files are too few: this node needs "))
        #expect(text.contains("LimitNOFILE") && text.contains("give the disk less"))
        let least = DescriptorBudget.least(Self.plan(64).needs(configuration))
        #expect(text.contains("needs \(least) at least"))
        let budget = try Self.plan(least).budget(configuration)
        #expect(budget.isTight)
        #expect(Self.plan(least).tightLine(budget, configuration).contains("\(least) open files are few"))
    }
}
