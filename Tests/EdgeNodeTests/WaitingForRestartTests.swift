import EdgeNode
import EdgeOrigin
import EdgePolicy
import Testing

/// Which keys of a new configuration wait for a restart.
struct WaitingForRestartTests {
    @Test func `what differs from the start is named, and nothing else`() {
        var running = NodeConfiguration()
        running.cache.diskBytes = 1 << 30
        #expect(running.waitingForRestart(since: running).isEmpty)
        var changed = running
        changed.nodeID = "fra-2"
        changed.listeners.append(ListenAddress(host: "::1", port: 1))
        changed.admin.address.port = 1
        changed.cache.directory = "/elsewhere"
        changed.cache.diskBytes = 0
        #expect(
            changed.waitingForRestart(since: running) == [
                "node.id", "listen", "admin.address", "cache.directory", "cache.disk",
            ])
        #expect(running.waitingForRestart(since: changed).count == 5)
    }

    @Test func `budgets, logs, the token's file, origins and sites count at once`() {
        let running = NodeConfiguration()
        var changed = running
        changed.cache.memoryBytes = 1 << 20
        changed.cache.diskBytes = 1 << 22
        changed.cache.maxVariants = 1
        changed.cache.maxResponseBytes = 1
        changed.log.access = .file("/a")
        changed.log.format = .combined
        changed.log.level = .error
        changed.admin.tokenFile = "/b"
        changed.origins["main"] = .init(urls: ["http://a.test"])
        changed.sites = [.init(hosts: ["*"], origin: "main")]
        #expect(changed.waitingForRestart(since: running).isEmpty)
    }
}
