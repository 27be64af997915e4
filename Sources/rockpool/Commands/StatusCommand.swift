import ArgumentParser
import EdgeAdmin
import Foundation

/// Which node a client subcommand talks to.
struct AdminOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The admin listener. Default $ROCKPOOL_ADMIN or http://127.0.0.1:8081.", valueName: "URL"))
    var admin: String?

    @Option(
        help: ArgumentHelp(
            "A file with the admin token. Default $ROCKPOOL_ADMIN_TOKEN, then ./rockpool-cache/admin.token.",
            valueName: "FILE"))
    var tokenFile: String?

    @Flag(help: "Print the answer as JSON.")
    var json = false

    func get(_ path: String) throws -> Data {
        do {
            return try AdminClient(admin: admin, tokenFile: tokenFile).get(path)
        } catch {
            Terminal.error("\(error)")
            throw ExitCode(1)
        }
    }
}

/// `rockpool status`
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show a node's version, tiers and origins; exit 0, or 1 where it does not answer.")

    @OptionGroup var options: AdminOptions

    func run() throws {
        let body = try options.get("/status")
        if options.json {
            Terminal.say(String(decoding: body, as: UTF8.self))
            return
        }
        let status = try JSONDecoder().decode(StatusDocument.self, from: body)
        Terminal.say(Self.text(status))
    }

    static func text(_ status: StatusDocument) -> String {
        var lines = [
            "rockpool \(status.version)  node \(status.node)  up \(duration(status.uptimeSeconds))"
                + (status.draining ? "  draining" : "")
        ]
        let outcomes = status.requests.byOutcome.filter { $0.value > 0 }.sorted { $0.value > $1.value }
        lines.append(
            "requests  \(status.requests.total)"
                + (outcomes.isEmpty
                    ? "" : "  (" + outcomes.map { "\($0.value) \($0.key)" }.joined(separator: ", ") + ")"))
        lines.append("fills     \(status.fills) under way")
        for tier in status.tiers {
            lines.append(
                "\(pad(tier.name, 8))  \(size(tier.usedBytes)) of \(size(tier.budgetBytes)), "
                    + "\(tier.storedResponses) stored, \(tier.evictions) evicted"
                    + (tier.hitShare.map { String(format: ", %.1f %% of reads found", $0 * 100) } ?? ""))
            guard let disk = tier.disk else { continue }
            lines.append(
                "          \(disk.health == "good" ? "healthy" : "NOT WRITTEN: \(disk.health)"), "
                    + "\(disk.segments) segments, \(size(Int64(disk.bytesWrittenPerSecond)))/s written, "
                    + "\(disk.damagedRecords) damaged, \(disk.errors) errors")
            let found = disk.recovery
            lines.append(
                "          last start: \(found.responses) responses found in \(found.milliseconds) ms, "
                    + "\(found.droppedSegments) segments and \(found.damagedEntries) entries dropped")
        }
        for origin in status.origins {
            lines.append(
                "origin    \(origin.name) \(origin.url)  \(origin.health), \(origin.active) active, "
                    + "\(origin.queued) queued, \(origin.failures) of \(origin.pulls) failed"
                    + (origin.lastFailure.map { "  (last: \($0))" } ?? ""))
        }
        return lines.joined(separator: "\n")
    }

    private static func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    private static func size(_ bytes: Int64) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var value = Double(bytes)
        var unit = 0
        while value >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        return unit == 0 ? "\(bytes) B" : String(format: "%.1f %@", value, units[unit])
    }

    private static func duration(_ seconds: Int64) -> String {
        let parts = [
            (seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "m"),
            (seconds % 60, "s"),
        ]
        let shown = parts.drop { $0.0 == 0 }.prefix(2)
        return shown.isEmpty ? "0s" : shown.map { "\($0.0)\($0.1)" }.joined(separator: " ")
    }
}
