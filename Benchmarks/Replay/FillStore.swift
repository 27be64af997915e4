import EdgePolicy
import EdgePrimitives
import EdgeStore
import Foundation
import NIOCore

/// `replay fill DIRECTORY COUNT PORT [BUDGET]`: fills a node's cache directory with responses to
/// `http://127.0.0.1:PORT/fill/N`, by the writer that the node has, so that a node on that port serves them.
///
/// Bodies repeat `/fill/N` and a line feed: of 1 KiB, every hundredth of 20 KiB, every thousandth of 300 KiB.
enum FillStore {
    static func run(_ arguments: [String]) {
        guard arguments.count >= 3, let count = Int(arguments[1]), let port = Int(arguments[2]) else {
            print("usage: replay fill DIRECTORY COUNT PORT [BUDGET]")
            exit(2)
        }
        let budget = arguments.count > 3 ? Int64(arguments[3]) : nil
        do {
            try fill(directory: arguments[0], count: count, port: port, budgetBytes: budget ?? 10 << 30)
        } catch {
            print("fill: \(error)")
            exit(1)
        }
    }

    static func bodyBytes(_ number: Int) -> Int {
        if number % 1000 == 0 { return 300 << 10 }
        return number % 100 == 0 ? 20 << 10 : 1 << 10
    }

    private static func fill(directory: String, count: Int, port: Int, budgetBytes: Int64) throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let volume = try POSIXVolume(directory: directory + "/store")
        let disk = try DiskTier(volume: volume, budgetBytes: budgetBytes, backlogBytes: 64 << 20)
        // A node hides what was stored before its log of purges began.
        let ledger = try PurgeJournal(volume: try POSIXVolume(directory: directory + "/purges"))
        defer { ledger.shutdown() }
        let responses = BenchResponse(disk: disk, pulledAt: ledger.stamps.head)
        let authority = Array("127.0.0.1:\(port)".utf8)
        var payload = 0
        for number in 0..<count {
            let path = Array("/fill/\(number)".utf8)
            var text: [UInt8] = []
            CacheKey.append(
                scheme: "http", authority: authority[...], path: path[...], query: nil, rule: .all,
                into: &text)
            let body = BenchResponse.body(of: path + [10], count: bodyBytes(number))
            payload += body.readableBytes
            disk.insert(
                responses.make(key: disk.seed.digest(text), keyText: text, tag: "\(number)", body: body))
            if number % 2_000 == 1_999 { disk.flush() }
        }
        disk.flush()
        let snapshot = disk.snapshot
        disk.shutdown()
        guard snapshot.insertions == UInt64(count), snapshot.backlogDrops + snapshot.errors == 0 else {
            print("fill: \(snapshot.insertions) of \(count) were written, \(snapshot.health)")
            exit(1)
        }
        print(
            "filled: \(count) responses, \(snapshot.entryCount) entries, \(payload >> 20) MiB of bodies, "
                + "\(snapshot.bytesWritten >> 20) MiB of records in \(snapshot.segmentCount) segments, "
                + "index \(snapshot.indexBytes) bytes")
    }
}
