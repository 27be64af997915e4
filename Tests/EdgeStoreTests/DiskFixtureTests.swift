import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import Foundation
import NIOCore
import Testing

@testable import EdgeStore

/// A directory of every format version ever shipped lies in `fixtures/disk`: what it holds must be found for ever.
///
/// `ROCKPOOL_WRITE_DISK_FIXTURE=1 swift test --filter DiskFixtureTests` writes that of the present version.
@Suite struct DiskFixtureTests {
    private static let directory = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("fixtures/disk")
    private static let budgetBytes: Int64 = 4 << 20

    private struct Case: Sendable {
        let number: Int
        let bodyBytes: Int
        var language: String?

        var key: Digest128 { Digest128(high: UInt64(number) << 32, low: UInt64(number)) }
        var body: [UInt8] { (0..<bodyBytes).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ number) } }

        func response(_ tier: DiskTier) -> StoredResponse {
            var fields = FieldSection([("Content-Type", "text/plain"), ("ETag", "\"v\(number)\"")])
            var secondary: SecondaryKey?
            if let language {
                fields.append(.vary, "Accept-Language")
                secondary = VaryRule.parse(fields).map {
                    SecondaryKey(
                        rule: $0, request: FieldSection([("Accept-Language", language)]), response: fields)
                }
            }
            let id = tier.bodyID(
                key: key, secondaryKey: secondary, validator: StrongValidator(fields),
                length: Int64(bodyBytes), pulledAt: .zero)
            return StoredResponse(
                key: key,
                metadata: StoredMetadata(
                    status: 200, responseTime: WallTime(milliseconds: 1_795_000_000_000),
                    correctedInitialAgeMilliseconds: 1_500, freshnessLifetimeMilliseconds: 3_600_000,
                    freshnessSource: .maxAge, flags: [.hasEntityTag, .hasStrongEntityTag],
                    staleIfErrorMilliseconds: 60_000, staleWhileRevalidateMilliseconds: nil),
                fields: fields, head: Array("HTTP/1.1 200 OK\r\nETag: \"v\(number)\"\r\n".utf8),
                secondaryKey: secondary, tags: [Array("tag-\(number)".utf8), Array("all".utf8)],
                keyText: Array("http|fixture.example|/\(number)".utf8),
                body: .memory(ByteBuffer(bytes: body)), bodyID: id)
        }
    }

    private static let cases = [
        Case(number: 1, bodyBytes: 0), Case(number: 2, bodyBytes: 1_000), Case(number: 3, bodyBytes: 40_000),
        Case(number: 4, bodyBytes: 10, language: "de"), Case(number: 4, bodyBytes: 20, language: "fr"),
    ]

    private static func withCopy(_ name: String, _ body: (String) throws -> Void) throws {
        let manager = FileManager.default
        let copy = manager.temporaryDirectory.appendingPathComponent("disk-fixture-\(UUID().uuidString)")
        try manager.createDirectory(at: copy, withIntermediateDirectories: true)
        defer { try? manager.removeItem(at: copy) }
        let source = directory.appendingPathComponent(name)
        for file in try manager.contentsOfDirectory(atPath: source.path) {
            try manager.copyItem(
                at: source.appendingPathComponent(file), to: copy.appendingPathComponent(file))
        }
        try body(copy.path)
    }

    @Test(.enabled(if: ProcessInfo.processInfo.environment["ROCKPOOL_WRITE_DISK_FIXTURE"] != nil))
    func `write the fixture of this version`() throws {
        let place = Self.directory.appendingPathComponent("v\(DiskFormat.version)")
        try? FileManager.default.removeItem(at: place)
        try FileManager.default.createDirectory(at: Self.directory, withIntermediateDirectories: true)
        let tier = try DiskTier(
            volume: POSIXVolume(directory: place.path), budgetBytes: Self.budgetBytes, backlogBytes: 1 << 20)
        for each in Self.cases { tier.insert(each.response(tier)) }
        tier.insert(Case(number: 9, bodyBytes: 9).response(tier))
        tier.flush()
        tier.remove(Case(number: 9, bodyBytes: 9).key)
        tier.flush()
        tier.shutdown()
        try? FileManager.default.removeItem(at: place.appendingPathComponent("lock"))
    }

    @Test(arguments: ["v1"]) func `what a version wrote is found`(name: String) throws {
        try Self.withCopy(name) { path in
            let tier = try DiskTier(
                volume: POSIXVolume(directory: path), budgetBytes: Self.budgetBytes, backlogBytes: 1 << 20)
            defer { tier.shutdown() }
            #expect(tier.recovery.responses == Self.cases.count)
            #expect(tier.recovery.damagedEntries == 0)
            for each in Self.cases {
                let expected = each.response(tier)
                let found = try #require(
                    tier.loadNow(each.key).map(\.response).first { $0.secondaryKey == expected.secondaryKey })
                #expect(found.metadata == expected.metadata)
                #expect(found.head == expected.head)
                #expect(found.tags == expected.tags)
                #expect(found.keyText == expected.keyText)
                #expect(found.fields.bytes == expected.fields.compacted().bytes)
                #expect(try Self.body(of: found) == each.body)
            }
            #expect(tier.loadNow(Case(number: 9, bodyBytes: 9).key).isEmpty)
        }
    }

    /// The whole body, from memory or block by block from the files.
    private static func body(of response: StoredResponse) throws -> [UInt8] {
        guard case .sparse(let sparse) = response.body else {
            return Array(response.body.buffer.readableBytesView)
        }
        var bytes: [UInt8] = []
        while Int64(bytes.count) < sparse.completeLength {
            guard case .block(let block) = sparse.part(from: Int64(bytes.count), limit: .max) else {
                Issue.record("a block is missing at \(bytes.count)")
                return bytes
            }
            let blocks = try #require(sparse.blocks)
            let gate = WorkerGate()
            blocks.prepare(block) { isThere in
                #expect(isThere)
                gate.open()
            }
            gate.wait()
            let region = try #require(blocks.region(of: block))
            let read = try #require(RecordFile.readBytes(region.count, at: region.offset, in: region.segment))
            bytes += read.readableBytesView
        }
        return bytes
    }
}
