import EdgeNode
import EdgeOrigin
import EdgePolicy
import EdgeStore
import Yams

/// Makes a ``NodeConfiguration`` from the tree of a file, and checks what no single key can: names that
/// refer to one another, hosts and addresses that occur twice.
struct ConfigurationBuilder {
    let reading: Reading

    /// The configuration; only of use if nothing was reported.
    func build(_ root: ConfigurationSection) -> NodeConfiguration {
        var configuration = NodeConfiguration()
        configuration.nodeID = root.section("node")?.text(
            "id", "letters, digits, dots, hyphens and underscores, such as fra-1", accepts: Self.isNodeID)
        let listen = listeners(root)
        if let listen { configuration.listeners = listen.map(\.address) }
        if let admin = root.section("admin") {
            if let address = admin.address("address") {
                configuration.admin.address = address
                if address.port != 0, listen?.contains(where: { $0.address == address }) == true {
                    reading.report(
                        admin.value("address") ?? admin.node, "\(address) is an address of listen as well",
                        "write another port")
                }
            }
            configuration.admin.tokenFile = tokenFile(admin)
        }
        configuration.cache = cache(root.section("cache"))
        if let log = root.section("log") { configuration.log = self.log(log) }
        let origins = root.namedSections("origins")
        for (name, section) in origins {
            configuration.origins[name] = section.map { OriginReader(section: $0).read() }
        }
        if let value = root.value("origins"), case .mapping(let mapping) = value, mapping.isEmpty {
            reading.report(
                value, "\"origins\" is empty", "add one, such as main: { urls: [\"https://origin.example\"] }"
            )
        }
        configuration.sites = SiteReader(reading: reading, origins: origins.map(\.name)).read(
            root.sections("sites") ?? [])
        return configuration
    }

    /// The token file; what is wrong with it as a secret is said here, with its place, before a start fails
    /// on it. Whose it has to be depends on the node's user, who need not be the one that checks.
    private func tokenFile(_ admin: ConfigurationSection) -> String? {
        guard let path = admin.file("tokenFile"), let node = admin.value("tokenFile") else { return nil }
        let least = NodeConfiguration.Admin.leastTokenCharacters
        if let count = reading.wordLength(in: path), count < least {
            reading.report(
                node, "the token in \"\(path)\" has \(count) characters",
                "write at least \(least), such as openssl rand -hex 32 makes")
        }
        if reading.isOpenToAll(path) {
            reading.report(
                node, "everybody on this machine may read or write the token in \"\(path)\"",
                "chmod 640 it, or 600")
        }
        return path
    }

    private func listeners(_ root: ConfigurationSection) -> [(address: ListenAddress, line: Int)]? {
        guard let sections = root.sections("listen") else { return nil }
        var listeners: [(address: ListenAddress, line: Int)] = []
        for section in sections {
            guard let address = section.address("address"), let node = section.value("address") else {
                continue
            }
            if address.port != 0, let twin = listeners.first(where: { $0.address == address }) {
                reading.report(
                    node, "the address \(address) is listened on twice",
                    "the first is on line \(twin.line): keep one")
            }
            listeners.append((address, node.mark?.line ?? 0))
        }
        return listeners
    }

    private func cache(_ section: ConfigurationSection?) -> NodeConfiguration.Cache {
        var cache = NodeConfiguration.Cache()
        let directory = section?.text("directory", "the path of a folder", accepts: { !$0.isEmpty })
        cache.directory = reading.resolve(directory ?? cache.directory)
        guard let section else { return cache }
        cache.memoryBytes = section.size("memory") ?? cache.memoryBytes
        cache.diskBytes = section.size("disk") ?? cache.diskBytes
        if let node = section.value("disk"), cache.diskBytes > 0,
            cache.diskBytes < DiskTier.leastBudgetBytes
        {
            let least = ByteSize.format(DiskTier.leastBudgetBytes)
            reading.report(
                node, "\"disk\" is \(ByteSize.format(cache.diskBytes)), which is too small",
                "write \(least) or more, or 0B for no disk tier")
        }
        cache.maxResponseBytes = section.size("maxResponse") ?? cache.maxResponseBytes
        cache.maxVariants = section.count("maxVariants") ?? cache.maxVariants
        return cache
    }

    private func log(_ section: ConfigurationSection) -> NodeConfiguration.Log {
        var log = NodeConfiguration.Log()
        switch section.text("access", "\"-\", \"off\" or a path", accepts: { !$0.isEmpty }) {
        case nil, "-": log.access = .standardOutput
        case "off": log.access = .off
        case .some(let path): log.access = .file(reading.resolve(path))
        }
        log.format = section.choice("format", as: NodeConfiguration.Log.Format.self) ?? log.format
        log.level = section.choice("level", as: NodeConfiguration.Log.Level.self) ?? log.level
        return log
    }

    private static func isNodeID(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { $0 &- 48 < 10 || ($0 | 32) &- 97 < 26 || [45, 46, 95].contains($0) }
    }
}
