import EdgeHTTP
import EdgePolicy
import EdgePrimitives
import EdgeStore

extension Node {
    /// Says what would become of a request now, and were its origin down, without asking the origin.
    ///
    /// - Throws: ``PurgeError/refused(_:)`` where the question makes no request.
    public func explain(_ question: ExplainQuestion) async throws -> Explanation {
        let target = try target(question.url, asRequest: true)
        let request = try request(question, target)
        let found = await inspect(request)
        let now = SystemClock.wall()
        var step = nextStep(
            request, loaded: found.loaded ?? [], isPurged: found.purge != nil || found.isPurged, now: now,
            isTrial: true)
        if request.isOversized, Self.passReason(request) == nil { step = step.withoutKeeping }
        if let own = ownAnswer(request) { step = own }
        let account = Account(node: self, request: request, now: now)
        let ifDown = account.outcomeWithoutOrigin(step)
        let stored = select(request, loaded: found.loaded).stored
        let past = stored.flatMap { stored in
            ledger.recent(100).first { $0.position <= stored.pulledAt && $0.purge.covers(stored) }
        }
        var notes = account.notes()
        if let purge = found.purge {
            notes.append(
                "purge \(purge.position.id) (\(PurgeRecord(purge).words)) of \(Self.text(purge.time)) "
                    + "covers what was stored"
            )
        }
        if let past {
            notes.append(
                "stored anew after purge \(past.position.id) (\(PurgeRecord(past).words)) of \(Self.text(past.time))"
            )
        }
        return Explanation(
            url: question.url, method: question.method,
            key: String(decoding: target.keyText, as: UTF8.self),
            site: target.site.hosts.joined(separator: ", "),
            rules: target.site.matching(path: target.path[...]).map { Explanation.Rule($0) },
            originDown: question.originDown, outcome: question.originDown ? ifDown : account.outcome(step),
            ifOriginDown: ifDown,
            stored: stored.flatMap { stored in found.objects.first { $0.response === stored }?.object },
            variants: found.objects.map(\.object),
            lifetime: stored.map { account.lifetime($0) }, notes: notes)
    }

    /// Everything stored under the key of `url`.
    ///
    /// - Throws: ``PurgeError/refused(_:)``.
    public func objects(url: String) async throws -> ObjectList {
        let target = try target(url, asRequest: true)
        let question = ExplainQuestion(url: url, method: "GET", headers: [], originDown: false)
        let found = await inspect(try request(question, target))
        return ObjectList(
            url: url, key: String(decoding: target.keyText, as: UTF8.self),
            variants: found.objects.map(\.object))
    }

    static func text(_ time: WallTime) -> String { String(decoding: ISOTime.format(time), as: UTF8.self) }

    /// The request that the question is about, read by the parser that reads requests.
    private func request(
        _ question: ExplainQuestion, _ target: AdministeredTarget
    ) throws(PurgeError) -> ExchangeRequest {
        guard question.method == "GET" || question.method == "HEAD" else {
            throw .refused("the method must be GET or HEAD")
        }
        var text = Array("\(question.method) ".utf8) + target.path
        if let query = target.query { text += [UInt8(ascii: "?")] + query }
        text += Array(" HTTP/1.1\r\nHost: ".utf8) + target.authority + [13, 10]
        for (name, value) in question.headers { text += Array("\(name): \(value)\r\n".utf8) }
        text += [13, 10]
        var parser = RequestParser()
        var head = RequestHead()
        switch text.withUnsafeBytes({ parser.parse($0, into: &head) }) {
        case .complete(let consumed) where consumed == text.count: break
        case .complete, .incomplete: throw .refused("a header field has a line break in it")
        case .refused(let refusal): throw .refused("no client may send that: \(refusal.rawValue)")
        }
        return ExchangeRequest(
            head: head, client: ClientAddress(text: []), isTLS: target.isTLS, site: target.site,
            rules: target.rules, authority: target.authority, key: seed.digest(target.keyText),
            keyText: target.keyText, nodeID: nodeID)
    }

    private struct Found {
        var loaded: [StoredResponse]?
        var objects: [(response: StoredResponse, object: StoredVariant)] = []
        var isPurged = false
        /// The newest purge that covers something which is there and hidden.
        var purge: PurgeEntry?
    }

    /// Looks at everything under the request's key, in both tiers.
    private func inspect(_ request: ExchangeRequest) async -> Found {
        var found = Found()
        let inMemory: [StoredResponse] =
            switch store.memory.lookup(request.key) {
            case .none: []
            case .single(let stored): [stored]
            case .variants(let variants): variants
            }
        var onDisk: [StoredResponse] = []
        if let disk = store.disk, disk.mayHold(request.key) {
            onDisk = await withCheckedContinuation { continuation in
                disk.load(request.key) { continuation.resume(returning: $0.map(\.response)) }
            }
            found.loaded = onDisk
        }
        for stored in inMemory + onDisk {
            let verdict = store.stamps.verdict(of: stored)
            if verdict == .hidden {
                found.isPurged = true
                let covering = ledger.recent(100).first {
                    $0.position > stored.pulledAt && $0.purge.covers(stored)
                }
                found.purge = found.purge ?? covering
                continue
            }
            let twin = found.objects.firstIndex { $0.response.secondaryKey == stored.secondaryKey }
            if let twin {
                found.objects[twin].object.tiers.append("disk")
            } else {
                let tier = inMemory.contains { $0 === stored } ? "memory" : "disk"
                found.objects.append((stored, StoredVariant(stored, tier: tier, verdict: verdict)))
            }
        }
        return found
    }
}

extension StoredVariant {
    fileprivate init(_ stored: StoredResponse, tier: String, verdict: PurgeVerdict) {
        let metadata = stored.metadata
        let now = SystemClock.wall()
        func field(_ name: FieldName) -> String? {
            stored.fields.first(name).map { String(decoding: $0, as: UTF8.self) }
        }
        status = metadata.status
        vary = [:]
        let selecting = stored.secondaryKey?.selectingFields
        for line in selecting?.lines ?? [] {
            guard let selecting else { break }
            let name = String(decoding: selecting.nameBytes(line).map(Octet.lower), as: UTF8.self)
            vary[name] = String(decoding: selecting.value(line), as: UTF8.self)
        }
        tiers = [tier]
        bodyBytes = Int64(stored.body.count)
        storedBytes = stored.body.presentBytes
        contentType = field(.contentType)
        etag = field(.etag)
        lastModified = field(.lastModified)
        tags = stored.tags.map { String(decoding: $0, as: UTF8.self) }
        storedAt = Node.text(metadata.responseTime)
        ageSeconds = Double(metadata.currentAgeMilliseconds(at: now)) / 1000
        lifetimeSeconds = Double(metadata.freshnessLifetimeMilliseconds) / 1000
        lifetimeSource = metadata.freshnessSource.rawValue
        fresh = Reuse.isPlainlyFresh(metadata, now: now)
        if case .stale(let since) = verdict {
            softPurgedAt = Node.text(since)
            fresh = false
        }
        pulledAtPosition = stored.pulledAt.id
    }
}

extension StoredBody {
    /// Of a body of which only parts were asked for, what is there.
    fileprivate var presentBytes: Int64 {
        guard case .sparse(let body) = self else { return Int64(count) }
        var present = body.completeLength
        var offset: Int64 = 0
        while offset < body.completeLength, let hole = body.hole(in: offset..<body.completeLength) {
            present -= hole.upperBound - max(offset, hole.lowerBound)
            offset = max(hole.upperBound, offset + 1)
        }
        return max(0, present)
    }
}

extension Explanation.Rule {
    fileprivate init(_ rule: RuleConfiguration) {
        line = rule.line > 0 ? rule.line : nil
        path = rule.match.path ?? "*"
        let keys: [(String, Bool)] = [
            ("ttl", rule.lifetimes != nil), ("override", rule.overridesOrigin != nil),
            ("maxTTL", rule.maxLifetimeMilliseconds != nil), ("query", rule.query != nil),
            ("cookies", rule.cookies != nil), ("response", rule.response != nil),
            ("request", rule.request != nil), ("cache", rule.passes != nil),
            ("stallTimeout", rule.stallTimeoutMilliseconds != nil),
        ]
        sets = keys.filter(\.1).map(\.0)
    }
}

extension PurgeRecord {
    /// Such as `tag news`.
    fileprivate var words: String { (soft ? "soft, " : "") + scope + (value.map { " \($0)" } ?? "") }
}
