import EdgePolicy
import EdgePrimitives
import EdgeStore
import Foundation

/// What a purge costs, whatever is stored; and what the first hit of a response costs after many.
///
/// Every response carries the tag `everywhere`, four tags of its own, and a key of its own. Purges go through the journal
/// on a real disk; what its sync takes is told apart from the rest.
enum PurgeCost {
    private static let rounds = 400

    static func measure() throws {
        let key = ("http://www.example.com/", Array("http://www.example.com/".utf8))
        print("purges, \(rounds) each: median (longest) in microseconds beside the sync of the journal")
        for count in [10_000, 100_000, 1_000_000] {
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
                "purges-\(UUID().uuidString)")
            defer { try? FileManager.default.removeItem(at: folder) }
            let ledger = try PurgeJournal(volume: try POSIXVolume(directory: folder.path))
            defer { ledger.shutdown() }
            let store = ResponseStore(
                memory: MemoryTier(budgetBytes: 1 << 40, maxVariants: 64), disk: nil, stamps: ledger.stamps)
            let responses = fill(store, count, base: key.1)
            _ = purge(ledger) { .tag(Array("before-\($0)".utf8)) }
            let carried = purge(ledger) { _ in .tag(Array("everywhere".utf8)) }
            let uncarried = purge(ledger) { .tag(Array("nowhere-\($0)".utf8)) }
            let prefixes = purge(ledger) { .prefix(Array("//www.example.com/\($0 % 7)/\($0)".utf8)) }
            let hidden = responses.filter { store.isVisible($0) }.count
            precondition(hidden == 0, "a purged response is still to be seen")
            print(
                "\(count) stored: a tag of all \(carried.text), a tag of none \(uncarried.text), "
                    + "a prefix \(prefixes.text); sync \(carried.sync) on average")
        }
        firstHits(base: key.1)
    }

    private struct Cost {
        let text: String
        let sync: String
    }

    private static func fill(_ store: ResponseStore, _ count: Int, base: [UInt8]) -> [StoredResponse] {
        let bench = BenchResponse(disk: nil)
        let seed = DigestSeed(first: 3, second: 4)
        return (0..<count).map { number in
            let text = base + Array("\(number % 100)/asset-\(number).css".utf8)
            let plain = bench.make(
                key: seed.digest(text), keyText: text, tag: "\(number)",
                body: BenchResponse.body(of: [120], count: 64))
            let tags = ["everywhere", "page-\(number)", "kind-\(number % 9)", "author-\(number % 99)", "css"]
            let response = StoredResponse(
                key: plain.key, metadata: plain.metadata, fields: plain.fields, head: plain.head,
                secondaryKey: nil,
                tags: tags.map { Array($0.utf8) }, keyText: text, body: plain.body, bodyID: nil,
                pulledAt: store.stamps.head)
            store.insert(response)
            return response
        }
    }

    /// One purge after another, each with a sync of its own.
    private static func purge(_ ledger: PurgeJournal, _ scope: (Int) -> PurgeScope) -> Cost {
        var own: [Double] = []
        let syncs = ledger.counters
        for number in 0..<rounds {
            let before = ledger.counters
            let started = SystemClock.monotonic().nanoseconds
            let done = DispatchSemaphore(value: 0)
            ledger.append(Purge(scope: scope(number), isSoft: false, value: "", client: "")) { _ in
                done.signal()
            }
            done.wait()
            let whole = SystemClock.monotonic().nanoseconds - started
            let sync = Int64(ledger.counters.syncNanoseconds - before.syncNanoseconds)
            own.append(Double(whole - sync) / 1_000)
        }
        own.sort()
        let after = ledger.counters
        let average = Double(after.syncNanoseconds - syncs.syncNanoseconds) / Double(rounds) / 1_000
        return Cost(
            text: String(format: "%.0f (%.0f)", own[own.count / 2], own[own.count - 1]),
            sync: String(format: "%.0f", average))
    }

    /// What a look at the stamps costs: once for each response after a purge.
    private static func firstHits(base: [UInt8]) {
        let ledger = VolatilePurgeLedger()
        let stamps = ledger.stamps
        let store = ResponseStore(
            memory: MemoryTier(budgetBytes: 1 << 40, maxVariants: 64), disk: nil, stamps: stamps)
        let responses = fill(store, 20_000, base: base)
        func look(_ name: String) {
            var spent: [Double] = []
            for response in responses {
                let started = SystemClock.monotonic().nanoseconds
                precondition(stamps.verdict(of: response) == .untouched)
                spent.append(Double(SystemClock.monotonic().nanoseconds - started) / 1_000)
            }
            spent.sort()
            print(
                String(
                    format: "%@: median %.2f us, p99 %.2f us", name, spent[spent.count / 2],
                    spent[spent.count * 99 / 100]))
        }
        look("first hit, nothing purged since")
        ledger.append(Purge(scope: .tag(Array("other".utf8)), isSoft: false, value: "", client: "")) { _ in }
        look("first hit after one purge")
        look("the hit after that")
        for number in 0..<50_000 {
            let prefix = "//www.example.com/never/" + String(repeating: "x", count: number % 200) + "\(number)"
            ledger.append(
                Purge(scope: .prefix(Array(prefix.utf8)), isSoft: false, value: "", client: "")
            ) { _ in }
            ledger.append(
                Purge(scope: .tag(Array("tag-\(number)".utf8)), isSoft: false, value: "", client: "")
            ) { _ in }
        }
        look("first hit after 100,000 prefixes (of 200 lengths) and tags")
        look("the hit after that")
    }
}
