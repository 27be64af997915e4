import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import Glibc
import NIOCore
import Synchronization

@testable import EdgeStore

/// Where the newest response of a key and a language lies in the model.
struct Slot: Hashable, CustomStringConvertible {
    var key: Int
    /// 0: the response has no Vary.
    var language: Int

    var digest: Digest128 { DiskContent.key(key) }
    var description: String { "key \(key) language \(language)" }

    var secondaryKey: SecondaryKey? {
        guard language > 0, let rule = VaryRule.parse(FieldSection([("Vary", "X-Language")])) else {
            return nil
        }
        return SecondaryKey(rule: rule, request: FieldSection([("X-Language", "l\(language)")]))
    }
}

/// What was stored once: everything that a response found later is compared with.
struct Version {
    var number: Int
    var slot: Slot
    /// Decides every byte of the body.
    var content: UInt64
    var length: Int
    var hasValidator: Bool
    /// Whether some of the body was never there.
    var isPartial: Bool
    var metadata: StoredMetadata
    var tags: [[UInt8]]

    /// The number is a field, so that a response says which one it is.
    var fields: FieldSection {
        var fields = FieldSection([("X-Version", "\(number)"), ("Content-Type", "text/plain")])
        if hasValidator { fields.append(.etag, DiskContent.entityTag(content)) }
        if slot.language > 0 { fields.append(.vary, "X-Language") }
        return fields.compacted()
    }

    var head: [UInt8] {
        var head = Array("HTTP/1.1 \(metadata.status) OK\r\n".utf8)
        fields.serialise(into: &head)
        return head
    }

    var keyText: [UInt8] { Array("http://a.example/\(slot.key)".utf8) }

    /// The response with this body.
    func response(_ body: StoredBody, bodyID: Digest128?) -> StoredResponse {
        StoredResponse(
            key: slot.digest, metadata: metadata, fields: fields, head: head, secondaryKey: slot.secondaryKey,
            tags: tags, keyText: keyText, body: body, bodyID: bodyID)
    }

    func bodyID(_ tier: DiskTier) -> Digest128 {
        let validator = hasValidator ? StrongValidator.entityTag(Array(tagText.utf8)) : nil
        return tier.bodyID(
            key: slot.digest, secondaryKey: slot.secondaryKey, validator: validator, length: Int64(length),
            pulledAt: .zero)
    }

    private var tagText: String { DiskContent.entityTag(content) }

    /// What is different in `found`, but for its body; nil: nothing.
    func difference(_ found: StoredResponse) -> String? {
        if found.key != slot.digest { return "another key" }
        if found.metadata != metadata { return "metadata \(found.metadata)" }
        if found.secondaryKey != slot.secondaryKey { return "another secondary key" }
        if found.head != head { return "head \(String(decoding: found.head, as: UTF8.self))" }
        if DiskContent.text(found.fields) != DiskContent.text(fields) { return "fields" }
        if found.tags != tags { return "tags" }
        if found.keyText != keyText { return "key text" }
        if found.body.count != length { return "\(found.body.count) bytes of body instead of \(length)" }
        return nil
    }
}

/// Bytes that a number decides.
enum DiskContent {
    private static let pool: [UInt8] = {
        var generator = SeededGenerator(seed: 0x706f_6f6c)
        var bytes: [UInt8] = []
        for _ in 0..<(128 << 10) / 8 {
            withUnsafeBytes(of: generator.next()) { bytes.append(contentsOf: $0) }
        }
        return bytes
    }()

    static func key(_ number: Int) -> Digest128 {
        DigestSeed(first: 1, second: 2).digest(Array("key \(number)".utf8))
    }

    static func entityTag(_ content: UInt64) -> String { "\"\(String(content, radix: 16))\"" }

    /// Random bytes, with the number and the place in every 512 of them, so that no block fits elsewhere.
    static func bytes(_ content: UInt64, _ length: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(length)
        var start = Int(content &* 0x9e37_79b9_7f4a_7c15 >> 47) % pool.count
        while bytes.count < length {
            let end = min(pool.count, start + length - bytes.count)
            bytes.append(contentsOf: pool[start..<end])
            start = 0
        }
        bytes.withUnsafeMutableBytes { buffer in
            for place in stride(from: 0, to: length - 16, by: 512) {
                buffer.storeBytes(of: content, toByteOffset: place, as: UInt64.self)
                buffer.storeBytes(of: UInt64(place), toByteOffset: place + 8, as: UInt64.self)
            }
        }
        return bytes
    }

    static func buffer(_ content: UInt64, _ length: Int) -> ByteBuffer {
        ByteBuffer(bytes: bytes(content, length))
    }

    static func text(_ fields: FieldSection) -> [UInt8] {
        var bytes: [UInt8] = []
        fields.serialise(into: &bytes)
        return bytes
    }

    /// The number that a response carries as a field.
    static func number(_ response: StoredResponse) -> Int? {
        guard let value = response.fields.all(named: Array("x-version".utf8)).first else { return nil }
        return Int(String(decoding: value, as: UTF8.self))
    }

    static func isEqual(_ buffer: ByteBuffer, _ expected: ArraySlice<UInt8>) -> Bool {
        guard buffer.readableBytes == expected.count else { return false }
        return buffer.withUnsafeReadableBytes { found in
            expected.withUnsafeBytes { expected in
                guard let first = found.baseAddress, let second = expected.baseAddress else { return true }
                return memcmp(first, second, expected.count) == 0
            }
        }
    }
}

/// A yes or no from another thread.
final class Answer: Sendable {
    private let value = Atomic<Bool>(false)

    var isTrue: Bool { value.load(ordering: .acquiring) }
    func set(_ isTrue: Bool) { value.store(isTrue, ordering: .releasing) }
}

/// Reading a whole body back, from wherever it lies.
enum BodyReader {
    struct Outcome {
        var readBytes = 0
        var missingBytes = 0
        var wrong: String?
    }

    /// - Parameter isDoubting: bytes may be damaged between the check and the use, which nothing can see, or
    ///   by the reading itself: blocks are checked each time, and read again where they differ.
    static func compare(_ body: StoredBody, with expected: [UInt8], isDoubting: Bool = false) -> Outcome {
        switch body {
        case .memory(let buffer): compare(buffer, with: expected)
        case .pages(let extent): compare(extent.buffer, with: expected)
        case .sparse(let sparse): compare(sparse, with: expected, isDoubting)
        }
    }

    private static func compare(_ buffer: ByteBuffer, with expected: [UInt8]) -> Outcome {
        let isEqual = DiskContent.isEqual(buffer, expected[...])
        return Outcome(readBytes: buffer.readableBytes, wrong: isEqual ? nil : "the body differs")
    }

    private static func compare(_ body: SparseBody, with expected: [UInt8], _ isDoubting: Bool) -> Outcome {
        var outcome = Outcome()
        var offset: Int64 = 0
        while offset < body.completeLength {
            switch body.part(from: offset, limit: .max) {
            case .bytes(let bytes):
                let range = Int(offset)..<Int(offset) + bytes.readableBytes
                if !DiskContent.isEqual(bytes, expected[range]) { outcome.wrong = "bytes \(range) differ" }
                outcome.readBytes += range.count
                offset += Int64(range.count)
            case .block(let block):
                let range = Int(offset)..<Int(block.range.upperBound)
                let whole = Int(block.range.lowerBound)..<Int(block.range.upperBound)
                switch body.blocks.flatMap({ compare(block, of: $0, with: expected[whole], isDoubting) }) {
                case nil: outcome.missingBytes += range.count
                case true?: outcome.readBytes += range.count
                case false?: outcome.wrong = "block \(whole) differs"
                }
                offset = block.range.upperBound
            case .missing:
                let hole = body.hole(in: offset..<offset + 1) ?? offset..<offset + 1
                outcome.missingBytes += Int(hole.upperBound - offset)
                offset = max(hole.upperBound, offset + 1)
            }
        }
        return outcome
    }

    private static func compare(
        _ block: DiskBlock, of blocks: DiskBlocks, with expected: ArraySlice<UInt8>, _ isDoubting: Bool
    ) -> Bool? {
        if isDoubting, !prepare(block, of: blocks) { return nil }
        for _ in 0..<(isDoubting ? 30 : 1) {
            guard let bytes = read(block, of: blocks) else { return nil }
            if DiskContent.isEqual(bytes, expected) { return true }
        }
        return false
    }

    /// The bytes of a block as a connection would send them: prepared, then from its region.
    static func read(_ block: DiskBlock, of blocks: DiskBlocks) -> ByteBuffer? {
        guard blocks.region(of: block) != nil || prepare(block, of: blocks) else { return nil }
        return blocks.region(of: block).flatMap(bytes)
    }

    static func prepare(_ block: DiskBlock, of blocks: DiskBlocks) -> Bool {
        let gate = WorkerGate()
        let answer = Answer()
        blocks.prepare(block) { isThere in
            answer.set(isThere)
            gate.open()
        }
        gate.wait()
        return answer.isTrue
    }

    /// A region's bytes as `sendfile` would take them. Simulated files have no descriptor, and the segment is
    /// private: a mirror shows it.
    static func bytes(_ region: DiskRegion) -> ByteBuffer? {
        let segment = Mirror(reflecting: region).children.first { $0.label == "segment" }?.value as? Segment
        return segment.flatMap { RecordFile.readBytes(region.count, at: region.offset, in: $0) }
    }
}
