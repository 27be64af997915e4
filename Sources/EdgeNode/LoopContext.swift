import EdgeHTTP
import EdgeOrigin
import EdgePolicy
import EdgePrimitives
import EdgeStore
import NIOCore

/// What one event loop needs to answer requests: the site table, scratch memory, its counters. Confined to its loop.
public final class LoopContext {
    public let node: Node
    public let eventLoop: any EventLoop
    public let counters = LoopCounters()
    private var sites: SiteTable
    private var configurationNumber: UInt64
    private var keyText: [UInt8] = []
    private var scratch = ByteBuffer()
    private let seed: DigestSeed
    /// This loop's way into the access log; nil where there is none, or it is off.
    private(set) var accessLane: AccessLane?
    /// The same, kept while the log is off.
    private var ownLane: AccessLane?
    /// The memory tier at hand: a plain hit goes through nothing else.
    private let memory: MemoryTier
    private let stamps: PurgeStamps

    /// Fields that keep a request off the plain path: they change what a hit looks like.
    private static let unplain = FieldNameSet(
        .range, .ifRange, .ifMatch, .ifNoneMatch, .ifModifiedSince, .ifUnmodifiedSince, .cdnLoop, .expect,
        .signatureInput)

    public init(node: Node, eventLoop: any EventLoop) {
        self.node = node
        seed = node.seed
        self.eventLoop = eventLoop
        configurationNumber = node.configurationNumber
        sites = node.sites
        memory = node.store.memory
        stamps = node.store.stamps
        takeLane()
        keyText.reserveCapacity(1024)
        node.register(self)
        counters.lag.measure(eventLoop)
    }

    /// Takes what is of the newest configuration: a reload acts on the very next request.
    @inline(__always)
    func followReload() {
        let current = node.configurationNumber
        if current != configurationNumber { follow(current) }
    }

    @inline(never)
    private func follow(_ current: UInt64) {
        configurationNumber = current
        sites = node.sites
        takeLane()
    }

    private func takeLane() {
        guard let log = node.accessLog, log.isOn else {
            accessLane = nil
            return
        }
        if ownLane == nil { ownLane = log.lane() }
        accessLane = ownLane
    }

    /// Whether hits are logged, by the newest configuration.
    @inline(__always)
    public var logsHits: Bool {
        followReload()
        return accessLane != nil
    }

    /// Takes the loop's output buffer, to be given back empty the same way. Whoever comes in between gets a new one.
    public func swapScratch(_ buffer: inout ByteBuffer) {
        swap(&buffer, &scratch)
        if scratch.capacity > Self.maxScratchBytes { scratch = ByteBuffer() }
    }

    private static let maxScratchBytes = 128 * 1024

    func wallNow() -> WallTime { SystemClock.wall() }

    // MARK: The plain hit

    /// A hit whose head is already written.
    public struct PlainHit {
        public let stored: StoredResponse
        public let status: Int
        public let sendsBody: Bool
        /// Where a body lies that memory does not have.
        public let region: DiskRegion?
        let reason: Reason
        let siteNumber: Int
        let answered: WallTime
    }

    /// Answers a GET or HEAD from memory where nothing but a fresh stored response is asked for: one look-up, no
    /// allocation but the output's. Writes the head into `output`; nil leaves it untouched, for
    /// ``begin(_:client:isTLS:delegate:)``.
    @inline(__always)
    public func plainHit(_ head: RequestHead, isTLS: Bool, into output: inout ByteBuffer) -> PlainHit? {
        guard head.method == .get || head.method == .head, head.framing == .none,
            !head.names.intersects(Self.unplain), let authority = head.authorityRange
        else { return nil }
        followReload()
        guard let site = sites.site(forHost: head.fields.bytes[authority]), site.takes(head) else {
            return nil
        }
        let rules = site.resolve(path: head.path)
        guard rules.isPlain, !rules.caching.passes, !rules.caching.honoursClient,
            rules.caching.cookies != .pass || !head.names.contains(.cookie),
            !head.names.contains(.authorization) || !RequestSignature.isPresent(in: head)
        else { return nil }
        guard let stored = find(head, authority, isTLS, rules),
            stored.isUntouched(at: stamps.version) || node.isUntouched(stored)
        else { return nil }
        let now = SystemClock.wall()
        guard Reuse.isPlainlyFresh(stored.metadata, now: now) else { return nil }
        var region: DiskRegion?
        if case .sparse(let body) = stored.body {
            guard let plain = body.plainRegion else { return nil }
            region = plain
        }
        let isHeuristic = stored.metadata.flags.contains(.heuristic)
        let age = stored.metadata.currentAgeMilliseconds(at: now)
        PlainHead.write(
            stored.head, ageSeconds: age / 1000,
            ttlSeconds: stored.metadata.freshnessLifetimeMilliseconds / 1000 - age / 1000,
            isHeuristic: isHeuristic, keepAlive: head.keepAlive, minorVersion: head.minorVersion,
            into: &output)
        let sendsBody = head.method == .get
        let reason: Reason = isHeuristic ? .heuristic : .fresh
        counters.countHit(site: site.number, reason, bodyBytes: sendsBody ? stored.body.count : 0)
        return PlainHit(
            stored: stored, status: stored.metadata.status, sendsBody: sendsBody, region: region,
            reason: reason, siteNumber: site.number, answered: now)
    }

    @inline(__always)
    private func find(_ head: RequestHead, _ authority: Range<Int>, _ isTLS: Bool, _ rules: ResolvedRules)
        -> StoredResponse?
    {
        writeKey(head, head.fields.bytes[authority], isTLS, rules.query)
        switch memory.lookup(seed.digest(keyText)) {
        case .none: return nil
        case .single(let stored) where !head.names.contains(.origin) && stored.secondaryKey == nil:
            return stored
        case .single(let stored): return Self.select(head, from: CollectionOfOne(stored), rules)
        case .variants(let variants):
            guard let chosen = Self.select(head, from: variants, rules) else { return nil }
            memory.recordHit(chosen)
            return chosen
        }
    }

    /// The first of `variants` that fits exactly, or else the first that fits. Nil also where that depends on what is
    /// sent to the origin, and not on the request as it came.
    @inline(__always)
    private static func select(
        _ head: RequestHead, from variants: some Collection<StoredResponse>, _ rules: ResolvedRules
    ) -> StoredResponse? {
        let hasOrigin = head.names.contains(.origin)
        guard !hasOrigin || !rules.touched.known.contains(.origin) else { return nil }
        var near: StoredResponse?
        var values = SelectingValues()
        for stored in variants {
            if let key = stored.secondaryKey {
                if key.rule.isTouched(by: rules.touched, nominates: head.nominatesFields) { return nil }
                guard key.matches(head.fields, &values) else { continue }
                if key.isExact(withOrigin: hasOrigin) { return stored }
            } else if !hasOrigin {
                return stored
            }
            if near == nil, !hasOrigin || stored.fields.contains(.accessControlAllowOrigin) { near = stored }
        }
        return near
    }

    private func writeKey(
        _ head: RequestHead, _ authority: ArraySlice<UInt8>, _ isTLS: Bool, _ rule: QueryRule
    ) {
        keyText.removeAll(keepingCapacity: true)
        CacheKey.append(
            scheme: isTLS ? "https" : "http", authority: authority, path: head.path, query: head.query,
            rule: rule,
            into: &keyText)
    }

    /// Logs a plain hit.
    public func logPlainHit(
        _ head: RequestHead, _ hit: PlainHit, client: ClientAddress, started: MonotonicTime
    ) {
        guard let accessLane else { return }
        var facts = AccessFacts()
        facts.outcome = .hit
        facts.reason = hit.reason
        facts.status = hit.status
        facts.bodyBytes = hit.sendsBody ? Int64(hit.stored.body.count) : 0
        facts.microseconds = (SystemClock.monotonic().nanoseconds - started.nanoseconds) / 1000
        accessLane.append(
            head: head, client: client, site: sites.name(number: hit.siteNumber), facts: facts,
            now: hit.answered)
    }

    // MARK: Everything else

    /// Begins the exchange of a request that is no plain hit. The delegate may be called before this returns.
    public func begin(
        _ head: RequestHead, client: ClientAddress, isTLS: Bool, delegate: any ExchangeDelegate,
        attach: (Exchange) -> Void
    ) {
        followReload()
        let named = head.authority.map { CacheKey.authority($0, scheme: isTLS ? "https" : "http") }
        let authority = named ?? sites.authorityWithoutHost(isTLS: isTLS)
        let site = named == nil ? sites.siteWithoutHost : sites.site(forHost: authority[...])
        let rules = (site ?? Site.none).resolve(path: head.path)
        writeKey(head, authority[...], isTLS, rules.query)
        let request = ExchangeRequest(
            head: head, client: client, isTLS: isTLS, site: site ?? Site.none, rules: rules,
            authority: authority, key: node.seed.digest(keyText), keyText: keyText, nodeID: node.nodeID)
        let exchange = Exchange(context: self, delegate: delegate, request: request)
        attach(exchange)
        if site == nil {
            exchange.refuse(
                status: 421, reason: .unknownHost, error: .httpRequestError, details: "no site has this host",
                outcome: .error, extra: [])
            return
        }
        if let answer = node.ownAnswer(request) {
            carryOut(answer, for: exchange)
        } else {
            decide(exchange)
        }
    }

    /// Does what becomes of the request.
    func decide(_ exchange: Exchange) {
        // Before anything is looked at: a purge that comes in between then covers what a pull brings.
        exchange.position = stamps.head
        exchange.candidate = nil
        exchange.base = nil
        let request = exchange.request
        let keepsNothing = request.isOversized && Node.passReason(request) == nil
        let step = node.nextStep(
            request, loaded: exchange.loaded, isPurged: exchange.isPurged, now: wallNow(),
            isTrial: keepsNothing)
        carryOut(keepsNothing ? step.withoutKeeping : step, for: exchange)
    }

    private func carryOut(_ step: NextStep, for exchange: Exchange) {
        switch step {
        case .refuse(let refusal):
            exchange.refuse(
                status: refusal.status, reason: refusal.reason, error: refusal.error,
                details: refusal.details, outcome: .error, extra: refusal.extra)
        case .answerOptions: exchange.answerOptions()
        case .purge: purge(exchange)
        case .load(let isPurged):
            exchange.isPurged = isPurged
            load(exchange)
        case .pass(let forward, let reason, let candidate):
            exchange.went(forward, reason)
            if let candidate { exchange.candidate = candidate }
            pass(exchange)
        case .miss(let forward, let reason, let hint, let isAlone):
            exchange.went(forward, reason)
            if isAlone {
                exchange.wait(for: Fill(plan: plan(exchange, .miss), node: node), isLeader: true)
            } else {
                join(exchange, exchange.asksWhole ? .wholeMiss : .miss, hint: hint)
            }
        case .serve(let stored, let outcome, let reason, let hint, let behind):
            node.store.recordHit(stored)
            switch behind {
            case .nothing: break
            case .refresh: refreshBehind(exchange, stored, hint)
            case .probe: pullBehind(exchange, stored, hint)
            }
            exchange.serve(stored, as: .hit, outcome: outcome, reason: reason)
        case .complete(let stored, let ask):
            node.store.recordHit(stored)
            complete(exchange, stored, ask)
        case .validate(let stored, let forward, let reason, let hint, let isAlone, _):
            exchange.went(forward, reason)
            exchange.candidate = stored
            if isAlone {
                let own = Fill(plan: plan(exchange, .validate(stored)), node: node)
                exchange.wait(for: own, isLeader: true)
            } else {
                join(exchange, .validate(stored), hint: hint)
            }
        }
    }

    /// For how long a request waits for the disk before it goes on as if nothing were there.
    static let diskMilliseconds: Int64 = 2_000

    /// Reads from disk what memory does not have, then decides.
    private func load(_ exchange: Exchange) {
        exchange.phase = .loading
        let loop = eventLoop
        let timeout = loop.assumeIsolated().scheduleTask(in: .milliseconds(Self.diskMilliseconds)) {
            [weak exchange] in exchange?.finishLoading([], isPurged: false)
        }
        let bound = NIOLoopBound(timeout, eventLoop: loop)
        node.store.load(exchange.request.key) { loaded, isPurged in
            loop.execute {
                bound.value.cancel()
                exchange.finishLoading(loaded, isPurged: isPurged)
            }
        }
    }

    // MARK: Pulls

    /// Joins the fill that brings, or validates, what is stored; decides anew where another fill has just done that.
    func join(_ exchange: Exchange, _ purpose: PullPurpose, hint: VaryRule?) {
        switch place(exchange, purpose, hint) {
        case .leader(let fill): exchange.wait(for: fill, isLeader: true)
        case .follower(let fill):
            counters.followersJoined.add(1)
            exchange.wait(for: fill, isLeader: false)
        case .none: decide(exchange)
        }
    }

    /// - Parameter isBehind: the pull is nobody's own, so it is a GET whatever the request is.
    private func place(
        _ exchange: Exchange, _ purpose: PullPurpose, _ hint: VaryRule?, isBehind: Bool = false
    ) -> RequestCollapser.Place {
        let request = exchange.request
        return node.collapser.join(
            request.key, request: request.selecting, hint: hint, ask: ask(request, purpose),
            width: isBehind ? 1 : exchange.collapseWidth
        ) {
            let current = node.select(request, loaded: nil).stored
            if purpose != .wholeMiss, let current, current !== purpose.stored { return nil }
            return Fill(plan: plan(exchange, purpose, isBehind: isBehind), node: node)
        }
    }

    /// Stale-while-revalidate: one pull behind the answer, unless the key is known to fail.
    private func refreshBehind(_ exchange: Exchange, _ stored: StoredResponse, _ hint: VaryRule?) {
        let request = exchange.request
        let standing = node.marks.standing(
            request.key, origin: request.site.originName, now: request.started)
        if case .backingOff = standing { return }
        pullBehind(exchange, stored, hint)
    }

    /// One pull that no client waits for, unless one is under way.
    func pullBehind(_ exchange: Exchange, _ stored: StoredResponse, _ hint: VaryRule?) {
        let place = place(exchange, .validate(stored), hint, isBehind: true)
        if case .leader(let fill) = place { fill.start() }
    }

    /// How many pulls of a key there are at a time while its answers are errors that nobody may share.
    static let errorWidth = 8

    /// What a follower waited for is an error that is not for it: those who waited go a few at a time, or an origin
    /// that cannot cope would get them all at once.
    func continueAfterError(_ exchange: Exchange) {
        counters.followersReleased.add(1)
        exchange.collapseWidth = Self.errorWidth
        decide(exchange)
    }

    /// A follower was released (RFC 9111 4): to a pull of its own, or to one that selects its variant.
    func continueAlone(_ exchange: Exchange, mayCollapse: Bool) {
        counters.followersReleased.add(1)
        if mayCollapse {
            decide(exchange)
            return
        }
        exchange.forwardReason = .hitForMiss
        let miss: PullPurpose = exchange.asksWhole ? .wholeMiss : .miss
        let purpose = exchange.candidate.map { PullPurpose.validate($0) } ?? miss
        exchange.wait(for: Fill(plan: plan(exchange, purpose), node: node), isLeader: true)
    }

    /// Forwards the request as it is and stores nothing.
    func pass(_ exchange: Exchange) {
        let request = exchange.request
        var plan = plan(exchange, .pass)
        if request.head.method == .head, let candidate = exchange.candidate {
            plan.stored = candidate
            plan.pull.waitsForCheck = mustWaitForCheck(candidate, request)
        }
        if !request.head.method.isSafe {
            let seed = node.seed
            let sites = sites
            plan.invalidates = { response in
                InvalidatedKeys.keys(request: request, response: response, sites: sites, seed: seed)
            }
        }
        // A POST goes on with all its fields, so only one that had nothing to shape its answer speaks for later GETs.
        if request.head.method == .post, !request.rules.caching.passes, !request.isOversized,
            !request.head.names.intersects(Self.personal), !ForwardedFields.hasUnkeyed(request.head),
            request.keyTarget.elementsEqual(request.head.pathAndQuery),
            plan.requestFields.isSame(as: request.selecting.sent)
        {
            plan.mayStorePost = { response in
                Invalidation.isRepresentationOfTarget(
                    scheme: request.scheme, authority: request.authority[...], path: request.head.path,
                    query: request.head.query, response: response.fields)
            }
        }
        exchange.wait(for: Fill(plan: plan, node: node), isLeader: true)
    }

    /// What was answered to a POST with one of them is this client's.
    private static let personal = FieldNameSet(.authorization, .cookie, .signatureInput)

    func plan(_ exchange: Exchange, _ purpose: PullPurpose, isBehind: Bool = false) -> FillPlan {
        let request = exchange.request
        let head = request.head
        let rules = request.rules
        let isCacheable = purpose != .pass
        let ask = ask(request, purpose)
        let isHead = head.method == .head && !isBehind
        let isForAll = isCacheable || request.isAskedAsGet
        var fields = isCacheable ? request.selecting.sent : passedFields(request, isForAll)
        countDownMaxForwards(head, &fields)
        var conditional = fields
        let conditions = purpose.conditions
        let isConditional = !conditions.isEmpty
        ForwardedFields.add(
            conditions + Self.rangeFields(ask, purpose), to: &conditional, context: request.selecting.context)
        let target = isForAll ? Array(request.keyTarget) : head.pathAndQuery
        let body: PullRequest.BodyKind =
            switch head.framing {
            case .none: .none
            case .length(let length): .length(length)
            case .chunked: .chunked
            }
        var pull = PullRequest(
            origin: request.site.originName, method: isBehind ? Array("GET".utf8) : Array(head.methodBytes),
            isHead: isHead, isIdempotent: head.method.isIdempotent, isSafe: head.method.isSafe,
            target: target, host: request.authority, fields: conditional, body: body,
            hashKey: request.key.high, client: request.client.identity)
        pull.stallTimeoutMilliseconds = rules.stallTimeoutMilliseconds
        if let stored = purpose.validated { pull.waitsForCheck = mustWaitForCheck(stored, request) }
        return FillPlan(
            kind: isCacheable ? .cacheable : .pass, key: request.key, keyText: request.keyText,
            requestFields: fields,
            traits: isBehind ? RequestTraits(getFrom: request.traits) : request.traits,
            isHead: isHead, rules: rules.caching, origin: request.site.originName,
            position: exchange.position,
            stored: purpose.validated, ask: ask,
            isConditional: isConditional, pull: pull, unconditionalFields: isConditional ? fields : nil,
            mayStorePost: nil, invalidates: nil, configurationNumber: configurationNumber)
    }

    /// Who has something stale to show waits for no check of the origin.
    private func mustWaitForCheck(_ stored: StoredResponse, _ request: ExchangeRequest) -> Bool {
        node.mayServeStaleUnreached(stored, request.rules.caching, now: wallNow()) == nil
    }

    /// The fields of a request that is passed on, without Host and Content-Length.
    private func passedFields(_ request: ExchangeRequest, _ isForAll: Bool) -> FieldSection {
        var context = request.selecting.context
        context.isCacheable = isForAll
        context.isHead = request.head.method == .head
        var fields = ForwardedFields.rewriteRequest(head: request.head, context: context)
        fields.remove(.host)
        fields.remove(.contentLength)
        return fields
    }

    /// RFC 9110 7.6.2: an intermediary that forwards OPTIONS takes one off Max-Forwards.
    private func countDownMaxForwards(_ head: RequestHead, _ fields: inout FieldSection) {
        guard head.method == .options, let text = head.fields.first(.maxForwards), !text.isEmpty,
            text.count < 10,
            text.allSatisfy(Octet.isDigit)
        else { return }
        let hops = text.reduce(0) { $0 * 10 + Int($1 - 48) }
        fields.remove(.maxForwards)
        fields.append(.maxForwards, String(max(0, hops - 1)))
    }

}

extension Exchange {
    /// The disk has answered, or was waited for long enough.
    fileprivate func finishLoading(_ loaded: [StoredResponse], isPurged: Bool) {
        guard case .loading = phase else { return }
        self.isPurged = self.isPurged || isPurged
        self.loaded = loaded
        phase = .begun
        context.decide(self)
    }

    /// Answers OPTIONS with Max-Forwards: 0.
    func answerOptions() {
        var writer = HeadWriter(status: 204)
        writer.append(.date, HTTPDate.format(context.wallNow().seconds))
        writer.append(.allow, Array(request.site.allow.utf8))
        if request.head.framing != .none { keepAlive = false }
        start(writer, status: 204, Delivery(source: .none, segments: []))
    }
}
