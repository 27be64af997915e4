import ArgumentParser
import Foundation

/// `rockpool top`
struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Watch a node: hit ratio, rates, latencies, tiers, origins, misses, purges.",
        discussion: """
            On a terminal it fills the screen until q or Ctrl-C. Elsewhere, and with --json or --count, it prints a \
            line a second. A node that does not answer is asked again each second.

            \(ClientFailure.exitCodes)
            """)

    @Option(help: ArgumentHelp("End after N lines, and don't fill the screen.", valueName: "N"))
    var count: Int?

    @OptionGroup var options: AdminOptions

    func validate() throws {
        if let count, count < 1 { throw ValidationError("--count \(count): at least 1") }
    }

    func run() throws {
        let output: TopLoop.Output
        if options.json {
            output = .json
        } else if count != nil || !Terminal.isTerminal(1)
            || ProcessInfo.processInfo.environment["TERM"] == "dumb"
        {
            output = .lines
        } else {
            let keys: CInt = Terminal.isTerminal(0) ? 0 : 1
            output = .screen(TerminalScreen(keys: keys), keys: keys)
        }
        let loop = try TopLoop(options: options, output: output, count: count)
        try AdminOptions.reporting { try loop.run() }
    }
}
