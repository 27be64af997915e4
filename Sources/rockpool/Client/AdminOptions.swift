import ArgumentParser
import Foundation

/// Which node a client subcommand talks to, and how it answers.
struct AdminOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The admin listener. Default $ROCKPOOL_ADMIN or http://127.0.0.1:8081.", valueName: "URL"),
        completion: .list(["http://127.0.0.1:8081"]))
    var admin: String?

    @Option(
        help: ArgumentHelp(
            "A file with the admin token. Default $ROCKPOOL_ADMIN_TOKEN, then ./rockpool-cache/admin.token,"
                + " then /etc/rockpool/admin.token.",
            valueName: "FILE"),
        completion: .file())
    var tokenFile: String?

    @Flag(help: "Print the answer as JSON.")
    var json = false

    func client() throws -> AdminClient {
        try Self.reporting { try AdminClient(admin: admin, tokenFile: tokenFile) }
    }

    /// The answer of the node; a failure becomes a line on standard error, its problem document with --json a line on
    /// standard output, and the exit code.
    func ask(_ request: (AdminClient) throws -> Data) throws -> Data {
        let client = try client()
        return try Self.reporting(json: json) { try request(client) }
    }

    /// Runs `work`; a failure becomes a line on standard error and an exit code.
    static func reporting<Result>(json: Bool = false, _ work: () throws -> Result) throws -> Result {
        do {
            return try work()
        } catch let failure as ClientFailure {
            if json, case .refused(_, .some(let answer)) = failure { say(json: answer) }
            Terminal.error("rockpool: \(failure)")
            throw failure.exitCode
        } catch let error as DecodingError {
            Terminal.error("rockpool: the node's answer is not understood: \(Self.place(error))")
            throw ExitCode(1)
        }
    }

    /// Prints a JSON answer as it came.
    static func say(json: Data) {
        let text = String(decoding: json, as: UTF8.self)
        Terminal.say(Printable.json(text.hasSuffix("\n") ? String(text.dropLast()) : text))
    }

    private static func place(_ error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, _): "no `\(key.stringValue)` in it"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            "`\(context.codingPath.map(\.stringValue).joined(separator: "."))` is not what it should be"
        default: "not JSON"
        }
    }
}
