import EdgeAdmin
import EdgeNode
import EdgeStore
import Foundation

/// The cache directory: what outlives the process.
struct CacheDirectory {
    let path: String

    /// Makes the directory where it is missing, and fails where it cannot be used.
    init(_ path: String) throws {
        self.path = path
        let code = Self.make(path)
        guard code == 0 else {
            let why = String(cString: strerror(code))
            throw StartError(
                "cache directory \(path): cannot be made: \(why); name one that this user may write, with --cache-dir"
            )
        }
        guard FileManager.default.isWritableFile(atPath: path) else {
            throw StartError(
                "cache directory \(path): not writable; name one that this user may write, with --cache-dir")
        }
    }

    /// The disk tier in this directory, nil where its budget is 0. A directory that cannot be used ends the start:
    /// a node that silently kept nothing would be noticed at its next restart, too late.
    func openDisk(_ cache: NodeConfiguration.Cache) throws -> DiskTier? {
        guard cache.diskBytes > 0 else { return nil }
        let place = path + "/store"
        do {
            let volume = try POSIXVolume(directory: place)
            return try DiskTier(
                volume: volume, budgetBytes: cache.diskBytes,
                backlogBytes: DiskTier.backlogBytes(memoryBytes: cache.memoryBytes),
                maxVariants: cache.maxVariants)
        } catch let error as DiskError where error.operation == .lock {
            throw StartError(
                "cache directory \(place): another node uses it; name one of its own, with --cache-dir")
        } catch {
            throw StartError("cache directory \(place): \(error)")
        }
    }

    /// The log of purges: on disk where stored responses are, or a purge would not outlive what it purged.
    func openLedger(_ cache: NodeConfiguration.Cache) throws -> any PurgeLedger {
        // Without a disk tier a purge outlives nothing, unless what lies there from before is given back to it.
        let hasStore = cache.diskBytes > 0 || FileManager.default.fileExists(atPath: path + "/store")
        guard hasStore else { return VolatilePurgeLedger() }
        let place = path + "/purges"
        do {
            return try PurgeJournal(volume: try POSIXVolume(directory: place))
        } catch {
            throw StartError("cache directory \(place): \(error)")
        }
    }

    /// The node's cdn-id: the configured one, or a random one that is kept.
    func nodeID(_ configured: String?) throws -> String {
        if let configured { return configured }
        let file = path + "/node.id"
        if let kept = try? FileHandle(forReadingFrom: URL(fileURLWithPath: file)).read(upToCount: 4096) {
            let id = String(decoding: kept, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
            if (1...256).contains(id.utf8.count), id.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) { return id }
        }
        var generator = SystemRandomNumberGenerator()
        let id = "rockpool-" + String(generator.next() as UInt64, radix: 36)
        try (id + "\n").write(toFile: file, atomically: true, encoding: .utf8)
        return id
    }

    /// The admin token of this node: the one in the directory, or a fresh one.
    func token() throws -> AdminToken {
        let file = path + "/admin.token"
        if FileManager.default.fileExists(atPath: file) { return try AdminToken.read(from: file) }
        return try AdminToken.create(at: file)
    }
}
