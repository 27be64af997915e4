import Dispatch
import EdgePolicy
import EdgePrimitives
import EdgeStore
import Foundation
import NIOCore
import Synchronization

/// Plays a sized trace through memory and disk as one store, with real bodies, and counts what is written.
///
/// Everything that waits is written after each request, so that the outcome does not hang on timing; what the
/// allocator rounds up still moves it by 0.0001. A response of which the disk has lost a block is a miss.
/// Sizes may be multiplied by a factor: the segments that a budget is cut into, and what a record takes
/// beside its body, weigh more in a small cache than in one of usual size.
struct DiskReplay {
    struct Outcome {
        var requests = 0
        var requestBytes = 0
        var memoryHits = 0
        var diskHits = 0
        var hitBytes = 0
        var brokenHits = 0
        var written: Int64 = 0
        var snapshot: DiskTierSnapshot?

        var hitRatio: Double { Double(memoryHits + diskHits) / Double(max(1, requests)) }
        var byteRatio: Double { Double(hitBytes) / Double(max(1, requestBytes)) }
        /// Bytes of records over bytes of bodies that were asked for.
        var writeRatio: Double { Double(snapshot?.bytesWritten ?? 0) / Double(max(1, requestBytes)) }
        /// With journals and headers.
        var fullWriteRatio: Double { Double(written) / Double(max(1, requestBytes)) }
    }

    static let goalHitRatio = 0.33
    static let goalWriteRatio = 0.12

    /// The row of the table; true when it reaches its goals.
    static func row(_ trace: Trace, scale: Int) throws -> Bool {
        let footprint = Int64(trace.footprintBytes * scale)
        let outcome = try play(
            trace.requests, scale: scale, memoryBytes: footprint / 100, diskBytes: footprint / 10)
        let isReached = outcome.hitRatio >= goalHitRatio && outcome.writeRatio <= goalWriteRatio
        let rewritten = Double(outcome.snapshot?.bytesRewritten ?? 0) / Double(outcome.requestBytes)
        print(
            "\(trace.name), memory 1 % and disk 10 %, sizes x \(scale): hit ratio "
                + String(format: "%.4f (goal >= %.2f), ", outcome.hitRatio, goalHitRatio)
                + String(format: "bytes %.4f; written over requested ", outcome.byteRatio)
                + String(format: "%.4f (goal <= %.2f; ", outcome.writeRatio, goalWriteRatio)
                + String(format: "%.4f rewritten, %.4f with journals)", rewritten, outcome.fullWriteRatio)
                + (isReached ? "" : " MISSED"))
        if let snapshot = outcome.snapshot {
            print(
                "  hits: memory \(outcome.memoryHits), disk \(outcome.diskHits), of \(outcome.requests); "
                    + "\(outcome.brokenHits) lacked a block; disk: \(snapshot.entryCount) entries, "
                    + "\(snapshot.insertions) insertions, \(snapshot.refusals) refusals, "
                    + "\(snapshot.evictions) evictions, \(snapshot.backlogDrops) dropped, "
                    + "\(snapshot.segmentCount) segments, \(snapshot.errors) errors")
        }
        return isReached
    }

    static func play(_ requests: [TraceRequest], scale: Int, memoryBytes: Int64, diskBytes: Int64) throws
        -> Outcome
    {
        let volume = MemoryVolume()
        let disk = try DiskTier(volume: volume, budgetBytes: diskBytes, backlogBytes: 1 << 30)
        defer { disk.shutdown() }
        let store = ResponseStore(
            memory: MemoryTier(budgetBytes: memoryBytes, maxVariants: 64), disk: disk)
        let responses = BenchResponse(disk: disk)
        var outcome = Outcome()
        for request in requests {
            let bytes = request.bytes * scale
            outcome.requests += 1
            outcome.requestBytes += bytes
            let (found, isInMemory) = find(request.key, in: store)
            if let found, isWhole(found) {
                if isInMemory { outcome.memoryHits += 1 } else { outcome.diskHits += 1 }
                outcome.hitBytes += bytes
                continue
            }
            if found != nil { outcome.brokenHits += 1 }
            let text = Array("http://www.example.com/\(request.key.high)".utf8)
            let body = BenchResponse.body(of: text, count: bytes)
            store.insert(responses.make(key: request.key, keyText: text, tag: "\(bytes)", body: body))
            disk.flush()
        }
        outcome.written = volume.written.load(ordering: .relaxed)
        outcome.snapshot = disk.snapshot
        precondition(volume.occupiedBytes <= diskBytes + 4096, "more on disk than the budget")
        return outcome
    }

    /// What the store has under `key`, and whether memory had it.
    private static func find(_ key: Digest128, in store: ResponseStore) -> (StoredResponse?, Bool) {
        switch store.lookup(key) {
        case .single(let stored): return (stored, true)
        case .variants(let variants): return (variants.first, true)
        case .none: break
        }
        guard store.disk?.mayHold(key) == true else { return (nil, false) }
        let read = Mutex<StoredResponse?>(nil)
        let done = DispatchSemaphore(value: 0)
        store.load(key) { loaded, _ in
            read.withLock { $0 = loaded.first }
            done.signal()
        }
        done.wait()
        return (read.withLock { $0 }, false)
    }

    /// Whether all of the body is there; its blocks on disk are looked at as a delivery would.
    private static func isWhole(_ stored: StoredResponse) -> Bool {
        guard case .sparse(let body) = stored.body else { return true }
        guard body.hole(in: 0..<body.completeLength) == nil else { return false }
        guard let blocks = body.blocks else { return true }
        var offset: Int64 = 0
        while let block = blocks.block(at: offset, of: body.completeLength) {
            if blocks.region(of: block) == nil {
                let isThere = Mutex(false)
                let done = DispatchSemaphore(value: 0)
                blocks.prepare(block) { found in
                    isThere.withLock { $0 = found }
                    done.signal()
                }
                done.wait()
                guard isThere.withLock({ $0 }), blocks.region(of: block) != nil else { return false }
            }
            offset = block.range.upperBound
        }
        return true
    }
}
