import ArgumentParser
import Foundation

/// `rockpool purge`
struct PurgeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "purge",
        abstract: "Make a node forget a URL, a tag, a prefix, a host or everything.",
        usage: """
            rockpool purge --url URL [--any-query] [--soft] [options]
            rockpool purge --tag TAG | --prefix URL | --host NAME[:PORT] | --all [--soft] [options]
            """,
        discussion: """
            Exactly one of --url, --tag, --prefix, --host and --all. Once this command has ended well, no request \
            that starts later is answered with what was purged, also after a crash of the node.

            \(ClientFailure.exitCodes)
            """)

    @Option(help: ArgumentHelp("One URL, with its query.", valueName: "URL"))
    var url: String?

    @Flag(help: "With --url: that URL with every query.")
    var anyQuery = false

    @Option(
        help: ArgumentHelp("What the origin tagged so (Surrogate-Key, Cache-Tag).", valueName: "TAG"))
    var tag: String?

    @Option(help: ArgumentHelp("Every URL that begins so.", valueName: "URL"))
    var prefix: String?

    @Option(help: ArgumentHelp("Every URL of a host; without a port, of all its ports.", valueName: "HOST"))
    var host: String?

    @Flag(help: "Everything.")
    var all = false

    @Flag(
        help:
            "Only mark it as stale: it is validated before it is used again, and serves while the origin is out."
    )
    var soft = false

    @OptionGroup var options: AdminOptions

    func validate() throws {
        let given = scopes.map(\.flag)
        guard given.count == 1 else {
            let problem =
                given.isEmpty
                ? "nothing says what to purge" : "\(given.joined(separator: " and ")) exclude each other"
            throw ValidationError("\(problem): give exactly one of --url, --tag, --prefix, --host and --all")
        }
        guard !anyQuery || url != nil else { throw ValidationError("--any-query goes with --url only") }
    }

    private var scopes: [(flag: String, name: String, value: String?)] {
        var given: [(flag: String, name: String, value: String?)] = []
        for (name, value) in [("url", url), ("tag", tag), ("prefix", prefix), ("host", host)]
        where value != nil {
            given.append(("--\(name)", name, value))
        }
        if all { given.append(("--all", "all", nil)) }
        return given
    }

    private struct Answer: Decodable {
        var id: String
        var scope: String
        var value: String?
        var soft: Bool?
        var anyQuery: Bool?
    }

    func run() throws {
        var request: [String: PurgeValue] = [:]
        for scope in scopes { request[scope.name] = scope.value.map { .text($0) } ?? .flag(true) }
        if anyQuery { request["anyQuery"] = .flag(true) }
        if soft { request["soft"] = .flag(true) }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let json = String(decoding: try encoder.encode(request), as: UTF8.self)
        let body = try options.ask { try $0.post("/purge", json: json) }
        if options.json {
            AdminOptions.say(json: body)
            return
        }
        let answer = try AdminOptions.reporting { try JSONDecoder().decode(Answer.self, from: body) }
        Terminal.say(
            Self.line(
                id: answer.id, scope: answer.scope, value: answer.value, anyQuery: answer.anyQuery ?? false,
                soft: answer.soft ?? soft))
    }

    /// `purged url http://www.example.com/a.css (id 18f3a2-42)`
    static func line(id: String, scope: String, value: String?, anyQuery: Bool, soft: Bool) -> String {
        let target = value.map { " " + Printable.text($0) } ?? ""
        return "\(soft ? "soft-purged" : "purged") \(Printable.text(scope))\(target)"
            + "\(anyQuery ? " with any query" : "") (id \(Printable.text(id)))"
    }
}

/// A value in the request of a purge.
private enum PurgeValue: Encodable {
    case text(String)
    case flag(Bool)

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .text(let text): try container.encode(text)
        case .flag(let flag): try container.encode(flag)
        }
    }
}
