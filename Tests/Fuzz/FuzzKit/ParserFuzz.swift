import EdgeHTTP
import EdgePolicy
import EdgePrimitives

/// Damaged messages for everything that reads them, without a socket in between: whole and in pieces they have to be
/// read alike, nothing may trap, and none may take long.
public struct ParserFuzz {
    /// What one message may take, reading it in pieces included. The machine may be busy and the build one for debugging,
    /// so this finds what costs the square of its length and no more.
    private static let longestMilliseconds: Int64 = 2_000
    /// Some date, in seconds.
    private static let now: Int64 = 1_795_252_350

    private var requests: Mutator
    private var responses: Mutator
    private let recorder: FlightRecorder?
    private var key: [UInt8] = []
    public private(set) var count = 0

    public init(seed: UInt64, recorder: FlightRecorder? = nil) {
        requests = Mutator(seed: seed, pieces: Corpus.requestPieces)
        responses = Mutator(seed: seed ^ 0x5bd1_e995, pieces: Corpus.responsePieces)
        self.recorder = recorder
    }

    /// Reads so many damaged requests, and as many damaged responses.
    public mutating func run(_ inputs: Int) throws {
        for _ in 0..<inputs {
            let request = requests.damage(requests.pick(Corpus.requests), with: Corpus.requests)
            let response = responses.damage(responses.pick(Corpus.responses), with: Corpus.responses)
            try timed(request) { try $0.readRequest(request) }
            try timed(response) { try $0.readResponse(response) }
            count += 1
        }
    }

    private mutating func timed(_ bytes: [UInt8], _ body: (inout ParserFuzz) throws -> Void) throws {
        recorder?.note(bytes, slot: 0)
        let started = SystemClock.monotonic()
        try body(&self)
        let taken = SystemClock.monotonic().milliseconds(since: started)
        if taken > Self.longestMilliseconds { throw FuzzFailure("reading it took \(taken) ms", bytes) }
    }

    // MARK: Requests

    private enum RequestResult: Equatable {
        case incomplete
        /// For what reason may depend on how much had come.
        case refused
        case complete(consumed: Int, fields: [UInt8], lines: Int)
    }

    private mutating func readRequest(_ bytes: [UInt8]) throws {
        var head = RequestHead()
        let whole = Self.read(bytes, upTo: [bytes.count], into: &head)
        let cuts =
            (0..<requests.below(6)).map { _ in requests.below(bytes.count + 1) }.sorted() + [bytes.count]
        var other = RequestHead()
        let pieces = Self.read(bytes, upTo: cuts, into: &other)
        guard whole == pieces else { throw FuzzFailure("read as \(whole), in pieces as \(pieces)", bytes) }
        guard case .complete(let consumed, _, _) = whole else { return }
        guard consumed <= bytes.count else { throw FuzzFailure("more was read than there is", bytes) }
        for line in head.fields.lines {
            let isClean = head.fields.value(line).allSatisfy { $0 != 13 && $0 != 10 && $0 != 0 }
            guard isClean, !head.fields.nameBytes(line).isEmpty else {
                throw FuzzFailure("a field that is none came through", bytes)
            }
        }
        try readContent(bytes, from: consumed)
        use(head)
        readFields(head.fields)
    }

    /// Reads a head from bytes that come up to one cut after the other.
    private static func read(_ bytes: [UInt8], upTo cuts: [Int], into head: inout RequestHead)
        -> RequestResult
    {
        var parser = RequestParser()
        for cut in cuts {
            let outcome = bytes.withUnsafeBytes {
                parser.parse(UnsafeRawBufferPointer(rebasing: $0[..<cut]), into: &head)
            }
            switch outcome {
            case .incomplete: continue
            case .refused: return .refused
            case .complete(let consumed):
                var fields: [UInt8] = []
                head.fields.serialise(into: &fields)
                return .complete(consumed: consumed, fields: fields, lines: head.fields.count)
            }
        }
        return .incomplete
    }

    private mutating func use(_ head: RequestHead) {
        key.removeAll(keepingCapacity: true)
        let rules: [QueryRule] = [.all, .ignore, .keep([]), .drop([], sort: true)]
        for rule in rules {
            CacheKey.append(
                scheme: "http", authority: head.authority ?? [], path: head.path, query: head.query,
                rule: rule,
                into: &key)
        }
        _ = AuthorityReader.isValid(Array(head.authority ?? []))
        _ = RequestTraits(head: head, honoursClient: true)
        _ = RangeAsk(missOf: head.fields)
        var fields = head.fields
        HopByHop.strip(&fields)
        if let rule = VaryRule.parse(FieldSection([("Vary", "Accept-Encoding, Accept-Language, Accept, X")]))
        {
            let secondary = SecondaryKey(rule: rule, request: head.fields)
            _ = secondary.matches(head.fields)
        }
        let stored = FieldSection([("ETag", "\"one\""), ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")])
        _ = Preconditions.evaluate(request: head.fields, method: .get, status: 200, stored: stored)
    }

    // MARK: Responses

    private mutating func readResponse(_ bytes: [UInt8]) throws {
        var parser = ResponseHeadParser()
        var rest = bytes[...]
        while let end = rest.firstIndex(of: 10) {
            let line = Array(rest[...end])
            rest = rest[(end + 1)...]
            switch line.withUnsafeBufferPointer({ parser.read(line: $0) }) {
            case .needMore: continue
            case .refused: return
            case .head(let head):
                try readContent(bytes, from: rest.startIndex)
                use(head)
                readFields(head.fields)
                if !head.isInterim { return }
            }
        }
    }

    private func use(_ head: ResponseHead) {
        let now = WallTime(seconds: Self.now)
        _ = Storability.decide(
            request: RequestTraits(method: .get), response: head, rules: CachingRules(), requestTime: now,
            responseTime: now)
        _ = Storability.fieldsToDrop(response: head)
        _ = PartialContent(head)
        _ = StrongValidator(head.fields)
        _ = SurrogateKey.tags(head.fields)
        if let rule = VaryRule.parse(head.fields) { _ = SecondaryKey(rule: rule, request: head.fields) }
        var fields = head.fields
        HopByHop.strip(&fields)
    }

    // MARK: Both

    /// A body of chunks, whole and in pieces.
    private mutating func readContent(_ bytes: [UInt8], from start: Int) throws {
        let whole = Self.decode(bytes, cuts: [start, bytes.count])
        let middle = (0..<requests.below(6)).map { _ in start + requests.below(bytes.count - start + 1) }
            .sorted()
        let pieces = Self.decode(bytes, cuts: [start] + middle + [bytes.count])
        guard whole == pieces else { throw FuzzFailure("chunks from \(start) differ in pieces", bytes) }
    }

    private struct Decoded: Equatable {
        var content: [UInt8] = []
        /// Where it ended; -1 where it was malformed, nil where more would have to come.
        var end: Int?
    }

    private static func decode(_ bytes: [UInt8], cuts: [Int]) -> Decoded {
        var decoder = ChunkedDecoder()
        var result = Decoded()
        for (start, end) in zip(cuts, cuts.dropFirst()) {
            let isOver = bytes.withUnsafeBytes { all -> Bool in
                let piece = UnsafeRawBufferPointer(rebasing: all[start..<end])
                var offset = 0
                while true {
                    switch decoder.next(piece, from: &offset) {
                    case .content(let range): result.content += piece[range]
                    case .needMore: return false
                    case .malformed:
                        result.end = -1
                        return true
                    case .end(let consumed):
                        result.end = start + consumed
                        return true
                    }
                }
            }
            if isOver { break }
        }
        return result
    }

    /// Every reader of a value reads every value: which field it came from is one more thing that was damaged.
    private func readFields(_ fields: FieldSection) {
        for line in fields.lines {
            let value = fields.value(line)
            let directives = Directives([value])
            _ = (directives.delta("max-age"), directives.arguments("private"))
            _ = StructuredDictionary(value)
            var counted = 0
            EntityTag.forEach(in: value, counted: &counted) { $0.weaklyMatches($0) }
            _ = EntityTagList(lines: [value])
            if case .ranges(let specs) = RangeSpecifier.parse(value) {
                for length in [0, 1, 10, Int64.max] { _ = ByteRangeSelection.resolve(specs, length: length) }
            }
            _ = RangePlan(range: value, ifRangeHolds: true, length: 10)
            _ = ContentRange.parse(value)
            if let date = HTTPDate.parse(value) { _ = HTTPDate.format(date) }
            _ = HTTPDate.parse(value, relativeTo: Self.now)
            _ = AuthorityReader.isValid(Array(value))
            _ = URIReference(value)
            _ = Directives.deltaSeconds(value)
        }
    }
}
