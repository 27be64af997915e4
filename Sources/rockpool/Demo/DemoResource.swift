import EdgeHTTP
import Foundation
import NIOCore

/// One thing that the demo origin serves: its bytes, its validators and how long a cache may keep it.
struct DemoResource: Sendable {
    let body: ByteBuffer
    let contentType: String
    let cacheControl: String
    /// Nil for what is made afresh for every request.
    let entityTag: String?
    let lastModified: String?
    /// Large ones are sent in pieces, as over a long line.
    let pieceBytes: Int

    init(
        body: ByteBuffer, contentType: String, cacheControl: String, entityTag: String? = nil,
        lastModified: String? = nil, pieceBytes: Int = .max
    ) {
        self.body = body
        self.contentType = contentType
        self.cacheControl = cacheControl
        self.entityTag = entityTag
        self.lastModified = lastModified
        self.pieceBytes = pieceBytes
    }

    /// Whether the client's copy is still the current one: If-None-Match, weakly compared, wins over
    /// If-Modified-Since (RFC 9110 13.2.2).
    func isUnchanged(ifNoneMatch: [String], ifModifiedSince: String?) -> Bool {
        if !ifNoneMatch.isEmpty {
            guard let entityTag else { return false }
            let tags = ifNoneMatch.flatMap { $0.split(separator: ",") }
                .map { $0.trimmingCharacters(in: .whitespaces) }
            return tags.contains { $0 == "*" || $0 == entityTag || $0 == "W/" + entityTag }
        }
        guard let ifModifiedSince, let lastModified, let since = DemoDate.parse(ifModifiedSince),
            let modified = DemoDate.parse(lastModified)
        else { return false }
        return modified <= since
    }

    /// A strong entity-tag from the bytes (FNV-1a, 64 bits: the demo's files are not hostile).
    static func entityTag(of bytes: ByteBuffer) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        bytes.withUnsafeReadableBytes { readable in
            for byte in readable {
                hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3
            }
        }
        return "\"" + String(hash, radix: 16) + "\""
    }
}

/// IMF-fixdate (RFC 9110 5.6.7) for the demo origin.
enum DemoDate {
    static func format(_ time: Int) -> String {
        String(decoding: HTTPDate.format(Int64(time)), as: UTF8.self)
    }

    static func parse(_ text: String) -> Int? {
        HTTPDate.parse(Array(text.utf8)[...]).map { Int($0) }
    }
}
