import ArgumentParser
import EdgeConfig
import EdgeNode
import Foundation
import NIOPosix

/// `rockpool demo`: a node, an origin and a page that shows what happens.
struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "A node in front of a small site, with a page that shows what the cache does.")

    @Option(help: ArgumentHelp("Where the page is. Port 0 takes a free one.", valueName: "HOST:PORT"))
    var listen = "127.0.0.1:8080"

    @Option(help: ArgumentHelp("The admin listener. Port 0 takes a free one.", valueName: "HOST:PORT"))
    var admin = "127.0.0.1:8081"

    @Option(help: ArgumentHelp("The folder of the site.", valueName: "DIR"), completion: .directory)
    var site = "fixtures/site"

    func run() async throws {
        guard FileManager.default.fileExists(atPath: site + "/index.html") else {
            throw ValidationError(
                "\(site)/index.html: not found; run from the project's folder, or name it with --site DIR")
        }
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let origin = try await DemoOrigin.start(siteDirectory: site, group: group)
        let directory = FileManager.default.temporaryDirectory.path + "/rockpool-demo-\(getpid())"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        var configuration = NodeConfiguration.forSingleOrigin(url: "http://127.0.0.1:\(origin.originPort)")
        let address = try ListenAddress.parse(listen)
        configuration.listeners = [address]
        configuration.admin.address = try ListenAddress.parse(admin)
        configuration.cache.directory = directory
        configuration.log.access = .off
        var service = NodeService(configuration: configuration) {
            throw ValidationError("the demo has no configuration file")
        }
        service.isQuiet = true
        service.onRunning = { ports in
            Terminal.say("")
            Terminal.say(
                "  Rockpool is serving a demo site. Open   http://\(address.host):\(ports.first ?? address.port)/"
            )
            Terminal.say(
                "  Fetch things again, take the origin down, and watch what the cache does. Ctrl-C ends it.")
            Terminal.say("")
        }
        try await service.run()
        try await origin.shutdown()
    }
}
