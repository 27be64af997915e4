import CEdgeLinux
import EdgeAdmin
import EdgeNode
import EdgeOrigin
import EdgeServer
import EdgeStore
import Foundation

/// What this node wants of the descriptors that its process may open.
struct DescriptorPlan: Sendable {
    /// The most connections to the admin listener, those included that are on their way out.
    private static let adminConnections = 256 + AdminService.passingConnections
    /// For what comes and goes: logs that are opened anew, names that are resolved, files of `/proc`, a
    /// start's own.
    private static let passing = 16
    /// Connections that a listening socket takes in one go.
    private static let acceptedAtOnce = 4

    /// The limit of open files.
    let limit: Int
    let processors: Int
    /// Descriptors that were open when the process had opened none of its own.
    let inherited: Int

    init(limit: Int, processors: Int, inherited: Int = openNow()) {
        self.limit = limit
        self.processors = processors
        self.inherited = inherited
    }

    private static func openNow() -> Int {
        // The listing itself has one open.
        let names = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")
        return names.map { max(3, $0.count - 1) } ?? 3
    }

    /// Raises the soft limit of open files to the hard one.
    static func raiseLimit() -> Int {
        let limit = edge_raise_descriptor_limit()
        // Where it cannot be known it is taken for what a system has by default.
        return limit > 0 ? Int(limit) : 1024
    }

    func needs(_ configuration: NodeConfiguration) -> DescriptorBudget.Needs {
        let listeners = configuration.listeners.count * processors
        // An event loop has three, and so has the one of Foundation's dispatch; libcurl wakes its thread by a
        // pair.
        let loops = 3 * (processors + 1) + 6 + 2
        let logs = 1
        let admin = 1
        let purges = 5
        let accepted = Self.acceptedAtOnce * listeners
        return DescriptorBudget.Needs(
            fixed: inherited + listeners + loops + logs + admin + purges + Self.passing + accepted,
            disk: DiskTier.files(budgetBytes: configuration.cache.diskBytes),
            origins: configuration.origins.values.reduce(0) { $0 + $1.maxConnections },
            admin: Self.adminConnections)
    }

    /// Fails where the limit is too low for a node with this configuration.
    func budget(_ configuration: NodeConfiguration) throws -> DescriptorBudget {
        let needs = needs(configuration)
        guard let budget = DescriptorBudget(limit: limit, needs) else {
            let hint = needs.disk > 0 ? ", or give the disk less" : ""
            throw StartError(
                "\(limit) open files are too few: this node needs \(DescriptorBudget.least(needs)) at least, "
                    + "\(needs.disk) of them for its disk: raise the limit (ulimit -n, or LimitNOFILE= of the unit)"
                    + hint)
        }
        return budget
    }

    /// What the log says where origins or operators have less than they may use.
    func tightLine(_ budget: DescriptorBudget, _ configuration: NodeConfiguration) -> String {
        let needs = needs(configuration)
        return "\(limit) open files are few: \(budget.clients) connections of clients, \(budget.origins) of "
            + "\(needs.origins) to origins and \(budget.admin) of \(needs.admin) of the admin listener have room; "
            + "raise the limit (ulimit -n, or LimitNOFILE= of the unit)"
    }
}
