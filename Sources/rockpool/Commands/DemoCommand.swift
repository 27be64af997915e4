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
        let directory = try CacheDirectory.makeTemporary(
            in: FileManager.default.temporaryDirectory.path, prefix: "rockpool-demo")
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
        let adminHost = configuration.admin.address.host
        service.onRunning = { ports, adminPort in
            let site = "http://\(address.host):\(ports.first ?? address.port)/"
            let token = AdminClient.token(in: directory + "/admin.token") ?? ""
            Terminal.say(Self.welcome(site, "http://\(adminHost):\(adminPort)", token))
        }
        try await service.run()
        try await origin.shutdown()
    }

    private static func welcome(_ site: String, _ admin: String, _ token: String) -> String {
        let program = CommandLine.arguments.first ?? "rockpool"
        return """

              Rockpool is serving a demo site. Open   \(site)
              Fetch things again, take the origin down, and watch what the cache does. Ctrl-C ends it.

              The node's dashboard is at              \(admin)/
              It asks for the token                   \(token)

              From another terminal:

                export ROCKPOOL_ADMIN=\(admin) ROCKPOOL_ADMIN_TOKEN=\(token)
                \(program) explain \(site)style.css
                \(program) purge --url \(site)style.css

            """
    }
}
