import EdgeHTTP
import EdgePrimitives

/// The freshness lifetime (RFC 9111 4.2.1, 4.2.2) and the age when received (RFC 9111 4.2.3) of a response.
public enum Freshness {
    /// A freshness lifetime and what gave it.
    public struct Lifetime: Sendable, Equatable {
        public var milliseconds: Int64
        public var source: FreshnessSource

        public init(milliseconds: Int64, source: FreshnessSource) {
            self.milliseconds = milliseconds
            self.source = source
        }
    }

    /// No lifetime is longer than delta-seconds can say.
    static let maxMilliseconds = Directives.maxDeltaSeconds * 1000

    /// The share of the time since Last-Modified that a heuristic lifetime takes (RFC 9111 4.2.2): a tenth.
    static let heuristicDivisor: Int64 = 10
    /// No heuristic lifetime is longer than a day: a guess is no promise.
    static let maxHeuristicMilliseconds: Int64 = 86_400_000

    /// Whether a response of that status may get a heuristic lifetime without `public` (RFC 9110 15.1),
    /// as far as this cache goes: not for errors, which would outlive their cause, nor for 204 and 206.
    public static func isHeuristicallyCacheable(_ status: Int) -> Bool {
        switch status {
        case 200, 203, 204, 300, 301, 308: true
        default: false
        }
    }

    /// Whether a heuristic lifetime may be guessed for the answer to `request`. Not where the request said who
    /// sent it: what is made for one visitor has a Last-Modified too. To a request with Cookie, only what pages are
    /// made of and everybody gets alike: images, fonts, sound, video, style sheets and scripts.
    static func permitsGuess(_ request: RequestTraits, _ response: ResponseHead) -> Bool {
        if request.hasAuthorization { return false }
        return !request.hasCookie || isSharedByNature(response.fields)
    }

    /// Whether a media type is one that visitors share: nobody's page.
    static func isSharedByNature(_ fields: FieldSection) -> Bool {
        // Of several types a browser takes the last, or guesses.
        let lines = fields.all(.contentType)
        guard lines.count == 1, let contentType = lines.first, !contentType.contains(Octet.comma) else {
            return false
        }
        let type = Octet.trim(contentType.prefix { $0 != Octet.semicolon }).map(Octet.lower)
        let families = ["image/", "font/", "audio/", "video/", "application/font-", "application/x-font-"]
        if families.contains(where: { type.starts(with: $0.utf8) }) { return true }
        let types = [
            "text/css", "text/javascript", "text/ecmascript", "application/javascript",
            "application/x-javascript", "application/ecmascript", "application/vnd.ms-fontobject",
        ]
        return types.contains { type.elementsEqual($0.utf8) }
    }

    /// Whether these fields by themselves give a lifetime above zero (RFC 9111 4.2.1, without rule or guess).
    public static func isExplicit(_ fields: FieldSection, responseTime: WallTime) -> Bool {
        let lifetime = lifetime(
            of: ResponseHead(status: 200, fields: fields), directives: ResponseDirectives(fields),
            rules: CachingRules(), responseTime: responseTime, permitsGuess: false)
        return lifetime.milliseconds > 0 && lifetime.source.isExplicit
    }

    /// The freshness lifetime of `response`, the rules and their cap included.
    ///
    /// In this order: a rule that overrides, s-maxage, max-age, Expires, a rule that fills the gap,
    /// heuristics.
    public static func lifetime(of response: ResponseHead, rules: CachingRules, responseTime: WallTime)
        -> Lifetime
    {
        lifetime(
            of: response, directives: ResponseDirectives(response.fields), rules: rules,
            responseTime: responseTime)
    }

    /// - Parameter permitsGuess: whether a heuristic lifetime may be given at all.
    static func lifetime(
        of response: ResponseHead, directives: ResponseDirectives, rules: CachingRules,
        responseTime: WallTime,
        permitsGuess: Bool = true
    ) -> Lifetime {
        var lifetime = uncappedLifetime(response, directives, rules, responseTime, permitsGuess)
        lifetime.milliseconds = min(max(0, lifetime.milliseconds), maxMilliseconds)
        if let cap = rules.maxLifetimeMilliseconds {
            lifetime.milliseconds = min(lifetime.milliseconds, max(0, cap))
        }
        return lifetime
    }

    private static func uncappedLifetime(
        _ response: ResponseHead, _ directives: ResponseDirectives, _ rules: CachingRules,
        _ responseTime: WallTime, _ permitsGuess: Bool
    ) -> Lifetime {
        let rule = rules.lifetimes.milliseconds(for: response.status)
        if rules.overridesOrigin, let rule { return Lifetime(milliseconds: rule, source: .rule) }
        // What cannot be read is stale from the start (RFC 9111 4.2.1), and is not passed over for the
        // next field.
        if directives.sMaxage != .absent {
            return Lifetime(
                milliseconds: directives.sMaxage.milliseconds ?? 0,
                source: directives.isTargeted ? .cdnCacheControl : .sMaxage)
        }
        if directives.maxAge != .absent {
            return Lifetime(
                milliseconds: directives.maxAge.milliseconds ?? 0,
                source: directives.isTargeted ? .cdnCacheControl : .maxAge)
        }
        let date = dateSeconds(response.fields, responseTime: responseTime)
        if !directives.isTargeted, response.fields.contains(.expires) {
            let expires = expiresSeconds(response.fields, responseTime: responseTime)
            return Lifetime(milliseconds: expires.map { ($0 - date) * 1000 } ?? 0, source: .expires)
        }
        if let rule { return Lifetime(milliseconds: rule, source: .rule) }
        if permitsGuess,
            let guess = heuristicMilliseconds(response, directives, date: date, responseTime: responseTime)
        {
            return Lifetime(milliseconds: guess, source: .heuristic)
        }
        return Lifetime(milliseconds: 0, source: .none)
    }

    /// RFC 9111 4.2.2; `public` lets other statuses have one, but never an error.
    private static func heuristicMilliseconds(
        _ response: ResponseHead, _ directives: ResponseDirectives, date: Int64, responseTime: WallTime
    ) -> Int64? {
        guard isHeuristicallyCacheable(response.status) || (directives.isPublic && response.status < 400),
            let modified = response.fields.first(.lastModified),
            let modifiedSeconds = HTTPDate.parse(modified, relativeTo: responseTime.seconds),
            date > modifiedSeconds
        else { return nil }
        return min((date - modifiedSeconds) * 1000 / heuristicDivisor, maxHeuristicMilliseconds)
    }

    /// Expires, or nil where it is no date: then the response is stale (RFC 9111 5.3). Two lines that
    /// differ are no date either; which of them the origin meant is unknown.
    private static func expiresSeconds(_ fields: FieldSection, responseTime: WallTime) -> Int64? {
        let lines = fields.all(.expires)
        guard let first = lines.first, lines.dropFirst().allSatisfy({ $0.elementsEqual(first) }) else {
            return nil
        }
        return HTTPDate.parse(first, relativeTo: responseTime.seconds)
    }

    /// The Date of the response; one that is missing or unreadable is the time of reception (RFC 9110
    /// 6.6.1).
    private static func dateSeconds(_ fields: FieldSection, responseTime: WallTime) -> Int64 {
        fields.first(.date).flatMap { HTTPDate.parse($0, relativeTo: responseTime.seconds) }
            ?? responseTime.seconds
    }

    /// corrected_initial_age of RFC 9111 4.2.3, in milliseconds.
    ///
    /// The apparent age is a difference of whole seconds, since Date has no finer ones.
    public static func correctedInitialAgeMilliseconds(
        _ fields: FieldSection, requestTime: WallTime, responseTime: WallTime
    ) -> Int64 {
        let date = dateSeconds(fields, responseTime: responseTime)
        let apparentAge = max(0, responseTime.seconds - date) * 1000
        let responseDelay = max(0, responseTime.milliseconds - requestTime.milliseconds)
        let correctedAgeValue = ageSeconds(fields) * 1000 + responseDelay
        return min(max(apparentAge, correctedAgeValue), maxMilliseconds)
    }

    /// The Age field: the first member of the first line that has one, and nothing where that is no number
    /// (RFC 9111 5.1).
    private static func ageSeconds(_ fields: FieldSection) -> Int64 {
        for line in fields.lines where line.name == .age {
            for member in fields.value(line).split(separator: Octet.comma) {
                let value = Octet.trim(member)
                if !value.isEmpty { return Directives.deltaSeconds(value) ?? 0 }
            }
        }
        return 0
    }
}
