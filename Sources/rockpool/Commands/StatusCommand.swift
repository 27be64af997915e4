import ArgumentParser
import Foundation

/// `rockpool status`
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show a node's requests, tiers, origins, latencies, top misses and purges.",
        discussion: ClientFailure.exitCodes)

    @OptionGroup var options: AdminOptions

    func run() throws {
        let body = try options.ask { try $0.get("/status") }
        if options.json {
            AdminOptions.say(json: body)
            return
        }
        let status = try AdminOptions.reporting { try JSONDecoder().decode(NodeStatus.self, from: body) }
        Terminal.say(StatusText.render(status))
    }
}
