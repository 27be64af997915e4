import EdgePolicy
import EdgePrimitives
import EdgeStore
import Foundation

/// Plays traces through the tiers as the server uses them, and prints what comes out beside the goals.
///
/// `replay disk [FACTOR ...]` plays only memory and disk together, with all sizes multiplied; `replay fill`
/// makes a filled cache directory, see ``FillStore``; `replay purge` measures purges, see ``PurgeCost``.
@main
struct Replay {
    /// Misses of a replay.
    struct Misses {
        var requests = 0
        var requestBytes = 0
        var missed = 0
        var missedBytes = 0

        var objectRatio: Double { requests == 0 ? 0 : Double(missed) / Double(requests) }
        var byteRatio: Double { requestBytes == 0 ? 0 : Double(missedBytes) / Double(requestBytes) }

        mutating func note(_ request: TraceRequest, isMiss: Bool) {
            requests += 1
            requestBytes += request.bytes
            if isMiss {
                missed += 1
                missedBytes += request.bytes
            }
        }
    }

    private struct Goal {
        let share: Double
        let objects: Double?
        let bytes: Double?
    }

    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        if arguments.first == "fill" {
            FillStore.run(Array(arguments.dropFirst()))
            return
        }
        if arguments.first == "purge" {
            do {
                try PurgeCost.measure()
            } catch {
                print("\(error)")
                exit(1)
            }
            return
        }
        if arguments.first == "disk" {
            let file = Trace.folder.appendingPathComponent("adaptsize.txt.xz")
            guard let bytes = Trace.unpack("xz", file) else {
                print("NOT REPLAYED, not in \(Trace.folder.path): adaptsize")
                exit(1)
            }
            let scales = arguments.dropFirst().compactMap { Int($0) }
            exit(disk(.sizedText("adaptsize", bytes), scales: scales.isEmpty ? [1] : scales) ? 0 : 1)
        }
        if arguments.contains("cost") || arguments.contains("churn") {
            if arguments.contains("cost") { HitCost.measure() }
            if arguments.contains("churn") { Churn.measure() }
            return
        }
        var reachedAll = true
        var absent: [String] = []
        let folder = Trace.folder
        print("trace       cache       OMR    goal       BMR    goal")
        if let bytes = Trace.unpack("xz", folder.appendingPathComponent("adaptsize.txt.xz")) {
            let goals = [
                Goal(share: 0.001, objects: 0.832, bytes: 0.840),
                Goal(share: 0.01, objects: 0.721, bytes: 0.745),
                Goal(share: 0.1, objects: 0.640, bytes: 0.668),
            ]
            let trace = Trace.sizedText("adaptsize", bytes)
            reachedAll = table(trace, goals) && reachedAll
            reachedAll = disk(trace, scales: [1]) && reachedAll
        } else {
            absent.append("adaptsize")
        }
        if let bytes = Trace.unpack("xz", folder.appendingPathComponent("web07.be32.xz")) {
            let goals = [
                Goal(share: 0.001, objects: 0.775, bytes: nil), Goal(share: 0.01, objects: 0.573, bytes: nil),
                Goal(share: 0.1, objects: 0.420, bytes: nil),
            ]
            reachedAll = table(.unitBinary("web07", bytes), goals) && reachedAll
        } else {
            absent.append("web07")
        }
        if let bytes = Trace.unpack("gzip", folder.appendingPathComponent("multi3.txt.gz")) {
            let goals = [0.001, 0.01, 0.1].map { Goal(share: $0, objects: nil, bytes: nil) }
            reachedAll = table(.unitText("multi3", bytes), goals) && reachedAll
        } else {
            absent.append("multi3")
        }
        if let model = TrafficModel(folder: folder) {
            reachedAll = crawl(model) && reachedAll
        } else {
            absent.append("meta-cdn-model")
        }
        // What was not replayed has not reached its goal.
        if !absent.isEmpty { print("NOT REPLAYED, not in \(folder.path): " + absent.joined(separator: ", ")) }
        reachedAll = reachedAll && absent.isEmpty
        print(reachedAll ? "all goals reached" : "NOT ALL GOALS REACHED")
        exit(reachedAll ? 0 : 1)
    }

    /// Memory and disk together, a row for each factor by which sizes are multiplied.
    private static func disk(_ trace: Trace, scales: [Int]) -> Bool {
        let rows = scales.map { scale in
            do {
                return try DiskReplay.row(trace, scale: scale)
            } catch {
                print("\(trace.name) through memory and disk: \(error)")
                return false
            }
        }
        return rows.allSatisfy { $0 }
    }

    private static func table(_ trace: Trace, _ goals: [Goal]) -> Bool {
        var reached = true
        let footprint = Double(trace.footprintBytes)
        for goal in goals {
            let misses = play(trace.requests, budgetBytes: Int64(footprint * goal.share))
            let objectsFit = goal.objects.map { misses.objectRatio <= $0 } ?? true
            let bytesFit = goal.bytes.map { misses.byteRatio <= $0 } ?? true
            reached = reached && objectsFit && bytesFit
            print(
                pad(trace.name, 12) + pad("\(goal.share * 100) %", 8) + pad(ratio(misses.objectRatio), 8)
                    + pad(goal.objects.map { "<= " + ratio($0) } ?? "-", 11) + pad(ratio(misses.byteRatio), 8)
                    + pad(goal.bytes.map { "<= " + ratio($0) } ?? "-", 11)
                    + (objectsFit && bytesFit ? "" : "MISSED"))
        }
        return reached
    }

    /// The hit ratio of regular traffic in the middle third, without and with a crawler that sends half of
    /// all requests there; the cache holds 1 % of the footprint of the regular traffic.
    private static func crawl(_ model: TrafficModel) -> Bool {
        let count = 2_000_000
        let middle = count / 3..<count * 2 / 3
        let quiet = model.draw(count: count, crawlShare: 0, seed: 2026)
        let budget = Trace(name: "", requests: quiet.requests).footprintBytes / 100
        let crawled = model.draw(count: count, crawlShare: 0.5, seed: 2026)
        let before = play(quiet.requests, budgetBytes: Int64(budget)) { middle.contains($0) }
        let during = play(crawled.requests, budgetBytes: Int64(budget)) {
            middle.contains($0) && !crawled.isCrawl[$0]
        }
        let loss = (during.objectRatio - before.objectRatio) * 100
        print(
            "crawl over one-time responses, cache 1 %: hit ratio \(ratio(1 - before.objectRatio)) quiet, "
                + "\(ratio(1 - during.objectRatio)) during; "
                + "loses \(String(format: "%.2f", loss)) points (goal <= 1.5)"
        )
        return loss <= 1.5
    }

    /// Plays requests through a tier; misses are inserted at once. Counts those positions that `counted`
    /// names.
    static func play(
        _ requests: [TraceRequest], budgetBytes: Int64, counted: (Int) -> Bool = { _ in true }
    ) -> Misses {
        let tier = MemoryTier(budgetBytes: budgetBytes, maxVariants: 64)
        let metadata = StoredMetadata(status: 200, responseTime: WallTime(seconds: 0))
        var misses = Misses()
        for (position, request) in requests.enumerated() {
            var isMiss = false
            if case .none = tier.lookup(request.key) {
                isMiss = true
                tier.insert(
                    StoredResponse(key: request.key, metadata: metadata, declaredBytes: request.bytes))
            }
            if counted(position) { misses.note(request, isMiss: isMiss) }
        }
        tier.checkInvariants()
        return misses
    }

    private static func ratio(_ value: Double) -> String { String(format: "%.4f", value) }

    private static func pad(_ text: String, _ width: Int) -> String {
        text.padding(toLength: max(width, text.count), withPad: " ", startingAt: 0)
    }
}
