/// How the descriptors that a process may open are shared out.
///
/// What a node cannot do without comes first: its files, loops and listeners, the disk tier, connections to
/// origins and those of operators. Client connections get what is left, and accepting stops before it would
/// take from the rest: a process that has none left can neither read its disk, nor ask an origin, nor tell
/// anybody why.
public struct DescriptorBudget: Sendable, Equatable {
    /// What wants descriptors.
    public struct Needs: Sendable, Equatable {
        /// Files, listeners and loops, from the start to the end.
        public var fixed = 0
        /// Files of the disk tier at its fullest.
        public var disk = 0
        /// Connections to all origins together.
        public var origins = 0
        /// Connections to the admin listener.
        public var admin = 0

        public init(fixed: Int, disk: Int, origins: Int, admin: Int) {
            self.fixed = fixed
            self.disk = disk
            self.origins = origins
            self.admin = admin
        }
    }

    /// With fewer of them a node is none.
    private static let leastClients = 8
    private static let leastOrigins = 4
    private static let leastAdmin = 4

    /// The most client connections.
    public let clients: Int
    /// Copies of descriptors that bodies on their way from the disk may hold.
    public let regions: Int
    /// Connections to origins that have a descriptor for sure.
    public let origins: Int
    /// Connections to the admin listener.
    public let admin: Int
    /// Whether origins or operators got less than they may use, so that clients have half.
    public let isTight: Bool

    /// The least limit under which a node with these needs can run.
    public static func least(_ needs: Needs) -> Int {
        needs.fixed + needs.disk + leastClients + leastOrigins + leastAdmin
    }

    /// Nil where `limit` is below ``least(_:)``.
    public init?(limit: Int, _ needs: Needs) {
        guard limit >= Self.least(needs) else { return nil }
        let rest = limit - needs.fixed - needs.disk
        isTight = needs.origins + needs.admin > rest / 2
        if isTight {
            admin = max(Self.leastAdmin, min(needs.admin, rest / 8))
            origins = max(Self.leastOrigins, min(needs.origins, rest / 2 - admin))
        } else {
            (admin, origins) = (needs.admin, needs.origins)
        }
        let left = rest - admin - origins
        regions = left / 8
        clients = left - regions
    }
}
