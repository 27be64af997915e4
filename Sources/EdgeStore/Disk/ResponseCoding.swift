import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import NIOCore

/// The head section of a record: everything of a stored response but its body.
struct ResponseCoding {
    /// What lies beside the fields.
    struct Body: Equatable {
        var length: Int64
        /// The identity of its blocks; nil where the body lies in the record itself.
        var id: Digest128?
        var blockBytes: Int

        /// Whether a tier could have written it. The size of blocks is of no use where there are none.
        var isPlausible: Bool {
            (0...DiskFormat.largestBodyBytes).contains(length)
                && (id == nil
                    || DiskFormat.blockSizes.contains(blockBytes) && blockBytes.nonzeroBitCount == 1)
        }
    }

    /// Where ``PurgePosition`` lies in the section.
    private static let positionOffset = 74

    /// Where the log of purges stood when the pull of an encoded response began.
    static func position(of section: [UInt8]) -> PurgePosition {
        section.withUnsafeBytes { bytes in
            guard bytes.count >= positionOffset + 16 else { return .zero }
            var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[positionOffset...]))
            guard let epoch = reader.read(UInt64.self), let number = reader.read(UInt64.self) else {
                return .zero
            }
            return PurgePosition(epoch: epoch, number: number)
        }
    }

    static func encode(_ response: StoredResponse, _ body: Body) -> [UInt8] {
        var writer = ByteWriter(capacity: 512 + response.head.count * 2 + response.keyText.count)
        let metadata = response.metadata
        writer.append(UInt16(clamping: metadata.status))
        writer.append(metadata.flags.rawValue)
        writer.append(code(metadata.freshnessSource))
        writer.append(UInt8(body.id == nil ? 0 : 1))
        writer.append(metadata.responseTime.milliseconds)
        writer.append(metadata.correctedInitialAgeMilliseconds)
        writer.append(metadata.freshnessLifetimeMilliseconds)
        writer.append(metadata.staleIfErrorMilliseconds ?? .min)
        writer.append(metadata.staleWhileRevalidateMilliseconds ?? .min)
        writer.append(body.length)
        writer.append(body.id ?? Digest128(high: 0, low: 0))
        writer.append(UInt32(body.blockBytes))
        assert(writer.bytes.count == positionOffset)
        writer.append(response.pulledAt.epoch)
        writer.append(response.pulledAt.number)
        append(response.keyText, to: &writer)
        append(response.head, to: &writer)
        append(response.fields, to: &writer)
        writer.append(UInt32(response.tags.count))
        for tag in response.tags { append(tag, to: &writer) }
        writer.append(UInt8(response.secondaryKey == nil ? 0 : 1))
        if let secondary = response.secondaryKey { append(secondary.selectingFields, to: &writer) }
        return writer.bytes
    }

    /// Reads a head section that its checksum has proved; nil where it makes no sense all the same.
    ///
    /// - Parameter body: makes the body of what the section says.
    static func decode(
        _ bytes: UnsafeRawBufferPointer, key: Digest128, body makeBody: (Body) -> StoredBody?
    ) -> StoredResponse? {
        var reader = ByteReader(bytes)
        guard let status = reader.read(UInt16.self), let flags = reader.read(UInt16.self),
            let sourceCode = reader.read(UInt8.self), let source = source(sourceCode),
            let hasBlocks = reader.read(UInt8.self), let responseTime = reader.read(Int64.self),
            let initialAge = reader.read(Int64.self), let lifetime = reader.read(Int64.self),
            let staleIfError = reader.read(Int64.self), let staleWhileRevalidate = reader.read(Int64.self),
            let length = reader.read(Int64.self), let id = reader.readDigest(),
            let blockBytes = reader.read(UInt32.self), let epoch = reader.read(UInt64.self),
            let number = reader.read(UInt64.self),
            let keyText = readBytes(&reader), let head = readBytes(&reader), let fields = readFields(&reader),
            let tagCount = reader.read(UInt32.self)
        else { return nil }
        var tags: [[UInt8]] = []
        for _ in 0..<tagCount {
            guard let tag = readBytes(&reader) else { return nil }
            tags.append(tag)
        }
        var secondaryKey: SecondaryKey?
        switch reader.read(UInt8.self) {
        case 0: break
        case 1:
            guard let selecting = readFields(&reader),
                let key = SecondaryKey(request: selecting, response: fields)
            else { return nil }
            secondaryKey = key
        default: return nil
        }
        let metadata = StoredMetadata(
            status: Int(status), responseTime: WallTime(milliseconds: responseTime),
            correctedInitialAgeMilliseconds: initialAge, freshnessLifetimeMilliseconds: lifetime,
            freshnessSource: source, flags: StoredMetadata.Flags(rawValue: flags),
            staleIfErrorMilliseconds: staleIfError == .min ? nil : staleIfError,
            staleWhileRevalidateMilliseconds: staleWhileRevalidate == .min ? nil : staleWhileRevalidate)
        let bodySays = Body(length: length, id: hasBlocks == 0 ? nil : id, blockBytes: Int(blockBytes))
        guard metadata.isPlausible, bodySays.isPlausible, let body = makeBody(bodySays) else { return nil }
        return StoredResponse(
            key: key, metadata: metadata, fields: fields, head: head, secondaryKey: secondaryKey, tags: tags,
            keyText: keyText, body: body, pulledAt: PurgePosition(epoch: epoch, number: number))
    }

    /// What tells the variants of a key apart in the index; 0 where the response has no Vary. Two that share it take
    /// each other's place, which costs a pull and no byte.
    static func variant(_ key: SecondaryKey?, seed: DigestSeed) -> UInt32 {
        guard let key else { return 0 }
        return UInt32(truncatingIfNeeded: seed.digest(key.selectionBytes).low) | 1
    }

    // MARK: Parts

    private static let sources: [FreshnessSource] = [
        .none, .cdnCacheControl, .sMaxage, .maxAge, .expires, .heuristic, .rule,
    ]

    private static func code(_ source: FreshnessSource) -> UInt8 {
        UInt8(sources.firstIndex(of: source) ?? 0)
    }

    private static func source(_ code: UInt8) -> FreshnessSource? {
        Int(code) < sources.count ? sources[Int(code)] : nil
    }

    private static func append(_ bytes: [UInt8], to writer: inout ByteWriter) {
        writer.append(UInt32(bytes.count))
        writer.append(raw: bytes)
    }

    private static func append(_ fields: FieldSection, to writer: inout ByteWriter) {
        writer.append(UInt32(fields.count))
        for line in fields.lines {
            writer.append(UInt32(line.nameRange.count))
            writer.append(UInt32(line.valueRange.count))
            writer.append(raw: fields.nameBytes(line))
            writer.append(raw: fields.value(line))
        }
    }

    private static func readBytes(_ reader: inout ByteReader) -> [UInt8]? {
        guard let count = reader.read(UInt32.self), let bytes = reader.read(count: Int(count)) else {
            return nil
        }
        return Array(bytes)
    }

    private static func readFields(_ reader: inout ByteReader) -> FieldSection? {
        guard let count = reader.read(UInt32.self) else { return nil }
        var fields = FieldSection()
        for _ in 0..<count {
            guard let nameBytes = reader.read(UInt32.self), let valueBytes = reader.read(UInt32.self),
                let name = reader.read(count: Int(nameBytes)), let value = reader.read(count: Int(valueBytes))
            else { return nil }
            fields.append(name: name, value: value)
        }
        return fields.compacted()
    }
}
