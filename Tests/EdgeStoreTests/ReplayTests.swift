import EdgePrimitives
import EdgeStore
import Foundation
import Testing

/// Replays of real traces, where they are present: miss ratios must not fall back.
@Suite struct ReplayTests {
    private static let folder: URL = {
        if let path = ProcessInfo.processInfo.environment["ROCKPOOL_TRACES"] {
            return URL(fileURLWithPath: path)
        }
        return URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("shared/traces")
    }()

    private static func isPresent(_ name: String) -> Bool {
        FileManager.default.fileExists(atPath: folder.appendingPathComponent(name).path)
    }

    private static func unpacked(_ name: String) throws -> [UInt8] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["xz", "-dc", folder.appendingPathComponent(name).path]
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let bytes = [UInt8](output.fileHandleForReading.readDataToEndOfFile())
        process.waitUntilExit()
        return bytes
    }

    private struct Request: Hashable {
        let name: UInt64
        let bytes: Int

        var key: Digest128 {
            [name, UInt64(bytes)].withUnsafeBytes { DigestSeed(first: 3, second: 4).digest($0) }
        }
    }

    private func missRatios(_ requests: [Request], share: Double) -> (objects: Double, bytes: Double) {
        let footprint = Set(requests).reduce(0) { $0 + $1.bytes }
        let tier = MemoryTier(budgetBytes: Int64(Double(footprint) * share), maxVariants: 64)
        var missed = 0
        var missedBytes = 0
        for request in requests {
            guard case .none = tier.lookup(request.key) else { continue }
            missed += 1
            missedBytes += request.bytes
            tier.insert(
                StoredResponse(key: request.key, metadata: Fixture.metadata, declaredBytes: request.bytes))
        }
        tier.checkInvariants()
        let total = requests.reduce(0) { $0 + $1.bytes }
        return (Double(missed) / Double(requests.count), Double(missedBytes) / Double(total))
    }

    @Test(
        .enabled(if: isPresent("adaptsize.txt.xz")), arguments: [(0.001, 0.832, 0.840), (0.01, 0.721, 0.745)])
    func `a web trace with sizes misses no more than the goal`(_ goal: (Double, Double, Double)) throws {
        let lines = try Self.unpacked("adaptsize.txt.xz").split(separator: 10)
        let requests = lines.compactMap { line -> Request? in
            let numbers = line.split(separator: 32).compactMap { Self.number($0) }
            return numbers.count == 3 ? Request(name: numbers[1], bytes: max(1, Int(numbers[2]))) : nil
        }
        #expect(requests.count == 66_987)
        let ratios = missRatios(requests, share: goal.0)
        #expect(ratios.objects <= goal.1)
        #expect(ratios.bytes <= goal.2)
    }

    @Test(.enabled(if: isPresent("web07.be32.xz")))
    func `a web trace without sizes misses no more than the goal`() throws {
        let bytes = try Self.unpacked("web07.be32.xz")
        let requests = stride(from: 0, to: bytes.count - 3, by: 4).map { start in
            Request(name: bytes[start..<start + 4].reduce(0) { $0 << 8 | UInt64($1) }, bytes: 1)
        }
        #expect(missRatios(requests, share: 0.01).objects <= 0.573)
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
        digits.reduce(UInt64?(0)) { number, digit in
            guard let number, digit >= 48, digit < 58 else { return nil }
            return number * 10 + UInt64(digit - 48)
        }
    }
}
