import EdgeHTTP
import EdgePolicy
import EdgeStore

/// What a pull is for.
enum PullPurpose: Equatable {
    /// Nothing is stored that would do.
    case miss
    /// As ``miss``, and the whole whatever range the client wants: parts could not be joined.
    case wholeMiss
    /// A stored response is not fresh.
    case validate(StoredResponse)
    /// Bytes are missing of a representation, of which `StoredResponse` holds others.
    case complete(StoredResponse?, RangeAsk, StrongValidator?)
    /// Nothing is to be stored.
    case pass

    static func == (left: PullPurpose, right: PullPurpose) -> Bool {
        switch (left, right) {
        case (.miss, .miss), (.wholeMiss, .wholeMiss), (.pass, .pass): true
        case (.validate(let mine), .validate(let theirs)): mine === theirs
        case (.complete(let mine, let own, _), .complete(let theirs, let other, _)):
            mine === theirs && own == other
        default: false
        }
    }

    /// What is stored already.
    var stored: StoredResponse? {
        switch self {
        case .validate(let stored): stored
        case .complete(let stored, _, _): stored
        case .miss, .wholeMiss, .pass: nil
        }
    }

    /// The stored response that the pull validates, and that may be served stale should it fail.
    var validated: StoredResponse? {
        if case .validate(let stored) = self { stored } else { nil }
    }

    var conditions: [(FieldName, [UInt8])] {
        validated.map { Validation.conditionalFields(for: $0.fields) } ?? []
    }
}

/// Ranges of what is not stored, or not whole: which bytes to ask for, and what to do with what is there.
extension LoopContext {
    /// Pulls what `stored` lacks, which is fresh or was just validated.
    func complete(_ exchange: Exchange, _ stored: StoredResponse, _ ask: RangeAsk) {
        let request = exchange.request
        let validator = StrongValidator(stored.fields)
        exchange.went(.partial, .range)
        // Without a strong validator nothing can be joined (RFC 9110 15.3.7.3). A range is then a miss of its
        // own; the tail of a small response is asked for all the same, since its answer may bring a validator
        // or the whole.
        if validator == nil, request.head.names.contains(.range) {
            exchange.base = nil
            join(exchange, .complete(stored, RangeAsk(missOf: request.head.fields) ?? ask, nil), hint: nil)
            return
        }
        if validator == nil, Int64(stored.body.count) > RangeAsk.blockBytes {
            pullWhole(exchange)
            return
        }
        exchange.base = stored
        join(exchange, .complete(stored, ask, validator), hint: nil)
    }

    /// Gives up on parts for this exchange: one pull of the whole.
    func pullWhole(_ exchange: Exchange) {
        exchange.asksWhole = true
        exchange.base = nil
        exchange.candidate = nil
        join(exchange, .wholeMiss, hint: nil)
    }

    /// The origin's answer to a range of our own making is of no use: the request goes on as the client sent it, or for
    /// the whole where it wants no range.
    func pullUnranged(_ exchange: Exchange) {
        guard exchange.request.head.names.contains(.range) else {
            pullWhole(exchange)
            return
        }
        exchange.base = nil
        exchange.candidate = nil
        exchange.forwardReason = .range
        pass(exchange)
    }

    /// The pull of a hole in the middle of a delivery, with this exchange among its readers; nil where it cannot be.
    ///
    /// - Parameter sharesPull: whether a pull under way that promises those bytes will do.
    func pull(
        _ ask: RangeAsk, validator: StrongValidator, for exchange: Exchange, sharesPull: Bool
    ) -> Fill? {
        let request = exchange.request
        // A purge has come since the first bytes went out: there is nothing that could follow them.
        guard !exchange.isPurged(exchange.partTags) else { return nil }
        let purpose = PullPurpose.complete(stored(for: exchange), ask, validator)
        guard sharesPull else {
            let own = Fill(plan: plan(exchange, purpose), node: node)
            return own.attach(exchange) ? started(own) : nil
        }
        let place = node.collapser.join(request.key, request: request.selecting, hint: nil, ask: ask) {
            Fill(plan: plan(exchange, purpose), node: node)
        }
        switch place {
        case .leader(let fill):
            return fill.attach(exchange) ? started(fill) : nil
        case .follower(let fill):
            counters.followersJoined.add(1)
            if fill.attach(exchange) { return fill }
            // Its beginning is gone: a pull of our own.
            let own = Fill(plan: plan(exchange, purpose), node: node)
            return own.attach(exchange) ? started(own) : nil
        case .none: return nil
        }
    }

    private func started(_ fill: Fill) -> Fill {
        fill.start()
        return fill
    }

    /// What is stored for the exchange's request.
    func stored(for exchange: Exchange) -> StoredResponse? {
        node.select(exchange.request, loaded: exchange.loaded).stored
    }

    /// The range that a pull asks for; nil: the whole.
    func ask(_ request: ExchangeRequest, _ purpose: PullPurpose) -> RangeAsk? {
        switch purpose {
        case .pass, .wholeMiss: return nil
        case .miss: return RangeAsk(missOf: request.head.fields)
        case .complete(_, let ask, _): return ask
        case .validate(let stored):
            // A small response is pulled whole, as everybody will want it; of a large one, should it have
            // changed, no more than the client asked for.
            guard request.head.names.contains(.range), Int64(stored.body.count) > RangeAsk.blockBytes else {
                return nil
            }
            return request.missing(in: stored) ?? RangeAsk(missOf: request.head.fields)
        }
    }

    /// The fields by which a pull asks for a range.
    static func rangeFields(_ ask: RangeAsk?, _ purpose: PullPurpose) -> [(FieldName, [UInt8])] {
        guard let ask else { return [] }
        var fields = [(FieldName.range, ask.fieldValue)]
        // RFC 9110 13.1.5: the range if it is still the same representation, else the whole.
        if case .complete(_, _, let validator?) = purpose { fields.append((.ifRange, validator.fieldValue)) }
        return fields
    }
}
