import CCurl
import EdgeHTTP
import EdgePrimitives

/// One pull on its way through libcurl. Used by the pull thread alone once it was handed over.
///
// Sendable because it is made on one thread and given, once, to the pull thread.
final class PullTransfer: @unchecked Sendable {
    let number: UInt64
    let request: PullRequest
    let sink: any PullSink
    let handle: PullHandle
    let created: MonotonicTime
    /// A check of this server: outside of the queue, and asked though the server is out.
    var isCheck = false
    /// Since when it waits for a check to bring a server back.
    var waitsSince: MonotonicTime?
    /// It has a server, whose name is still being looked up.
    var waitsForName = false
    /// Which of the answers for the server's name libcurl was told with this pull, and as what.
    var nameNumber = 0
    var nameList: UnsafeMutablePointer<curl_slist>?
    /// The local port of its connection, from when its request went out.
    var localPort: Int?

    var easy: UnsafeMutableRawPointer?
    /// Where its handle is, or is about to be.
    var multi: OriginMulti?
    var list: UnsafeMutablePointer<curl_slist>?
    var isPoolable = false
    /// The server that is asked, and those that were before. Not their numbers: a reload may change these.
    var endpoint: OriginEndpoint?
    var tried: [OriginEndpoint] = []
    /// What held when the pull was admitted.
    var settings: OriginSettings?
    /// Under which configuration its handle was made ready.
    var handleGeneration = 0
    /// The server was told of the head that it sent.
    var isCredited = false
    var isFresh = false
    var isActive = false
    var isPaused = false
    var socketWasUnclean = false
    /// The sink was told something since it was last told to settle.
    var isTouched = false
    /// The sink has had its last word.
    var isOver = false

    private var parser: ResponseHeadParser
    private(set) var refusal: ResponseRefusal?
    private(set) var hasHead = false
    /// Events may be far between.
    private(set) var isEventStream = false
    private(set) var expectedLength: UInt64?
    private(set) var isChunked = false
    private(set) var receivedBytes: UInt64 = 0
    private(set) var hasAnyLine = false
    private(set) var hasBody = false
    private var trailers = TrailerSection()
    /// libcurl shows a long head line in pieces before it takes it whole: the next one goes on with a line.
    private var isInsideLine = false

    /// When the transfer began on the wire, and when something last moved.
    var started: MonotonicTime
    var lastProgress: MonotonicTime

    init(number: UInt64, request: PullRequest, sink: any PullSink, handle: PullHandle, now: MonotonicTime) {
        self.number = number
        self.request = request
        self.sink = sink
        self.handle = handle
        created = now
        started = now
        lastProgress = now
        parser = ResponseHeadParser()
    }

    /// Makes ready for a first or another attempt; nothing has reached the sink yet.
    func reset(now: MonotonicTime) {
        parser = ResponseHeadParser()
        refusal = nil
        hasAnyLine = false
        isInsideLine = false
        socketWasUnclean = false
        started = now
        lastProgress = now
    }

    /// Whether the response is whole by its own framing.
    var isWhole: Bool {
        guard hasHead, !parser.isInsideHead else { return false }
        guard hasBody, let expectedLength else { return true }
        return receivedBytes == expectedLength
    }

    var isInsideHead: Bool { parser.isInsideHead }
    var isCloseDelimited: Bool { hasBody && expectedLength == nil && !isChunked }

    // MARK: libcurl's callbacks

    /// Looks at a piece of the head before libcurl stores the line that it belongs to; false aborts the
    /// transfer.
    ///
    /// libcurl before 8.1.0 joins a folded line to the line before it, which for the first field line is one
    /// of the handle's last transfer, and freed. RFC 9112 5.2 has us refuse such a line or unfold it.
    func admits(headPiece: UnsafeRawBufferPointer) -> Bool {
        guard let first = headPiece.first else { return true }
        let beginsLine = !isInsideLine
        isInsideLine = headPiece.last != Octet.lf
        guard beginsLine, Octet.isWhitespace(first) else { return true }
        hasAnyLine = true
        refusal = .foldedLine
        return false
    }

    /// Takes a header line; false aborts the transfer.
    func read(line: UnsafeBufferPointer<UInt8>) -> Bool {
        hasAnyLine = true
        touch()
        if hasHead { return readTrailers(line) }
        switch parser.read(line: line) {
        case .needMore: return true
        case .refused(let refusal):
            self.refusal = refusal
            return false
        case .head(let head):
            if head.isInterim {
                sink.pull(interim: head)
                return true
            }
            hasHead = true
            // Not with every line: interim heads, or a head that comes byte by byte, are not the answer yet.
            lastProgress = handle.loop.awokenAt
            isChunked = head.fields.contains(.transferEncoding)
            isEventStream = head.fields.first(.contentType).map(Self.isEventStream) ?? false
            hasBody = !request.isHead && head.status != 204 && head.status != 304
            if let value = head.fields.first(.contentLength) {
                expectedLength = value.reduce(0) { $0 * 10 + UInt64($1 - 48) }
            }
            if !isOver { sink.pull(head: head) }
            return true
        }
    }

    private static func isEventStream(_ type: ArraySlice<UInt8>) -> Bool {
        let essence = type.prefix { $0 != Octet.semicolon }
        return Octet.equalIgnoringCase(Octet.trim(essence), "text/event-stream".utf8)
    }

    private func readTrailers(_ lines: UnsafeBufferPointer<UInt8>) -> Bool {
        lastProgress = handle.loop.awokenAt
        refusal = trailers.read(lines: lines)
        return refusal == nil
    }

    /// Takes body bytes; false pauses.
    func read(body: UnsafeRawBufferPointer) -> Bool {
        lastProgress = handle.loop.awokenAt
        guard !isOver else { return true }
        touch()
        guard sink.pull(body: body) else {
            isPaused = true
            return false
        }
        receivedBytes += UInt64(body.count)
        return true
    }

    private func touch() {
        guard !isTouched else { return }
        isTouched = true
        handle.loop.touched(self)
    }

    // MARK: The last word

    func complete() {
        guard !isOver else { return }
        isOver = true
        touch()
        if !trailers.fields.isEmpty { sink.pull(trailers: trailers.fields) }
        sink.pullCompleted(isEndProved: !isCloseDelimited || endpoint?.isTLS != true)
    }

    func fail(_ failure: PullFailure) {
        guard !isOver else { return }
        isOver = true
        touch()
        sink.pullFailed(failure)
    }

    func freeList() {
        if let list { curl_slist_free_all(list) }
        list = nil
    }
}
