import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import EdgeStore
import NIOCore

/// Responses to store, small and alike.
enum Fixture {
    static let metadata = StoredMetadata(status: 200, responseTime: WallTime(seconds: 1_000))

    static func key(_ number: Int) -> Digest128 {
        DigestSeed(first: 1, second: 2).digest(Array("key \(number)".utf8))
    }

    /// A response that is charged exactly `bytes`, selected by `language` where one is given.
    static func response(_ number: Int, bytes: Int = 100, language: String? = nil) -> StoredResponse {
        StoredResponse(
            key: key(number), metadata: metadata, secondaryKey: language.flatMap(secondaryKey),
            declaredBytes: bytes)
    }

    static func secondaryKey(_ language: String) -> SecondaryKey? {
        VaryRule.parse(FieldSection([("Vary", "X-Language")])).map {
            SecondaryKey(rule: $0, request: FieldSection([("X-Language", language)]))
        }
    }

    /// A response with a head, fields and a body of `count` bytes.
    static func whole(_ number: Int, bodyBytes count: Int) -> StoredResponse {
        let fields = FieldSection([("Content-Type", "text/css"), ("ETag", "\"\(number)\"")]).compacted()
        var head = Array("HTTP/1.1 200 OK\r\n".utf8)
        fields.serialise(into: &head)
        return StoredResponse(
            key: key(number), metadata: metadata, fields: fields, head: head, secondaryKey: nil,
            tags: [Array("front".utf8)], keyText: Array("http://a.example/\(number)".utf8),
            body: slab([UInt8](repeating: UInt8(truncatingIfNeeded: number), count: count)).storedBody())
    }

    static func slab(_ bytes: [UInt8], in arena: PageArena? = nil) -> BodySlab {
        let slab = BodySlab(capacity: bytes.count, in: arena)
        precondition(bytes.withUnsafeBytes { slab.append($0) })
        return slab
    }
}

extension MemoryTier {
    /// Everything stored under a key, the newest first.
    func all(_ number: Int) -> [StoredResponse] {
        switch lookup(Fixture.key(number)) {
        case .none: []
        case .single(let response): [response]
        case .variants(let list): list
        }
    }
}

extension ByteBuffer {
    var bytes: [UInt8] { Array(readableBytesView) }
}
