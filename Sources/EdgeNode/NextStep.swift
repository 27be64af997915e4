import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import EdgeStore

/// What becomes of a request, given what is stored and known. One function decides it, for exchanges and for
/// those who only ask.
enum NextStep {
    /// An answer of the node's own, with its reason.
    struct Refusal {
        let status: Int
        let reason: Reason
        let error: ProxyError
        let details: String
        var extra: [(FieldName, String)] = []
    }

    /// What happens behind an answer from the store.
    enum Behind {
        case nothing
        /// A pull, unless the key is known to fail.
        case refresh
        /// A pull that finds out whether the origin is back.
        case probe
    }

    case refuse(Refusal)
    /// OPTIONS whose last recipient this node is.
    case answerOptions
    /// PURGE by a client that may.
    case purge
    /// What is on disk has to be read first. `isPurged`: memory had something that a purge hides.
    case load(isPurged: Bool)
    /// The request goes on as it is. `candidate` is what a HEAD may freshen.
    case pass(CacheStatus.Forward, Reason, candidate: StoredResponse?)
    /// `isAlone`: the key's responses could not be shared lately.
    case miss(CacheStatus.Forward, Reason, hint: VaryRule?, isAlone: Bool)
    case serve(StoredResponse, RequestOutcome, Reason, hint: VaryRule?, behind: Behind)
    /// Fresh, with bytes missing.
    case complete(StoredResponse, RangeAsk)
    /// `isWhole`: no byte is missing, so that it may be served stale should the origin fail.
    case validate(
        StoredResponse, CacheStatus.Forward, Reason, hint: VaryRule?, isAlone: Bool, isWhole: Bool)
}

/// What is stored under a request's key, as far as this request is concerned.
struct Selection {
    var stored: StoredResponse?
    /// The Vary rule of what is stored under the key.
    var hint: VaryRule?
    /// Something is there that a purge hides.
    var isPurged = false
}

extension Node {
    /// What Allow says (RFC 9110 10.2.1) where a site does not name its methods: what a method that is
    /// refused is told, and OPTIONS.
    static let allowedMethods = "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS"

    static func notAllowed(at site: Site) -> NextStep.Refusal {
        NextStep.Refusal(
            status: 405, reason: .methodNotAllowed, error: .httpRequestError,
            details: Reason.methodNotAllowed.rawValue, extra: [(.allow, site.allow)])
    }

    /// What the request itself decides: methods that the node answers, and loops.
    func ownAnswer(_ request: ExchangeRequest) -> NextStep? {
        let head = request.head
        switch head.method {
        case .connect, .trace: return .refuse(Self.notAllowed(at: request.site))
        case .other where head.methodBytes.elementsEqual("PURGE".utf8): return purgeStep(request)
        case _ where !request.site.takes(head): return .refuse(Self.notAllowed(at: request.site))
        case .options:
            // RFC 9110 7.6.2: the recipient at which Max-Forwards is 0 answers.
            if let hops = head.fields.first(.maxForwards), hops.elementsEqual([48]) { return .answerOptions }
        default: break
        }
        if head.names.contains(.cdnLoop), ForwardedFields.isLoop(head: head, nodeID: nodeID) {
            return .refuse(
                .init(
                    status: 508, reason: .loop, error: .proxyLoopDetected,
                    details: "this node is in CDN-Loop already"))
        }
        return nil
    }

    /// Cache or pass; hit, stale, validate or miss.
    ///
    /// - Parameters:
    ///   - loaded: what the disk has under the key; nil until it was asked.
    ///   - isPurged: something was found before that a purge hides.
    ///   - isTrial: nothing comes of the answer, so it takes nobody's turn to probe a failed origin.
    func nextStep(
        _ request: ExchangeRequest, loaded: [StoredResponse]?, isPurged: Bool = false, now: WallTime,
        isTrial: Bool = false
    ) -> NextStep {
        let head = request.head
        if let (forward, reason) = Self.passReason(request) {
            return .pass(forward, reason, candidate: nil)
        }
        let selection = select(request, loaded: loaded)
        let isAlone = marks.isHitForMiss(request.key, now: request.started)
        guard let stored = selection.stored else {
            if loaded == nil, store.disk?.mayHold(request.key) == true {
                return .load(isPurged: selection.isPurged)
            }
            if request.traits.onlyIfCached { return Self.onlyIfCached("only-if-cached and not stored") }
            let (forward, reason): (CacheStatus.Forward, Reason) =
                selection.hint != nil
                ? (.varyMiss, .variantNotStored)
                : (.uriMiss, isPurged || selection.isPurged ? .purged : .notStored)
            if head.method == .head { return .pass(forward, reason, candidate: nil) }
            guard isAlone else { return .miss(forward, reason, hint: selection.hint, isAlone: false) }
            // A range is pulled all the same: were it passed on, no range would ever be kept and end the
            // mark.
            return Preconditions.hasConditions(head.fields)
                ? .pass(forward, .hitForMiss, candidate: nil)
                : .miss(forward, .hitForMiss, hint: selection.hint, isAlone: true)
        }
        let ask = request.missing(in: stored)
        let decision = Reuse.decide(
            stored.metadata, request: request.traits, rules: request.rules.caching, now: now,
            softPurgedAt: store.softPurgedAt(stored))
        let reason: Reason
        switch decision {
        case .fresh:
            if let ask { return .complete(stored, ask) }
            return .serve(stored, .hit, .fresh, hint: selection.hint, behind: .nothing)
        case .staleWhileRevalidate where ask == nil:
            return .serve(stored, .stale, .staleWhileRevalidate, hint: selection.hint, behind: .refresh)
        case .staleWhileRevalidate: reason = .expired
        case .validate(let why): reason = why
        }
        if request.traits.onlyIfCached { return Self.onlyIfCached("only-if-cached and not fresh") }
        if ask == nil, let (reason, probes) = staleAtOnce(request, stored, now: now, isTrial: isTrial) {
            return .serve(stored, .stale, reason, hint: selection.hint, behind: probes ? .probe : .nothing)
        }
        let forward: CacheStatus.Forward = reason == .clientNoCache ? .request : .stale
        if head.method == .head { return .pass(forward, reason, candidate: stored) }
        return .validate(
            stored, forward, reason, hint: selection.hint, isAlone: isAlone, isWhole: ask == nil)
    }

    private static func onlyIfCached(_ details: String) -> NextStep {
        .refuse(.init(status: 504, reason: .onlyIfCached, error: .httpRequestError, details: details))
    }

    private static func passReason(_ request: ExchangeRequest) -> (CacheStatus.Forward, Reason)? {
        let head = request.head
        if head.method != .get, head.method != .head { return (.method, .method) }
        if request.rules.caching.passes { return (.bypass, .rulePass) }
        if request.rules.caching.cookies == .pass, head.names.contains(.cookie) {
            return (.bypass, .cookiePass)
        }
        if head.framing != .none { return (.bypass, .method) }
        if Preconditions.mustForward(head.fields) { return (.request, .precondition) }
        return nil
    }

    /// The stored response that the request selects: from memory, or else from what was read from disk.
    func select(_ request: ExchangeRequest, loaded: [StoredResponse]?) -> Selection {
        let fields = request.selecting
        var selection = Selection()
        switch store.memory.lookup(request.key) {
        case .none: break
        case .single(let stored):
            guard store.isVisible(stored) else {
                selection.isPurged = true
                break
            }
            guard let secondary = stored.secondaryKey else { return Selection(stored: stored) }
            selection.stored = secondary.matches(fields) ? stored : nil
            selection.hint = secondary.rule
        case .variants(let all):
            let variants = all.filter(store.isVisible)
            selection.isPurged = variants.count < all.count
            selection.stored = variants.first { $0.secondaryKey?.matches(fields) ?? true }
            selection.hint = variants.lazy.compactMap { $0.secondaryKey?.rule }.first
        }
        let visible = selection.stored == nil ? (loaded ?? []).filter(store.isVisible) : []
        guard !visible.isEmpty else { return selection }
        selection.stored = visible.first { $0.secondaryKey?.matches(fields) ?? true }
        selection.hint = selection.hint ?? visible.lazy.compactMap { $0.secondaryKey?.rule }.first
        return selection
    }

    /// Whether a known failure of the key or its origin lets `stored` be served without waiting for a pull,
    /// and whether this request is the one that probes.
    private func staleAtOnce(
        _ request: ExchangeRequest, _ stored: StoredResponse, now: WallTime, isTrial: Bool
    ) -> (Reason, probes: Bool)? {
        for standing in [
            marks.standing(request.key, now: request.started, isTrial: isTrial),
            outages.standing(request.site.originName, now: request.started, isTrial: isTrial),
        ] {
            let kind: OriginFailure
            let probes: Bool
            switch standing {
            case .unmarked: continue
            case .backingOff(let failure): (kind, probes) = (failure, false)
            case .probe(let failure): (kind, probes) = (failure, true)
            }
            if let reason = mayServeStale(stored, kind, request.rules.caching, now: now) {
                return (reason, probes)
            }
        }
        return nil
    }

    /// Whether `stored` may answer in place of an origin that cannot be reached.
    func mayServeStaleUnreached(_ stored: StoredResponse, _ rules: CachingRules, now: WallTime) -> Reason? {
        let kinds: [OriginFailure] = [.unreachable, .serverError(status: 504)]
        return kinds.lazy.compactMap { self.mayServeStale(stored, $0, rules, now: now) }.first
    }
}

extension ExchangeRequest {
    /// The first bytes that an answer to the request lacks in `stored`; nil where it can be given without a
    /// pull.
    func missing(in stored: StoredResponse) -> RangeAsk? {
        guard case .sparse(let body) = stored.body, head.method == .get else { return nil }
        let shape = Representation.shape(
            for: self, status: stored.metadata.status, fields: stored.fields, length: body.completeLength)
        for range in shape.needs(of: body.completeLength) {
            guard let hole = body.hole(in: range) else { continue }
            let wanted = max(hole.lowerBound, range.lowerBound)..<min(hole.upperBound, range.upperBound)
            return RangeAsk(hole: hole, wanted: wanted, completeLength: body.completeLength)
        }
        return nil
    }
}
