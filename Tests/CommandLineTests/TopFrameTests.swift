import Foundation
import Testing

@testable import rockpool

/// The screen of `rockpool top` as a function of what is known and the size of the terminal.
struct TopFrameTests {
    /// A status whose names and URLs are as long and as hostile as they come.
    static func status(requests: Int = 1_000, uptime: Int = 100, misses: Int = 20) throws -> NodeStatus {
        let tier = """
            {"name":"memory","budgetBytes":268435456,"usedBytes":134217728,"storedResponses":1234567,"evictions":9}
            """
        let miss = (0..<misses).map { index in
            "{\"url\":\"www.example.com/\(index)/\\u001b[2J\\u009b31m\\u202e\(String(repeating: "long/", count: 60))\","
                + "\"reason\":\"not-stored\",\"count\":\(100 - index)}"
        }.joined(separator: ",")
        let purge = """
            {"id":"18f3a2-42","purgedAt":"2026-11-21T10:11:06.123Z","scope":"url",
             "value":"http://www.example.com/\(String(repeating: "a", count: 200))","soft":true,"client":"127.0.0.1"}
            """
        let text = """
            {"version":"0.1.0","node":"\(String(repeating: "n", count: 90))","uptimeSeconds":\(uptime),
             "draining":true,"fills":2,"tiers":[\(tier),\(tier)],
             "requests":{"total":\(requests),"byOutcome":{"hit":\(requests - 10),"miss":10,"stale":0},"bodyBytes":5},
             "origins":[{"name":"main","url":"http://origin.example:3000","health":"unhealthy","active":1,
                         "queued":2,"pulls":30,"failures":4}],
             "latency":{"hit":{"count":10,"p50Microseconds":90,"p90Microseconds":200,"p99Microseconds":1200},
                        "pull":{"count":1,"p50Microseconds":9000,"p90Microseconds":9000,"p99Microseconds":2500000}},
             "connections":{"open":3,"accepted":10},"loopLagMicroseconds":{"p99":120,"max":900},
             "topMisses":[\(miss)],
             "purges":{"head":"18f3a2-42","total":1,"stamps":1,"recent":[\(purge)]}}
            """
        return try JSONDecoder().decode(NodeStatus.self, from: Data(text.utf8))
    }

    static func view() throws -> TopView {
        var view = TopView(address: "http://127.0.0.1:8081")
        view.answered(try status(), now: 1)
        view.answered(try status(requests: 3_000, uptime: 102), now: 3)
        return view
    }

    @Test(arguments: [(80, 24), (120, 50), (200, 60), (40, 10), (20, 5), (1, 1)])
    func `no line is wider than the terminal and no frame higher`(_ size: (Int, Int)) throws {
        for view in [try Self.view(), TopView(address: "http://127.0.0.1:8081")] {
            for hasBlocks in [true, false] {
                let lines = TopFrame.lines(view, width: size.0, height: size.1, hasBlocks: hasBlocks)
                #expect(lines.count <= size.1)
                for line in lines { #expect(line.width <= size.0, "\(line.text)") }
            }
        }
    }

    @Test func `every part has its place in 80 by 24`() throws {
        let lines = TopFrame.lines(try Self.view(), width: 80, height: 24, hasBlocks: false)
        let text = lines.map(\.text).joined(separator: "\n")
        #expect(lines.count == 24)
        for part in ["Requests", "Latency", "Clients", "Tiers", "Origins", "Misses", "Purges", "q or Ctrl-C"]
        {
            #expect(text.contains(part), "\(part) in\n\(text)")
        }
        #expect(text.contains("1,000/s"))
        #expect(text.contains("unhealthy"))
    }

    @Test func `a larger terminal shows more misses and the curve`() throws {
        let small = TopFrame.lines(try Self.view(), width: 80, height: 24, hasBlocks: true).map(\.text)
        let large = TopFrame.lines(try Self.view(), width: 160, height: 60, hasBlocks: true).map(\.text)
        func misses(_ lines: [String]) -> Int { lines.count { $0.contains("not-stored") } }
        #expect(misses(large) == 20)
        #expect(misses(small) < misses(large))
        #expect(large.contains { $0.contains("Curve") })
    }

    @Test func `control characters are shown and not sent`() throws {
        for line in TopFrame.lines(try Self.view(), width: 400, height: 60, hasBlocks: true) {
            for scalar in line.text.unicodeScalars {
                #expect(scalar.value >= 0x20 && !(0x7f...0x9f).contains(scalar.value) && scalar != "\u{202e}")
            }
        }
        let text = TopFrame.lines(try Self.view(), width: 400, height: 60, hasBlocks: true).map(\.text)
            .joined()
        #expect(text.contains("\\x1b[2J"))
    }

    @Test func `a node that does not answer is said to be so`() throws {
        var view = try Self.view()
        view.unanswered("http://127.0.0.1:8081: no node answers there", now: 10)
        let text = TopFrame.lines(view, width: 80, height: 24, hasBlocks: true).map(\.text)
        #expect(text[1].contains("NO ANSWER for 7s"))
        #expect(!text.joined().contains("1,000/s"))
    }

    @Test func `a node that started anew has no rates until the next answer`() throws {
        var view = try Self.view()
        view.answered(try Self.status(requests: 10, uptime: 0), now: 4)
        #expect(view.rates == nil)
        view.answered(try Self.status(requests: 20, uptime: 1), now: 5)
        #expect(view.rates?.total == 10)
    }

    @Test func `a status of an older node, without the newer fields, is shown`() throws {
        let text = """
            {"version":"0.1.0","node":"n","uptimeSeconds":1,"draining":false,"fills":0,"tiers":[],"origins":[],
             "requests":{"total":0,"byOutcome":{}}}
            """
        let status = try JSONDecoder().decode(NodeStatus.self, from: Data(text.utf8))
        var view = TopView(address: "http://127.0.0.1:8081")
        view.answered(status, now: 1)
        #expect(TopFrame.lines(view, width: 80, height: 24, hasBlocks: true).count == 24)
        #expect(StatusText.render(status).contains("requests  0"))
    }
}
