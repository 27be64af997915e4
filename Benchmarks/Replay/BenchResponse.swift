import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import EdgeStore
import Foundation
import NIOCore

/// Stored responses as a node makes them of an origin's usual answer.
struct BenchResponse {
    let disk: DiskTier?
    var pulledAt = PurgePosition.zero
    /// When all of them were received.
    let received = SystemClock.wall()

    /// The head section, the fields and the body of a stored response of `target`.
    ///
    /// - Parameters:
    ///   - keyText: the canonical bytes of its primary key.
    ///   - tag: what its entity tag holds, so that the same representation has the same blocks on disk.
    func make(key: Digest128, keyText: [UInt8], tag: String, body: ByteBuffer) -> StoredResponse {
        let fields = FieldSection([
            ("Content-Type", "application/octet-stream"), ("Cache-Control", "max-age=86400"),
            ("ETag", "\"\(tag)\""), ("Last-Modified", "Sat, 01 Nov 2025 00:00:00 GMT"),
            ("Server", "origin"), ("Date", "Sat, 21 Nov 2026 00:00:00 GMT"),
        ]).compacted()
        var head = Array("HTTP/1.1 200 OK\r\n".utf8)
        fields.serialise(into: &head)
        head += Array("Content-Length: \(body.readableBytes)\r\n".utf8)
        let metadata = StoredMetadata(
            status: 200, responseTime: received, freshnessLifetimeMilliseconds: 86_400_000,
            freshnessSource: .maxAge, flags: [.hasEntityTag, .hasStrongEntityTag, .hasLastModified])
        var id: Digest128?
        if let disk, body.readableBytes > DiskTier.inlineBytes {
            id = disk.bodyID(
                key: key, secondaryKey: nil, validator: StrongValidator(fields),
                length: Int64(body.readableBytes), pulledAt: pulledAt)
        }
        return StoredResponse(
            key: key, metadata: metadata, fields: fields, head: head, secondaryKey: nil, tags: [],
            keyText: keyText, body: .memory(body), bodyID: id, pulledAt: pulledAt)
    }

    /// `count` bytes that repeat `pattern`, in memory of exactly their size.
    static func body(of pattern: [UInt8], count: Int) -> ByteBuffer {
        guard count > 0 else { return ByteBuffer() }
        let slab = BodySlab(capacity: count)
        var chunk = pattern
        while chunk.count < min(count, 16 * 1024) { chunk += pattern }
        while !slab.isFull {
            let part = min(chunk.count, count - slab.count)
            let fits = chunk.withUnsafeBytes { slab.append(UnsafeRawBufferPointer(rebasing: $0[0..<part])) }
            precondition(fits)
        }
        return slab.storedBody().buffer
    }
}
