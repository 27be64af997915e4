import EdgeHTTP
import EdgeOrigin
import EdgePolicy
import EdgePrimitives
import EdgeStore

/// Puts what becomes of a request into words. It decides nothing: what it tells is ``NextStep`` and what the
/// rules of EdgePolicy say of the stored response.
struct Account {
    let node: Node
    let request: ExchangeRequest
    let now: WallTime

    // MARK: Courses of events

    func outcome(_ step: NextStep) -> Explanation.Outcome {
        switch step {
        case .refuse(let refusal):
            return own(refusal.status, refusal.reason, "The node answers itself: \(refusal.details).")
        case .answerOptions: return own(204, .method, "The node answers itself: Max-Forwards is 0.")
        case .purge: return own(200, .method, "The node purges the URL.")
        case .load:
            return forwarded(.uriMiss, .notStored, "miss", "It is on disk, which does not answer in time.")
        case .pass(let forward, let reason, let candidate):
            let why = words(reason, candidate)
            return forwarded(forward, reason, "pass", "The request is passed on to the origin: \(why).")
        case .miss(let forward, let reason, _, _):
            return forwarded(
                forward, reason, "miss", "The origin is asked: \(words(reason, nil)).")
        case .serve(let stored, let outcome, let reason, _, let behind):
            return served(stored, outcome, reason, behind)
        case .complete(_, let ask):
            return forwarded(
                .partial, .range, "miss",
                "Bytes are missing: \(String(decoding: ask.fieldValue, as: UTF8.self)) is asked for."
            )
        case .validate(let stored, let forward, let reason, _, _, _):
            let validators = Validation.conditionalFields(for: stored.fields).map { name, value in
                "\(name.wireName): \(String(decoding: value, as: UTF8.self))"
            }
            let how =
                validators.isEmpty
                ? "It has no validator, so the whole is pulled."
                : "The origin is asked whether it is still good (\(validators.joined(separator: ", ")))."
            var told = forwarded(
                forward, reason, validators.isEmpty ? "miss" : "revalidated",
                "What is stored may not be used as it is: \(words(reason, stored)). \(how)")
            told.status = nil
            return told
        }
    }

    /// The same, were the origin out of reach.
    func outcomeWithoutOrigin(_ step: NextStep) -> Explanation.Outcome {
        switch step {
        case .refuse, .answerOptions, .purge: return outcome(step)
        // What is pulled behind the answer fails, and changes nothing for the client.
        case .serve(let stored, let outcome, let reason, _, _):
            return served(stored, outcome, reason, .nothing)
        case .load, .miss, .complete, .pass(_, _, candidate: nil):
            return own(
                502, .originUnreachable, "Nothing is stored that could be served: the client gets 502.")
        case .pass(_, _, candidate: .some(let stored)):
            return stale(stored, isWhole: true)
        case .validate(let stored, _, _, _, _, let isWhole): return stale(stored, isWhole: isWhole)
        }
    }

    private func stale(_ stored: StoredResponse, isWhole: Bool) -> Explanation.Outcome {
        let rules = request.rules.caching
        guard let reason = node.mayServeStaleUnreached(stored, rules, now: now) else {
            return own(
                504, .originUnreachable, "Stale is not allowed: \(whyNotStale(stored)). The client gets 504.")
        }
        guard isWhole else {
            return own(504, .originUnreachable, "A part of what is stored is missing: the client gets 504.")
        }
        return served(stored, .stale, reason, .nothing)
    }

    private func served(
        _ stored: StoredResponse, _ outcome: RequestOutcome, _ reason: Reason, _ behind: NextStep.Behind
    ) -> Explanation.Outcome {
        let shape = Representation.shape(
            for: request, status: stored.metadata.status, fields: stored.fields,
            length: Int64(stored.body.count))
        let status =
            switch shape {
            case .whole: stored.metadata.status
            case .notModified: 304
            case .single, .multiple: 206
            case .unsatisfiable: 416
            }
        let shown = CacheStatus(
            hitOf: stored, reason, now: now, softPurgedAt: node.store.softPurgedAt(stored))
        var sentence = "It is served from the store: \(words(shown.detail ?? reason, stored))."
        switch behind {
        case .nothing: break
        case .refresh: sentence += " A pull behind the answer refreshes it."
        case .probe: sentence += " A pull behind the answer finds out whether the origin is back."
        }
        return Explanation.Outcome(
            result: outcome.label, status: status, reason: (shown.detail ?? reason).rawValue,
            explanation: sentence, cacheStatus: Self.text(shown), contactsOrigin: false)
    }

    private func forwarded(
        _ forward: CacheStatus.Forward, _ reason: Reason, _ result: String, _ sentence: String
    ) -> Explanation.Outcome {
        let sentence = originIsTakenAsDown ? "\(sentence) It is taken as down, so that may fail." : sentence
        return Explanation.Outcome(
            result: result, status: nil, reason: reason.rawValue, explanation: sentence,
            cacheStatus: "rockpool; fwd=\(forward.rawValue)", contactsOrigin: true)
    }

    /// Whether pulls from the origin failed lately, for many keys or at every server.
    private var originIsTakenAsDown: Bool {
        let name = request.site.originName
        if case .unmarked = node.outages.standing(name, now: request.started, isTrial: true) {
            let servers = node.pulls.snapshot().filter { $0.name == name }
            return !servers.isEmpty && servers.allSatisfy { $0.health != .healthy }
        }
        return true
    }

    private func own(_ status: Int, _ reason: Reason, _ sentence: String) -> Explanation.Outcome {
        Explanation.Outcome(
            result: "error", status: status, reason: reason.rawValue, explanation: sentence, cacheStatus: nil,
            contactsOrigin: false)
    }

    private static func text(_ status: CacheStatus) -> String {
        var bytes: [UInt8] = []
        status.append(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    // MARK: Reasons

    private func words(_ reason: Reason, _ stored: StoredResponse?) -> String {
        let age = stored.map { $0.metadata.currentAgeMilliseconds(at: now) / 1000 } ?? 0
        let lifetime = stored.map { $0.metadata.freshnessLifetimeMilliseconds / 1000 } ?? 0
        let purged = stored.flatMap { node.store.softPurgedAt($0) }
        let ended =
            purged.map { "a soft purge made it stale at \(Node.text($0))" }
            ?? "its lifetime of \(lifetime) s ended \(max(0, age - lifetime)) s ago"
        return switch reason {
        case .fresh: "it is fresh for \(max(0, lifetime - age)) s more"
        case .heuristic: "it is fresh for \(max(0, lifetime - age)) s more, by heuristics"
        case .staleWhileRevalidate: "\(ended), and stale-while-revalidate allows it meanwhile"
        case .staleIfError: "\(ended), and stale-if-error allows it while the origin fails"
        case .staleIfUnreachable: "\(ended), and stale is allowed while the origin cannot be reached"
        case .staleAfter: "\(ended), and stale is allowed when the origin takes its time"
        case .notStored: "nothing is stored under this key"
        case .purged: "what was stored under this key was purged"
        case .withdrawn: "the origin took back what was stored under this key"
        case .variantNotStored: "something is stored under this key, but no variant that this request selects"
        case .expired: ended
        case .mustValidate: "no-cache asks for a validation each time"
        case .clientNoCache: "the client said no-cache"
        case .clientMaxAge: "the client's max-age is less than its age of \(age) s"
        case .clientMinFresh: "the client's min-fresh is more than is left of its lifetime"
        case .precondition: "its If-Match or If-Unmodified-Since is the origin's to judge"
        case .softPurged: "a soft purge made it stale"
        case .rulePass: "a rule says cache: pass"
        case .cookiePass: "the request has cookies, and a rule says cookies: pass"
        case .method: "requests of this kind are not cached"
        case .range: "the range is not stored"
        case .signedFields: "the request signs its fields, so it goes on as it is"
        case .tooManyFields: "the request has more than 8 KiB of fields, and no answer to such is kept"
        case .pathAmbiguous:
            "rules give it a lifetime in some readings of its path, but not in all, so that it has none"
        case .hitForMiss:
            "its last responses could not be shared between clients, so each request has a pull of its own"
        default: reason.rawValue
        }
    }

    private func whyNotStale(_ stored: StoredResponse) -> String {
        let rules = request.rules.caching
        let softPurged = node.store.softPurgedAt(stored)
        let verdict = StalePolicy.decide(
            stored.metadata, failure: .unreachable, rules: rules, now: now, softPurgedAt: softPurged)
        guard case .forbidden(let reason) = verdict else { return "it was purged" }
        guard reason == .staleForbidden else {
            let since = stored.metadata.stalenessMilliseconds(at: now, softPurgedAt: softPurged) ?? 0
            let allowed = StalePolicy.windows(stored.metadata, rules: rules).ifUnreachableMilliseconds
            let source =
                stored.metadata.staleIfErrorMilliseconds != nil
                ? "stale-if-error of the response allows"
                : "stale.ifUnreachable and stale.ifError of the site allow"
            return "it became stale \(since / 1000) s ago, and \(source) \(allowed / 1000) s"
        }
        let flags = stored.metadata.flags
        let names: [(StoredMetadata.Flags, String)] = [
            (.noCache, "no-cache"), (.mustRevalidate, "must-revalidate"),
            (.proxyRevalidate, "proxy-revalidate"),
            (.sMaxage, "s-maxage"),
        ]
        let named = names.filter { flags.contains($0.0) }.map(\.1)
        return named.isEmpty
            ? "nothing permits it" : "\(named.joined(separator: " and ")) of the response forbids it"
    }

    // MARK: Lifetime and notes

    func lifetime(_ stored: StoredResponse) -> Explanation.Lifetime {
        let metadata = stored.metadata
        func field(_ name: FieldName) -> String {
            let values = stored.fields.all(name).map { String(decoding: $0, as: UTF8.self) }
            return values.joined(separator: ", ")
        }
        let line = request.rules.caching.lifetimeRuleLine
        let isCut =
            request.rules.caching.maxLifetimeMilliseconds == metadata.freshnessLifetimeMilliseconds
        var detail =
            switch metadata.freshnessSource {
            case .cdnCacheControl: "CDN-Cache-Control of the response"
            case .sMaxage, .maxAge: "Cache-Control of the response: \(field(.cacheControl))"
            case .expires: "Expires of the response: \(field(.expires))"
            case .heuristic:
                "a share of the time since Last-Modified: \(field(.lastModified)) (RFC 9111 4.2.2)"
            case .rule: line > 0 ? "ttl of the rule in line \(line)" : "ttl of a rule"
            case .none: "neither the response nor a rule gives one"
            }
        if isCut { detail += "; cut to maxTTL of a rule" }
        return Explanation.Lifetime(
            seconds: Double(metadata.freshnessLifetimeMilliseconds) / 1000,
            source: metadata.freshnessSource.rawValue, detail: detail)
    }

    func notes() -> [String] {
        var notes: [String] = []
        if node.marks.isHitForMiss(request.key, now: request.started) {
            notes.append(
                "the last responses of this key could not be shared: for up to 120 s each request has a pull of its own"
            )
        }
        switch node.marks.standing(
            request.key, origin: request.site.originName, now: request.started, isTrial: true)
        {
        case .unmarked: break
        case .backingOff, .probe: notes.append("the last pull of this key failed")
        }
        let path = request.head.path
        for rule in request.site.matchingInPart(path: path) {
            let place = rule.line > 0 ? "the rule in line \(rule.line)" : "a rule"
            notes.append(
                "the path can be read as another one: \(place) (\(rule.match.path ?? "*")) matches some "
                    + "readings and not all, so it forbids and does not permit (path-ambiguous)")
        }
        if originIsTakenAsDown { notes.append("the origin \(request.site.originName) is taken as down") }
        if let after = request.rules.caching.stale.afterMilliseconds {
            notes.append("when a pull takes longer than \(after) ms, stale may be served (stale.after)")
        }
        return notes
    }
}
