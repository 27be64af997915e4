import EdgePrimitives
import Glibc
import Synchronization

/// An origin that answers well at `/good…` and with damaged responses everywhere else.
///
/// It reads a request as far as it needs to know its target, and answers each connection on a thread of its own.
final class FuzzOrigin: Sendable {
    let port: Int
    private let listener: Int32
    private let seed: UInt64
    private let isHonest: Bool
    private let foldsLines: Bool
    private let recorder: FlightRecorder?
    private let damaged = Atomic<Int>(0)
    private let connections = Atomic<Int>(0)

    /// - Parameters:
    ///   - isHonest: answers well everywhere.
    ///   - foldsLines: whether lines may begin with white space (RFC 9112 5.2).
    init(seed: UInt64, isHonest: Bool, foldsLines: Bool, recorder: FlightRecorder?) throws {
        self.seed = seed
        self.isHonest = isHonest
        self.foldsLines = foldsLines
        self.recorder = recorder
        (listener, port) = try Wire.listen()
        Wire.thread { [self] in
            while true {
                let descriptor = accept(listener, nil, nil)
                if descriptor < 0 {
                    if errno == EINTR || errno == ECONNABORTED || errno == EMFILE { continue }
                    break
                }
                connections.wrappingAdd(1, ordering: .relaxed)
                Wire.thread { [self] in
                    serve(descriptor)
                    close(descriptor)
                    connections.wrappingSubtract(1, ordering: .relaxed)
                }
            }
            close(listener)
        }
    }

    /// Damaged responses that went out.
    var damagedCount: Int { damaged.load(ordering: .relaxed) }

    func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

    private func serve(_ descriptor: Int32) {
        var input: [UInt8] = []
        while let head = Self.readHead(descriptor, &input) {
            let text = String(decoding: head, as: UTF8.self)
            guard Self.skipContent(text, descriptor, &input) else { return }
            let target = text.split(separator: " ", maxSplits: 2).dropFirst().first ?? ""
            if isHonest || target.hasPrefix("/good") {
                guard Wire.send(Self.answer(to: text, target), descriptor) else { return }
                continue
            }
            guard answerBadly(descriptor) else { return }
        }
    }

    /// False where the connection is over.
    private func answerBadly(_ descriptor: Int32) -> Bool {
        let number = damaged.wrappingAdd(1, ordering: .relaxed).newValue
        var mutator = Mutator(seed: seed &+ UInt64(number), pieces: Corpus.responsePieces)
        var bytes: [UInt8]
        repeat {
            bytes = mutator.damage(mutator.pick(Corpus.responses), with: Corpus.responses)
        } while !foldsLines && Self.isFolded(bytes)
        recorder?.note(bytes, slot: Int(descriptor))
        // In pieces now and then: what is read at once and what is not are different ways through the same code.
        var rest = bytes[...]
        if mutator.below(3) == 0 {
            for _ in 0..<mutator.below(3) {
                let count = mutator.below(rest.count + 1)
                guard Wire.send(Array(rest.prefix(count)), descriptor) else { return false }
                rest = rest.dropFirst(count)
                sched_yield()
            }
        }
        guard Wire.send(Array(rest), descriptor) else { return false }
        switch mutator.below(16) {
        case 0: Wire.resetAtClose(descriptor)
        // Left open, whatever the response promised: the node has to give up by itself.
        case 1: return true
        default: break
        }
        return false
    }

    private static func isFolded(_ bytes: [UInt8]) -> Bool {
        zip(bytes, bytes.dropFirst()).contains { $0 == 10 && ($1 == 32 || $1 == 9) }
    }

    /// A small answer, stored or not, by its target.
    private static func answer(to head: String, _ target: Substring) -> [UInt8] {
        let body = head.hasPrefix("HEAD ") ? "" : "good"
        let control = target.utf8.reduce(0) { $0 &+ Int($1) } % 3 == 0 ? "no-store" : "max-age=60"
        return Array(
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nETag: \"one\"\r\nCache-Control: \(control)\r\n\r\n\(body)"
                .utf8)
    }

    /// The next head with its empty line; nil at the end of the connection.
    private static func readHead(_ descriptor: Int32, _ input: inout [UInt8]) -> [UInt8]? {
        let end: [UInt8] = [13, 10, 13, 10]
        while true {
            if input.count >= 4 {
                for index in 0...input.count - 4
                where input[index] == 13 && Array(input[index..<index + 4]) == end {
                    defer { input.removeFirst(index + 4) }
                    return Array(input[..<(index + 4)])
                }
            }
            guard Wire.receive(descriptor, &input) else { return nil }
        }
    }

    /// Reads over a request's content; false where the connection is over.
    private static func skipContent(_ head: String, _ descriptor: Int32, _ input: inout [UInt8]) -> Bool {
        let fields = head.lowercased()
        if fields.contains("\r\ntransfer-encoding: chunked") {
            while true {
                if input.starts(with: Array("0\r\n\r\n".utf8)) {
                    input.removeFirst(5)
                    return true
                }
                if let end = Self.end(of: Array("\r\n0\r\n\r\n".utf8), in: input) {
                    input.removeFirst(end)
                    return true
                }
                guard Wire.receive(descriptor, &input) else { return false }
            }
        }
        guard let name = fields.range(of: "\r\ncontent-length: ") else { return true }
        let count = Int(fields[name.upperBound...].prefix { $0.isNumber }) ?? 0
        while input.count < count { guard Wire.receive(descriptor, &input) else { return false } }
        input.removeFirst(count)
        return true
    }

    private static func end(of piece: [UInt8], in bytes: [UInt8]) -> Int? {
        guard bytes.count >= piece.count else { return nil }
        for index in 0...bytes.count - piece.count where bytes[index] == piece[0] {
            if Array(bytes[index..<index + piece.count]) == piece { return index + piece.count }
        }
        return nil
    }
}

extension StringProtocol {
    /// Where `text` first stands; without Foundation.
    fileprivate func range(of text: String) -> Range<Index>? { firstRange(of: text) }
}
