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
        if Preconditions.mustForward(head.fields) {
            return conditionalStep(request, loaded: loaded, isPurged: isPurged, now: now)
        }
        let selection = select(request, loaded: loaded)
        let isAlone = marks.isHitForMiss(request.key, now: request.started)
        guard let stored = selection.stored else {
            if loaded == nil, store.disk?.mayHold(request.key) == true {
                return .load(isPurged: selection.isPurged)
            }
            if request.traits.onlyIfCached { return Self.onlyIfCached("only-if-cached and not stored") }
            let isWithdrawn = marks.isWithdrawn(request.key, isTrial: isTrial)
            let (forward, reason): (CacheStatus.Forward, Reason) =
                selection.hint != nil
                ? (.varyMiss, isWithdrawn ? .withdrawn : .variantNotStored)
                : (
                    .uriMiss,
                    isPurged || selection.isPurged ? .purged : isWithdrawn ? .withdrawn : .notStored
                )
            if head.method == .head { return .pass(forward, reason, candidate: nil) }
            if RangeAsk.isWasteful(head.fields) { return .pass(forward, .range, candidate: nil) }
            guard isAlone else { return .miss(forward, reason, hint: selection.hint, isAlone: false) }
            // A range is pulled all the same: were it passed on, no range would ever be kept and end the
            // mark.
            return Preconditions.hasConditions(head.fields)
                ? .pass(forward, isWithdrawn ? reason : .hitForMiss, candidate: nil)
                : .miss(
                    forward, isWithdrawn ? reason : .hitForMiss, hint: selection.hint, isAlone: true)
        }
        let ask = request.missing(in: stored)
        let decision = Reuse.decide(
            stored.metadata, request: request.traits, rules: request.rules.caching, now: now,
            softPurgedAt: store.softPurgedAt(stored))
        let reason: Reason
        switch decision {
        case .fresh:
            if let ask {
                return request.isWasteful(of: stored)
                    ? .pass(.partial, .range, candidate: nil) : .complete(stored, ask)
            }
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

    static func passReason(_ request: ExchangeRequest) -> (CacheStatus.Forward, Reason)? {
        let head = request.head
        if head.method != .get, head.method != .head { return (.method, .method) }
        if request.rules.caching.passes { return (.bypass, .rulePass) }
        if request.rules.caching.cookies == .pass, head.names.contains(.cookie) {
            return (.bypass, .cookiePass)
        }
        if head.framing != .none { return (.bypass, .method) }
        if RequestSignature.isPresent(in: head) { return (.bypass, .signedFields) }
        return nil
    }

    /// A request with If-Match or If-Unmodified-Since speaks of the origin's own state and goes there (RFC 9111 4.3.2),
    /// but for a range of what is stored and fresh and satisfies it: a download that a browser resumes.
    private func conditionalStep(
        _ request: ExchangeRequest, loaded: [StoredResponse]?, isPurged: Bool, now: WallTime
    ) -> NextStep {
        let pass = NextStep.pass(.request, .precondition, candidate: nil)
        guard request.head.method == .get, request.head.names.contains(.range),
            !request.head.names.contains(.ifNoneMatch), !request.head.names.contains(.ifModifiedSince)
        else { return pass }
        let selection = select(request, loaded: loaded)
        guard let stored = selection.stored else {
            guard loaded == nil, store.disk?.mayHold(request.key) == true else { return pass }
            return .load(isPurged: isPurged || selection.isPurged)
        }
        let decision = Reuse.decide(
            stored.metadata, request: request.traits, rules: request.rules.caching, now: now,
            softPurgedAt: store.softPurgedAt(stored))
        guard decision == .fresh, request.missing(in: stored) == nil,
            Preconditions.isSatisfied(request: request.head.fields, stored: stored.fields)
        else { return pass }
        return .serve(stored, .hit, .fresh, hint: selection.hint, behind: .nothing)
    }

    /// The stored response that the request selects: from memory, or else from what was read from disk.
    func select(_ request: ExchangeRequest, loaded: [StoredResponse]?) -> Selection {
        let selecting = request.selecting
        var selection = Selection()
        switch store.memory.lookup(request.key) {
        case .none: break
        case .single(let stored):
            guard store.isVisible(stored) else {
                selection.isPurged = true
                break
            }
            selection.stored = selecting.select(from: CollectionOfOne(stored))
            selection.hint = stored.secondaryKey?.rule ?? (selection.stored == nil ? VaryRule.none : nil)
        case .variants(let all):
            let variants = all.filter(store.isVisible)
            selection.isPurged = variants.count < all.count
            selection.stored = selecting.select(from: variants)
            selection.hint = Self.hint(variants)
        }
        let visible = selection.stored == nil ? (loaded ?? []).filter(store.isVisible) : []
        guard !visible.isEmpty else { return selection }
        selection.stored = selecting.select(from: visible)
        selection.hint = selection.hint ?? Self.hint(visible)
        return selection
    }

    /// The rule that the responses to come are taken to have: one that Vary gave rather than none.
    private static func hint(_ variants: [StoredResponse]) -> VaryRule? {
        let rules = variants.compactMap { $0.secondaryKey?.rule }
        return rules.first { $0 != .none } ?? (variants.isEmpty ? nil : VaryRule.none)
    }

    /// Whether a known failure of the key or its origin lets `stored` be served without waiting for a pull, and
    /// whether this request is the one that probes.
    private func staleAtOnce(
        _ request: ExchangeRequest, _ stored: StoredResponse, now: WallTime, isTrial: Bool
    ) -> (Reason, probes: Bool)? {
        let origin = request.site.originName
        let started = request.started
        func permission(_ standing: KeyMarks.Standing) -> (Reason, mayProbe: Bool)? {
            switch standing {
            case .unmarked: nil
            case .backingOff(let failure):
                mayServeStale(stored, failure, request.rules.caching, now: now).map { ($0, false) }
            case .probe(let failure):
                mayServeStale(stored, failure, request.rules.caching, now: now).map { ($0, true) }
            }
        }
        // A turn to probe is taken by the request that does so, and by no other: first looked at, then taken.
        let ofKey = marks.standing(request.key, origin: origin, now: started, isTrial: true)
        if let (reason, mayProbe) = permission(ofKey) {
            guard mayProbe, !isTrial else { return (reason, mayProbe) }
            return (reason, marks.standing(request.key, origin: origin, now: started).isProbe)
        }
        guard let (reason, mayProbe) = permission(outages.standing(origin, now: started, isTrial: true))
        else {
            return nil
        }
        guard mayProbe, !isTrial else { return (reason, mayProbe) }
        return (reason, outages.standing(origin, now: started).isProbe)
    }

    /// Whether `stored` may answer in place of an origin that cannot be reached.
    func mayServeStaleUnreached(_ stored: StoredResponse, _ rules: CachingRules, now: WallTime) -> Reason? {
        let kinds: [OriginFailure] = [.unreachable, .serverError(status: 504)]
        return kinds.lazy.compactMap { self.mayServeStale(stored, $0, rules, now: now) }.first
    }
}

extension ExchangeRequest {
    /// Whether the ranges lie so far apart in what is missing of `stored` that they had better go to the origin as they
    /// are.
    func isWasteful(of stored: StoredResponse) -> Bool {
        guard case .sparse(let body) = stored.body else { return false }
        return RangeAsk.isWasteful(head.fields) { range in
            let within = range.clamped(to: 0..<body.completeLength)
            return !within.isEmpty && body.hole(in: within) != nil
        }
    }

    /// The first bytes that an answer to the request lacks in `stored`; nil where it can be given without a pull.
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
