import EdgePrimitives
import Foundation

/// One request of a trace: which response, and what it weighs.
struct TraceRequest {
    let key: Digest128
    let bytes: Int
}

/// Requests read from a folder of traces, or drawn from a model of a cache's traffic.
struct Trace {
    let name: String
    var requests: [TraceRequest]

    /// The sum of the sizes of distinct responses.
    var footprintBytes: Int {
        var sizes: [Digest128: Int] = [:]
        for request in requests { sizes[request.key] = request.bytes }
        return sizes.values.reduce(0, +)
    }

    private static let seed = DigestSeed(first: 0x7265_706c, second: 0x6179)

    static func key(_ identity: [UInt64]) -> Digest128 {
        identity.withUnsafeBytes { seed.digest($0) }
    }

    /// Lines of `time key size`; the same key with another size is another response.
    static func sizedText(_ name: String, _ bytes: [UInt8]) -> Trace {
        let requests = numberLines(bytes).compactMap { line -> TraceRequest? in
            guard line.count >= 3 else { return nil }
            return TraceRequest(key: key([line[1], line[2]]), bytes: max(1, Int(line[2])))
        }
        return Trace(name: name, requests: requests)
    }

    /// A key a line, every response of weight 1.
    static func unitText(_ name: String, _ bytes: [UInt8]) -> Trace {
        Trace(name: name, requests: numberLines(bytes).map { TraceRequest(key: key([$0[0]]), bytes: 1) })
    }

    /// Big-endian 32-bit keys, every response of weight 1.
    static func unitBinary(_ name: String, _ bytes: [UInt8]) -> Trace {
        let requests = stride(from: 0, to: bytes.count - 3, by: 4).map { start in
            let number = bytes[start..<start + 4].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            return TraceRequest(key: key([number]), bytes: 1)
        }
        return Trace(name: name, requests: requests)
    }

    private static func numberLines(_ bytes: [UInt8]) -> [[UInt64]] {
        bytes.split(separator: 10).compactMap { line in
            let numbers = line.split(separator: 32).compactMap { UInt64(String(decoding: $0, as: UTF8.self)) }
            return numbers.isEmpty ? nil : numbers
        }
    }

    /// The output of `tool -dc file`, or nil when either is not there.
    static func unpack(_ tool: String, _ file: URL) -> [UInt8]? {
        guard FileManager.default.fileExists(atPath: file.path) else { return nil }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [tool, "-dc", file.path]
        let output = Pipe()
        process.standardOutput = output
        guard (try? process.run()) != nil else { return nil }
        let bytes = [UInt8](output.fileHandleForReading.readDataToEndOfFile())
        process.waitUntilExit()
        return process.terminationStatus == 0 ? bytes : nil
    }

    /// The folder of traces: `ROCKPOOL_TRACES`, else `shared/traces` beside the repository.
    static var folder: URL {
        if let path = ProcessInfo.processInfo.environment["ROCKPOOL_TRACES"] {
            return URL(fileURLWithPath: path)
        }
        return URL(fileURLWithPath: FileManager.default.currentDirectoryPath)
            .deletingLastPathComponent().appendingPathComponent("shared/traces")
    }
}
