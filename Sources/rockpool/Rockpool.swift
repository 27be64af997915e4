import ArgumentParser
import CCurl
import CZlib
import Glibc

/// The command line: subcommands, signals and wiring, nothing else.
@main
struct Rockpool: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rockpool",
        abstract: "An origin-pull CDN edge cache node.",
        discussion: ClientFailure.exitCodes,
        version: Version.text,
        subcommands: [
            ServeCommand.self, DemoCommand.self, CheckCommand.self,
            StatusCommand.self,
            TopCommand.self,
            ExplainCommand.self,
            PurgeCommand.self,
            WarmCommand.self,
        ])

    /// Signals that would end the process before its services listen for them are ignored first thing.
    static func main() async {
        signal(SIGPIPE, SIG_IGN)
        signal(SIGHUP, SIG_IGN)
        signal(SIGUSR1, SIG_IGN)
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            exit(withError: error)
        }
    }
}

/// What this build is and what it was built with.
enum Version {
    static let number = "0.1.0"

    static var text: String {
        let curl = String(cString: curl_version())
        let zlib = String(cString: zlibVersion())
        return [
            "rockpool \(number)", "\(curl) (zlib \(zlib) at hand)", "HTTP/2 and TLS to clients: not built in",
            "brotli: not built in",
        ].joined(separator: "\n")
    }
}
