import EdgeHTTP

/// A client's conditional request, answered from a stored response (RFC 9110 13.2.2, RFC 9111 4.3.2).
public enum Preconditions {
    public enum Outcome: Sendable, Equatable {
        /// No precondition, or one that holds: the response as it would be without.
        case none
        /// 304 Not Modified.
        case notModified
        /// 412 Precondition Failed. A cache never says so itself, see ``mustForward(_:)``; it passes on an
        /// origin's.
        case preconditionFailed
    }

    /// Whether the request carries any precondition but If-Range.
    public static func hasConditions(_ request: FieldSection) -> Bool {
        for line in request.lines {
            switch line.name {
            case .ifNoneMatch, .ifModifiedSince, .ifMatch, .ifUnmodifiedSince: return true
            default: continue
            }
        }
        return false
    }

    /// Whether the request must go to the origin: If-Match and If-Unmodified-Since apply to the origin
    /// server's own state, and a cache must not evaluate them (RFC 9111 4.3.2).
    public static func mustForward(_ request: FieldSection) -> Bool {
        for line in request.lines where line.name == .ifMatch || line.name == .ifUnmodifiedSince {
            return true
        }
        return false
    }

    /// Whether a stored response satisfies the If-Match, or else the If-Unmodified-Since, of a request (RFC 9110
    /// 13.1.1, 13.1.4, 13.2.2): then a range of it is what the origin would send, and a download goes on from here.
    /// Anything but a clear yes is the origin's to judge.
    public static func isSatisfied(request: FieldSection, stored: FieldSection) -> Bool {
        if request.contains(.ifMatch) { return matchHolds(request, stored) }
        guard let since = onlyDate(request, .ifUnmodifiedSince), let text = stored.first(.lastModified),
            let modified = HTTPDate.parse(text)
        else { return false }
        return modified <= since
    }

    /// The strong comparison (RFC 9110 13.1.1).
    private static func matchHolds(_ request: FieldSection, _ stored: FieldSection) -> Bool {
        let lines = request.all(.ifMatch)
        if lines.count == 1, lines[0].elementsEqual([UInt8(ascii: "*")]) { return true }
        guard let etag = stored.first(.etag).flatMap({ EntityTag($0) }) else { return false }
        var counted = 0
        var isFound = false
        for line in lines where !isFound {
            EntityTag.forEach(in: line, counted: &counted) {
                isFound = $0.stronglyMatches(etag)
                return !isFound
            }
        }
        return isFound
    }

    /// Evaluates If-None-Match, else If-Modified-Since, against a stored response that could be served.
    ///
    /// - Parameters:
    ///   - request: the fields of the request.
    ///   - method: only GET and HEAD are ever answered from what is stored.
    ///   - status: the status of the stored response; preconditions count for 2xx alone (RFC 9110 13.2.1).
    ///   - stored: the fields of the stored response.
    public static func evaluate(
        request: FieldSection, method: Method, status: Int, stored: FieldSection
    ) -> Outcome {
        guard method == .get || method == .head, (200..<300).contains(status), !mustForward(request) else {
            return .none
        }
        if request.contains(.ifNoneMatch) {
            // Its presence alone switches If-Modified-Since off (RFC 9110 13.1.3).
            return noneMatchFails(request, stored) ? .notModified : .none
        }
        guard let since = onlyDate(request, .ifModifiedSince) else { return .none }
        // Without Last-Modified, the Date of the stored response stands for it (RFC 9111 4.3.2). Reception
        // adds a Date where the origin sent none, so that the time of reception needs no case of its own.
        let modified = stored.first(.lastModified).flatMap { HTTPDate.parse($0) }
        guard let modified = modified ?? stored.first(.date).flatMap({ HTTPDate.parse($0) }) else {
            return .none
        }
        return modified <= since ? .notModified : .none
    }

    private static func noneMatchFails(_ request: FieldSection, _ stored: FieldSection) -> Bool {
        let etag = stored.first(.etag).flatMap { EntityTag($0) }
        var lines = 0
        var counted = 0
        var isStar = false
        var isFound = false
        for line in request.lines where line.name == .ifNoneMatch {
            lines += 1
            let value = request.value(line)
            if value.count == 1, value.first == UInt8(ascii: "*") {
                isStar = true
                continue
            }
            guard let etag, !isFound else { continue }
            EntityTag.forEach(in: value, counted: &counted) {
                isFound = $0.weaklyMatches(etag)
                return !isFound
            }
        }
        return isFound || (isStar && lines == 1)
    }

    /// Whether If-Range lets Range count (RFC 9110 13.1.5): it is absent, or it has the strong entity-tag
    /// or exactly the strong Last-Modified of the stored response.
    public static func ifRangeHolds(request: FieldSection, stored: FieldSection) -> Bool {
        guard let value = request.first(.ifRange) else { return true }
        guard request.lines.count(where: { $0.name == .ifRange }) == 1 else { return false }
        if value.contains(Octet.quote) {
            guard let asked = EntityTag(value), let etag = stored.first(.etag), let known = EntityTag(etag)
            else {
                return false
            }
            return asked.stronglyMatches(known)
        }
        guard let asked = HTTPDate.parse(value), let text = stored.first(.lastModified),
            let modified = HTTPDate.parse(text), let dateText = stored.first(.date),
            let date = HTTPDate.parse(dateText)
        else { return false }
        // A date is a strong validator only where the content cannot have changed twice within its second
        // (RFC 9110 8.8.2.2).
        return asked == modified && date > modified
    }

    /// The date of a field that came on one line and is a valid one; otherwise the field counts as absent.
    private static func onlyDate(_ request: FieldSection, _ name: FieldName) -> Int64? {
        guard let value = request.first(name), request.lines.count(where: { $0.name == name }) == 1 else {
            return nil
        }
        return HTTPDate.parse(value)
    }
}
