import ArgumentParser
import EdgeConfig
import Foundation

/// `rockpool warm`
struct WarmCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "warm",
        abstract: "Fetch a list of URLs through a node, so that it has them.",
        discussion: """
            One absolute URL on each line; blank lines and lines that begin with # are skipped. The connection goes \
            to the node, whatever host a URL names, and over the node's scheme, whatever the URL's is. Without --node \
            the node's admin API says where it listens; that needs the admin token. Answers from \
            400 on count as failed, and so does a line that is no URL. Ctrl-C ends it with the report so far.

            \(ClientFailure.exitCodes)
            """)

    private static let largestConcurrency = 1_000

    @Argument(
        help: ArgumentHelp("The list, or - for standard input.", valueName: "FILE|-"), completion: .file())
    var file: String

    @Option(
        help: ArgumentHelp(
            "The node's data listener. Default $ROCKPOOL_NODE, then what the node's /status names.",
            valueName: "URL"),
        completion: .list(["http://127.0.0.1:8080"]))
    var node: String?

    @Option(
        help: ArgumentHelp(
            "Without --node: the admin listener. Default $ROCKPOOL_ADMIN or http://127.0.0.1:8081.",
            valueName: "URL"),
        completion: .list(["http://127.0.0.1:8081"]))
    var admin: String?

    @Option(
        help: ArgumentHelp(
            "Without --node: a file with the admin token. Default $ROCKPOOL_ADMIN_TOKEN, then "
                + "./rockpool-cache/admin.token.",
            valueName: "FILE"),
        completion: .file())
    var tokenFile: String?

    @Option(help: ArgumentHelp("Requests at a time.", valueName: "N"))
    var concurrency = 8

    @Option(
        name: [.customShort("H"), .customLong("header")], parsing: .singleValue,
        help: ArgumentHelp(
            "A field of every request, such as 'Accept-Encoding: gzip'; may be given again.",
            valueName: "Name: value"),
        completion: .list(RequestFieldText.hints))
    var header: [String] = []

    @Flag(help: "Print the report as JSON.")
    var json = false

    func validate() throws {
        guard (1...Self.largestConcurrency).contains(concurrency) else {
            throw ValidationError("--concurrency \(concurrency): 1 to \(Self.largestConcurrency)")
        }
        for field in header {
            try RequestFieldText.check(field)
            guard !field.lowercased().hasPrefix("host:") else {
                throw ValidationError("-H \"\(Printable.text(field))\": the host comes from each URL")
            }
        }
        _ = try namedAddress()
    }

    /// What `--node` or the environment names; nil where neither does.
    private func namedAddress() throws -> String? {
        guard let given = node ?? ProcessInfo.processInfo.environment["ROCKPOOL_NODE"] else { return nil }
        do {
            return try OriginURL.parse(ListenerURL.read(given) ?? given)
        } catch {
            throw ValidationError(
                "\(Printable.text(given)): a node's data listener is written http://127.0.0.1:8080")
        }
    }

    func run() throws {
        let list = WarmList(try read())
        let address =
            try namedAddress()
            ?? AdminOptions.reporting { try WarmTarget.find(admin: admin, tokenFile: tokenFile) }
        let loop = WarmLoop(
            list: list, node: address, fields: header, concurrency: concurrency,
            look: Terminal.isTerminal(2) ? .bar : json ? .none : .lines)
        let report = loop.run()
        Terminal.say(json ? try report.json() : report.text)
        if loop.isUnreachable {
            Terminal.error("rockpool: \(report.brokenOff ?? "the node cannot be reached")")
            throw ExitCode(2)
        }
        if report.hasFailures { throw ExitCode(1) }
    }

    private func read() throws -> String {
        do {
            // By a handle: a pipe that a shell names (`<(...)`) is a file as well.
            let handle =
                file == "-"
                ? FileHandle.standardInput : try FileHandle(forReadingFrom: URL(fileURLWithPath: file))
            return String(decoding: try handle.readToEnd() ?? Data(), as: UTF8.self)
        } catch {
            Terminal.error("rockpool: \(Printable.text(file)): cannot be read")
            throw ExitCode(1)
        }
    }
}
