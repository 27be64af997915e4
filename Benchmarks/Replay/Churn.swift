import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import EdgeStore
import Foundation

/// Resident memory under churn: ten times the budget goes through the tier in mixed sizes, 200 B to 2 MiB.
enum Churn {
    static func measure() {
        MemoryTier.configureAllocator(heaps: 2)
        let budget: Int64 = 256 << 20
        let usesPages = CommandLine.arguments.contains("pages")
        // Small responses alone in every other fifth: what a change of traffic leaves scattered in the
        // heap.
        let shifts = CommandLine.arguments.contains("shift")
        let trims = CommandLine.arguments.contains("trim")
        var trimmedAt: UInt64 = 0
        var trimMilliseconds: [Double] = []
        let arena = usesPages ? PageArena(budgetBytes: budget) : nil
        let before = residentBytes()
        let tier = MemoryTier(budgetBytes: budget, maxVariants: 64)
        let metadata = StoredMetadata(status: 200, responseTime: WallTime(seconds: 0))
        var generator = SeededGenerator(seed: 3)
        let chunk = [UInt8](repeating: 120, count: 16 * 1024)
        var inserted = 0
        var highest = 0.0
        var number: UInt64 = 0
        let start = SystemClock.monotonic()
        while inserted < Int(budget) * 10 {
            number += 1
            let isSmallTime = shifts && inserted * 5 / (Int(budget) * 10) % 2 == 0
            // Uniform in the logarithm, so that every octave of sizes has as many responses.
            let size = Int(200 * pow(isSmallTime ? 40 : 10_486, Double.random(in: 0..<1, using: &generator)))
            let slab = BodySlab(capacity: size, in: size >= 64 * 1024 ? arena : nil)
            while !slab.isFull {
                let part = min(chunk.count, size - slab.count)
                let fits = chunk.withUnsafeBytes {
                    slab.append(UnsafeRawBufferPointer(rebasing: $0[0..<part]))
                }
                precondition(fits)
            }
            let path = Array("https://www.example.com/assets/\(number).css".utf8)
            let fields = FieldSection([
                ("Content-Type", "text/css"), ("ETag", "\"\(number)\""), ("Cache-Control", "max-age=86400"),
            ])
            var head = Array("HTTP/1.1 200 OK\r\n".utf8)
            fields.serialise(into: &head)
            let response = StoredResponse(
                key: Trace.key([number]), metadata: metadata, fields: fields.compacted(), head: head,
                secondaryKey: nil, tags: [], keyText: path, body: slab.storedBody())
            tier.insert(response)
            inserted += size
            if trims, tier.snapshot.evictedBytes > trimmedAt + UInt64(budget) / 16 {
                trimmedAt = tier.snapshot.evictedBytes
                let trimStart = SystemClock.monotonic()
                tier.trimAllocator()
                let overhead = residentBytes() - before - Int(tier.snapshot.usedBytes)
                tier.setOverhead(bytes: overhead)
                trimMilliseconds.append(
                    Double(SystemClock.monotonic().nanoseconds - trimStart.nanoseconds) / 1e6)
            }
            // Some are asked for again, so that what stays is scattered.
            for _ in 0..<2 { _ = tier.lookup(Trace.key([UInt64.random(in: 1...number, using: &generator)])) }
            if number % 256 == 0, inserted > Int(budget) {
                highest = max(highest, Double(residentBytes() - before) / Double(budget))
            }
        }
        tier.checkInvariants()
        let spent = Double(SystemClock.monotonic().milliseconds(since: start)) * 1000 / Double(number)
        let snapshot = tier.snapshot
        print(
            "churn\(shifts ? " that shifts" : "")\(usesPages ? " with pages" : ""): "
                + "\(number) responses inserted, \(snapshot.count) resident, used "
                + String(format: "%.3f", Double(snapshot.usedBytes) / Double(budget))
                + " of the budget; RSS above start "
                + String(
                    format: "%.3f now, %.3f at most", Double(residentBytes() - before) / Double(budget),
                    highest)
                + String(format: "; %.1f us each", spent))
        if trims {
            print(
                "trimmed \(trimMilliseconds.count) times, "
                    + String(format: "%.1f ms at most", trimMilliseconds.max() ?? 0))
        }
    }

    private static func residentBytes() -> Int {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return 0 }
        return (Int(text.split(separator: " ")[1]) ?? 0) * 4096
    }
}
