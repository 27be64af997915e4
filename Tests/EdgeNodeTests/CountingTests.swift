import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import Testing

@testable import EdgeNode

private func at(_ milliseconds: Int64) -> MonotonicTime { MonotonicTime(nanoseconds: 0) + milliseconds }

/// What loops count, and under which names.
@Suite struct CountingTests {
    @Test func `a reason's number is its position`() {
        for (position, reason) in Reason.allCases.enumerated() { #expect(reason.ordinal == position) }
    }

    @Test func `every outcome and reason of every site has a cell of its own`() {
        let counters = LoopCounters()
        let reasons = Reason.allCases.map(Optional.some) + [nil]
        var number: UInt64 = 0
        for site in [SiteNumbers.none, 1, SiteNumbers.capacity - 1] {
            for outcome in RequestOutcome.allCases {
                for reason in reasons {
                    number += 1
                    for _ in 0..<number { counters.count(site: site, outcome, reason, bodyBytes: 2) }
                }
            }
        }
        number = 0
        for site in [SiteNumbers.none, 1, SiteNumbers.capacity - 1] {
            for outcome in RequestOutcome.allCases {
                var bytes: UInt64 = 0
                for reason in reasons {
                    number += 1
                    bytes += 2 * number
                    #expect(counters.requests(site: site, outcome, reason) == number)
                }
                #expect(counters.bodyBytes(site: site, outcome) == bytes)
            }
        }
        #expect(!counters.hasRow(2))
        #expect(counters.requests(site: 2, .hit, .fresh) == 0)
    }

    @Test func `one hit in sixteen is timed`() {
        let counters = LoopCounters()
        for _ in 0..<160 {
            var readAt = counters.bytesRead()
            counters.countHit(site: 1, .fresh, bodyBytes: 1)
            guard readAt != 0 else { continue }
            var timed = counters.timedHitAnswered(&readAt)
            #expect(readAt == 0 && timed != 0)
            counters.timedHitFlushed(&timed)
            #expect(timed == 0)
        }
        #expect(counters.hitLatency.snapshot.count == 10)
        #expect(counters.requests(site: 1, .hit, .fresh) == 160)
    }

    @Test func `refusals are counted by kind`() {
        let counters = LoopCounters()
        for refusal in RequestRefusal.allCases { counters.count(refusal) }
        counters.count(.headTimeout)
        #expect(
            RequestRefusal.allCases.map { counters.refused($0) }
                == RequestRefusal.allCases.map {
                    $0 == .headTimeout ? 2 : 1
                })
    }

    // MARK: Sites

    @Test func `a site keeps its number over reloads, others get their own`() {
        let numbers = SiteNumbers()
        var configuration = NodeConfiguration()
        configuration.sites = [
            SiteConfiguration(hosts: ["a.test", "*.a.test"], origin: "o"),
            SiteConfiguration(hosts: ["b.test"], origin: "o"),
        ]
        let before = SiteTable(configuration, numbers: numbers)
        configuration.sites.reverse()
        configuration.sites.insert(SiteConfiguration(hosts: ["c.test"], origin: "o"), at: 0)
        let after = SiteTable(configuration, numbers: numbers)
        for host in ["a.test", "x.a.test", "b.test"] {
            let octets = Array(host.utf8)[...]
            #expect(before.site(forHost: octets)?.number == after.site(forHost: octets)?.number)
        }
        #expect(Set(after.sites.map(\.number)) == [1, 2, 3])
        #expect(after.sites.allSatisfy { after.name(number: $0.number) == Array($0.name.utf8) })
        #expect(after.name(number: 900) == [])
        #expect(Site.none.number == SiteNumbers.none)
    }

    @Test func `more names than numbers share the last one`() {
        let numbers = SiteNumbers()
        for index in 0..<10_000 { #expect(numbers.number("site\(index)") < SiteNumbers.capacity) }
        #expect(numbers.number("site0") == 1)
        #expect(numbers.number("site9999") == SiteNumbers.capacity - 1)
        #expect(numbers.number("") == SiteNumbers.none)
        #expect(numbers.all.count == SiteNumbers.capacity)
        #expect(Set(numbers.all.map(\.number)).count == SiteNumbers.capacity)
    }

    // MARK: Loop lag

    @Test func `the greatest lag is that of the last minute`() {
        let lag = LoopLag()
        lag.note(nanoseconds: 7_000, now: at(1_000_500))
        lag.note(nanoseconds: 3_000, now: at(1_001_000))
        #expect(lag.maximum(now: at(1_001_100)) == 7_000)
        lag.note(nanoseconds: 2_000, now: at(1_059_900))
        #expect(lag.maximum(now: at(1_059_900)) == 7_000)
        lag.note(nanoseconds: 1_000, now: at(1_060_100))
        #expect(lag.maximum(now: at(1_060_100)) == 3_000)
        #expect(lag.maximum(now: at(1_200_000)) == 0)
        lag.note(nanoseconds: 500, now: at(1_300_000))
        #expect(lag.maximum(now: at(1_300_000)) == 500)
        #expect(lag.snapshot.count == 5)
    }
}

/// The table of paths that cost the origin most.
@Suite struct MissTableTests {
    private func add(
        _ table: inout MissTable, _ path: String, _ reason: Reason = .notStored, at time: Int64 = 0
    ) {
        table.add(host: Array("h".utf8)[...], path: Array(path.utf8)[...], reason: reason, now: at(time))
    }

    private func entry(_ table: MissTable, _ path: String) -> MissTable.Entry? {
        table.entries.first { $0.key == Array("h\(path)".utf8) }
    }

    @Test func `few paths are counted exactly, with the last reason`() {
        var table = MissTable()
        for index in 0..<200 { for _ in 0...index { add(&table, "/\(index)") } }
        add(&table, "/7", .expired)
        #expect(entry(table, "/7")?.count == 9)
        #expect(entry(table, "/7")?.reason == .expired)
        #expect(entry(table, "/199")?.certain == 200)
        #expect(table.entries.count == 200)
    }

    @Test func `a frequent path stays whatever else comes, and is not overrated`() throws {
        var table = MissTable()
        for index in 0..<100_000 {
            add(&table, "/once/\(index)")
            if index % 50 == 0 { add(&table, "/often") }
        }
        #expect(table.entries.count == MissTable.capacity)
        let often = try #require(entry(table, "/often"))
        #expect(often.count >= 2_000)
        #expect(often.certain <= 2_000 && often.certain > 1_000)
        let others = table.entries.filter { $0.key != often.key }
        #expect(others.allSatisfy { $0.certain < 10 })
    }

    @Test func `a long path is cut`() {
        var table = MissTable()
        let long = "/" + String(repeating: "x", count: 5_000)
        add(&table, long + "1")
        add(&table, long + "2")
        #expect(table.entries.map(\.key.count) == [MissTable.maxKeyBytes])
        #expect(table.entries.map(\.count) == [2])
    }

    @Test func `host and path are one key`() {
        var table = MissTable()
        table.add(host: Array("a".utf8)[...], path: Array("b/c".utf8)[...], reason: nil, now: at(0))
        table.add(host: Array("ab".utf8)[...], path: Array("/c".utf8)[...], reason: nil, now: at(0))
        #expect(table.entries.map(\.count) == [2])
    }

    @Test func `counts halve every hour`() {
        var table = MissTable()
        for _ in 0..<100 { add(&table, "/a", at: 0) }
        add(&table, "/b", at: MissTable.halvingMilliseconds - 1)
        #expect(entry(table, "/a")?.count == 100)
        add(&table, "/b", at: MissTable.halvingMilliseconds)
        #expect(entry(table, "/a")?.count == 50)
        #expect(entry(table, "/b")?.count == 1)
    }
}
