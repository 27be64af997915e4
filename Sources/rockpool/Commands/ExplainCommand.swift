import ArgumentParser
import Foundation

/// `rockpool explain`
struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain",
        abstract: "Say what a node would do with a request now, and why, without asking the origin.",
        discussion: """
            Tells the cache key, the rules that apply, what is stored and where, how long it is fresh and what says \
            so, its age, and what would happen were the origin down.

            \(ClientFailure.exitCodes)
            """)

    @Argument(help: ArgumentHelp("The absolute URL, as a client would ask for it.", valueName: "URL"))
    var url: String

    @Option(
        name: [.customShort("H"), .customLong("header")], parsing: .singleValue,
        help: ArgumentHelp("A field of the request; may be given again.", valueName: "Name: value"),
        completion: .list(RequestFieldText.hints))
    var header: [String] = []

    @Flag(help: "Answer as if the origin were down.")
    var originDown = false

    @Flag(help: "A HEAD request instead of GET.")
    var head = false

    @OptionGroup var options: AdminOptions

    func validate() throws {
        for field in header { try RequestFieldText.check(field) }
    }

    func run() throws {
        var query = [(name: "url", value: url)]
        query += header.map { (name: "header", value: $0) }
        if head { query.append((name: "method", value: "HEAD")) }
        if originDown { query.append((name: "originDown", value: "true")) }
        let body = try options.ask { try $0.get("/explain?" + AdminClient.query(query)) }
        if options.json {
            AdminOptions.say(json: body)
            return
        }
        let explanation = try AdminOptions.reporting {
            try JSONDecoder().decode(Explanation.self, from: body)
        }
        let width = Terminal.isTerminal(1) ? min(Terminal.size(1).columns, 120) : 100
        Terminal.say(ExplanationText.render(explanation, width: width))
    }
}

/// The value of `-H`.
enum RequestFieldText {
    /// What a shell proposes after `-H`; without spaces, which fish would take for the next proposal.
    static let hints = [
        "Accept-Encoding:gzip", "Accept-Encoding:br", "Accept-Language:en", "Cache-Control:no-cache",
        "Range:bytes=0-",
    ]

    /// Throws where `text` is not `Name: value` (RFC 9110 5.1, 5.5).
    static func check(_ text: String) throws(ValidationError) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let marks = Set("!#$%&'*+-.^_`|~".utf8)
        guard parts.count == 2, let name = parts.first, !name.isEmpty,
            name.utf8.allSatisfy({ byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    true
                default: marks.contains(byte)
                }
            })
        else {
            throw ValidationError("-H \"\(Printable.text(text))\": a field is written 'Name: value'")
        }
        guard !text.utf8.contains(where: { $0 < 0x20 && $0 != 9 || $0 == 0x7f }) else {
            throw ValidationError("-H \"\(Printable.text(text))\": a field has no control characters")
        }
    }
}
