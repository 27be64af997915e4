import EdgePrimitives
import EdgeStore
import FuzzKit
import Glibc

/// `fuzzwire`: damaged requests and responses for a whole node in this process, and for each parser by itself.
///
/// What it finds it can find again: everything follows from the seed. What was in hand when the process crashed is in
/// the record file (see ``FlightRecorder``).
@main
struct FuzzWire {
    private static let usage = """
        fuzzwire [--seed N] [--requests N] [--responses N] [--inputs N] [--record FILE] [--no-folds]

          --seed       Decides what is damaged, and how. Default: by the clock; printed.
          --requests   Damaged requests over sockets. Default 1000000.
          --responses  Damaged responses of an origin. Default 1000000.
          --inputs     Messages for each parser by itself. Default 1000000.
          --record     What was in hand last, kept only after a crash. Default fuzzwire.last.
          --no-folds   No line of a response begins with white space.
        """

    static func main() async {
        var numbers: [String: UInt64] = [
            "--seed": UInt64(bitPattern: SystemClock.wall().milliseconds), "--requests": 1_000_000,
            "--responses": 1_000_000, "--inputs": 1_000_000,
        ]
        var record = "fuzzwire.last"
        var limits = WireFuzz.Limits()
        var arguments = CommandLine.arguments.dropFirst()
        while let name = arguments.popFirst() {
            if name == "--record", let path = arguments.popFirst() {
                record = path
            } else if name == "--no-folds" {
                limits.foldsLines = false
            } else if numbers[name] != nil, let value = arguments.popFirst().flatMap({ UInt64($0) }) {
                numbers[name] = value
            } else {
                say(usage)
                exit(name == "--help" ? 0 : 64)
            }
        }
        signal(SIGPIPE, SIG_IGN)
        MemoryTier.configureAllocator(heaps: 2)
        let seed = numbers["--seed"] ?? 0
        say("seed \(seed)")
        do {
            try await run(seed, numbers.mapValues { Int(clamping: $0) }, record, limits)
            say("ok")
        } catch {
            say("FOUND, with seed \(seed): \(error)")
            exit(1)
        }
    }

    private static func run(
        _ seed: UInt64, _ numbers: [String: Int], _ record: String, _ limits: WireFuzz.Limits
    )
        async throws
    {
        let recorder = try FlightRecorder(path: record, slots: 4_096)
        let inputs = numbers["--inputs"] ?? 0
        let started = SystemClock.monotonic()
        var parsers = ParserFuzz(seed: seed, recorder: recorder)
        while parsers.count < inputs {
            try parsers.run(min(100_000, inputs - parsers.count))
            let milliseconds = max(1, SystemClock.monotonic().milliseconds(since: started))
            say("parsers: \(parsers.count) of \(inputs), \(Int64(parsers.count) * 1_000 / milliseconds)/s")
        }
        if let count = numbers["--requests"], count > 0 {
            try await WireFuzz.requests(count, seed: seed, limits: limits, recorder: recorder) { say($0) }
        }
        if let count = numbers["--responses"], count > 0 {
            try await WireFuzz.responses(count, seed: seed, limits: limits, recorder: recorder) { say($0) }
        }
        recorder.remove()
    }

    private static func say(_ text: String) {
        let line = Array((text + "\n").utf8)
        _ = line.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
    }
}
