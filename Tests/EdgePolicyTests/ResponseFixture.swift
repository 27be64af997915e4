import EdgeHTTP
import EdgePolicy
import EdgePrimitives

/// Responses as the tables of these tests write them: fields in text, times relative to ``now``.
enum ResponseFixture {
    /// Sat, 21 Nov 2026 12:00:00 GMT
    static let now = WallTime(seconds: 1_795_262_400)

    static func after(_ seconds: Int64) -> WallTime {
        WallTime(milliseconds: now.milliseconds + seconds * 1000)
    }

    /// A date that many seconds after ``now``.
    static func date(_ offset: Int64) -> String {
        String(decoding: HTTPDate.format(now.seconds + offset), as: UTF8.self)
    }

    /// A head from lines such as `Cache-Control: max-age=5`; `{n}` in a line stands for ``date(_:)`` of n.
    static func head(_ status: Int, _ lines: [String]) -> ResponseHead {
        let fields = lines.map { line -> (String, String) in
            let colon = line.firstIndex(of: ":") ?? line.endIndex
            var value = String(line[colon...].dropFirst().drop { $0 == " " })
            if value.first == "{", value.last == "}", let offset = Int64(value.dropFirst().dropLast()) {
                value = date(offset)
            }
            return (String(line[..<colon]), value)
        }
        return ResponseHead(status: status, fields: FieldSection(fields))
    }

    static func decide(
        _ status: Int, _ lines: [String], request: RequestTraits = RequestTraits(method: .get),
        rules: CachingRules = CachingRules(), delay: Int64 = 0
    ) -> Storability.Verdict {
        Storability.decide(
            request: request, response: head(status, lines), rules: rules, requestTime: after(-delay),
            responseTime: now)
    }

    static func stored(
        _ status: Int, _ lines: [String], request: RequestTraits = RequestTraits(method: .get),
        rules: CachingRules = CachingRules()
    ) -> StoredMetadata? {
        guard case .storable(let stored) = decide(status, lines, request: request, rules: rules) else {
            return nil
        }
        return stored
    }

    static func reason(
        _ status: Int, _ lines: [String], request: RequestTraits = RequestTraits(method: .get),
        rules: CachingRules = CachingRules()
    ) -> Reason? {
        guard case .notStorable(let reason) = decide(status, lines, request: request, rules: rules) else {
            return nil
        }
        return reason
    }

    /// Whether the response would answer the next request, `seconds` later, without validation.
    static func isReused(
        _ status: Int, _ lines: [String], after seconds: Int64 = 3, rules: CachingRules = CachingRules()
    ) -> Bool {
        guard let stored = stored(status, lines, rules: rules) else { return false }
        return Reuse.isPlainlyFresh(stored, now: after(seconds))
    }
}
