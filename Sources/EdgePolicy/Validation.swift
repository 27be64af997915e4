import EdgeHTTP

/// Validation of stored responses with the origin (RFC 9111 4.3), and what its answers do to what is stored.
public enum Validation {
    // MARK: Sending (RFC 9111 4.3.1)

    /// The precondition fields for revalidating a stored response, its validators octet for octet; empty
    /// where it has none. Both are sent where both are known: an origin that knows If-None-Match ignores
    /// the other.
    public static func conditionalFields(for stored: FieldSection) -> [(FieldName, [UInt8])] {
        var conditions: [(FieldName, [UInt8])] = []
        if let etag = single(stored, .etag), isSafeToSend(etag) {
            conditions.append((.ifNoneMatch, Array(etag)))
        }
        if let modified = single(stored, .lastModified), HTTPDate.parse(modified) != nil {
            conditions.append((.ifModifiedSince, Array(modified)))
        }
        return conditions
    }

    /// Whether an ETag may be sent back. Unquoted ones are not valid, yet the origin that made one will
    /// know it again; but `*` would match whatever there is, and a comma would make two of one.
    private static func isSafeToSend(_ etag: ArraySlice<UInt8>) -> Bool {
        if EntityTag(etag) != nil { return true }
        return !etag.isEmpty && !etag.elementsEqual([UInt8(ascii: "*")])
            && etag.allSatisfy { $0 > Octet.space && $0 != 0x7F && $0 != Octet.comma && $0 != Octet.quote }
    }

    // MARK: Receiving 304 (RFC 9111 4.3.3, 4.3.4)

    /// Whether a 304 that answered the conditional fields of `stored` speaks of that stored response (RFC
    /// 9111 4.3.4).
    ///
    /// A validator that differs says no: the origin now has another representation, and freshening would
    /// give the old content the new fields. A 304 without any validator is taken, since the request named
    /// this response alone.
    public static func notModifiedSelects(stored: FieldSection, notModified: FieldSection) -> Bool {
        if let received = single(notModified, .etag) {
            guard let known = single(stored, .etag) else {
                // A strong validator that no stored response has selects none.
                return EntityTag(received)?.isWeak == true && lastModifiedAgrees(stored, notModified)
            }
            guard let left = EntityTag(received), let right = EntityTag(known) else {
                return received.elementsEqual(known)
            }
            // Some origins weaken a tag when they compress and send the strong one in their 304, which
            // compresses nothing. The request named this response alone, so the weak comparison cannot pick
            // a wrong one.
            return right.isWeak || left.isWeak ? left.weaklyMatches(right) : left.stronglyMatches(right)
        }
        if notModified.contains(.etag) { return false }
        return lastModifiedAgrees(stored, notModified)
    }

    private static func lastModifiedAgrees(_ stored: FieldSection, _ received: FieldSection) -> Bool {
        guard let now = received.first(.lastModified) else { return true }
        guard let then = stored.first(.lastModified) else { return stored.contains(.etag) }
        if now.elementsEqual(then) { return true }
        guard let left = HTTPDate.parse(now), let right = HTTPDate.parse(then) else { return false }
        return left == right
    }

    /// The stored fields, updated from a 304 or from a 200 to HEAD (RFC 9111 3.2): a field that came
    /// replaces all lines of its name, one that did not come stays.
    ///
    /// Fields that describe how the stored content is delimited and coded (Content-Length,
    /// Content-Encoding, Content-Range) are left alone, hop-by-hop fields and those listed in Connection
    /// don't count, and what is never stored is not stored here. Age belongs to the age calculation, which
    /// reads the 304 itself. A stored weak entity-tag stays weak. The 304 should have passed
    /// ``ResponseFields/forStorage(_:drop:status:receivedAt:)``, which adds the Date that it may lack.
    ///
    /// - Parameter keepsCookies: whether Set-Cookie of the update is for the store as well. Whose request the 304
    ///   answers gets it in any case; others only where the 304 gives a lifetime of its own.
    public static func freshen(
        stored: FieldSection, from notModified: FieldSection, keepsCookies: Bool = true
    ) -> FieldSection {
        var update = notModified
        HopByHop.strip(&update)
        if !keepsCookies { update.remove(.setCookie) }
        return merge(update, into: stored)
    }

    /// The stored fields, updated from a 200 to HEAD that was proved to speak of the same representation (RFC 9111
    /// 4.3.5): how long it is fresh and nothing else. What else a HEAD's answer says may be of that request's making.
    public static func freshen(stored: FieldSection, fromHead head: FieldSection) -> FieldSection {
        var update = head
        HopByHop.strip(&update)
        update.removeAll { _, line in
            switch line.name {
            case .cacheControl, .cdnCacheControl, .expires, .date: false
            default: true
            }
        }
        return merge(update, into: stored)
    }

    /// Whether fields that were put together from several answers are no more than a single one may bring. An origin
    /// that sends new names in each 304 would else make a head that no client reads.
    public static func isWithinLimits(_ merged: FieldSection) -> Bool {
        guard merged.count <= ResponseHeadParser.maxFields else { return false }
        var bytes = 0
        for line in merged.lines { bytes += line.nameRange.count + line.valueRange.count + 4 }
        return bytes <= maxMergedBytes
    }

    /// What clients are known to read: half of what curl takes, twice of what an answer of nginx has.
    static let maxMergedBytes = 64 * 1024

    private static func merge(_ update: FieldSection, into stored: FieldSection) -> FieldSection {
        var update = update
        let storedTag = stored.first(.etag).flatMap { EntityTag($0) }
        update.removeAll { section, line in
            if line.name == .etag, storedTag?.isWeak == true { return true }
            return isNeverUpdated(line.name)
        }
        var fresh = stored
        fresh.removeAll { section, line in
            update.lines.contains { isSameName(update, $0, section, line) }
        }
        for line in update.lines { fresh.append(name: update.nameBytes(line), value: update.value(line)) }
        return fresh.compacted()
    }

    private static func isNeverUpdated(_ name: FieldName) -> Bool {
        switch name {
        case .age, .altSvc, .cacheTag, .contentEncoding, .contentLength, .contentRange, .surrogateControl,
            .surrogateKey, .trailer:
            true
        default:
            false
        }
    }

    private static func isSameName(
        _ left: FieldSection, _ leftLine: FieldLine, _ right: FieldSection, _ rightLine: FieldLine
    ) -> Bool {
        guard leftLine.name == rightLine.name else { return false }
        return leftLine.name != .other
            || Octet.equalIgnoringCase(left.nameBytes(leftLine), right.nameBytes(rightLine))
    }

    // MARK: HEAD (RFC 9111 4.3.5)

    /// What a response to HEAD does to a stored response to GET that could have answered it.
    ///
    /// Only a 200 says anything. A length or a validator that differs makes the stored response stale; one
    /// that agrees lets it be freshened. Without any validator in both there is no proof that the content
    /// is still the same, so nothing happens.
    public static func headUpdates(
        stored: FieldSection, storedLength: Int64?, head: FieldSection, status: Int
    ) -> HeadUpdate {
        guard status == 200 else { return .none }
        if let text = head.first(.contentLength), let storedLength, !isDecimal(text, equalTo: storedLength) {
            return .invalidate
        }
        var isProved = false
        if let received = head.first(.etag) {
            guard let known = stored.first(.etag) else { return .invalidate }
            if let left = EntityTag(received), let right = EntityTag(known) {
                guard left.weaklyMatches(right), left.isWeak == right.isWeak else { return .invalidate }
            } else if !received.elementsEqual(known) {
                return .invalidate
            }
            isProved = true
        }
        if head.contains(.lastModified) {
            guard stored.contains(.lastModified), lastModifiedAgrees(stored, head) else { return .invalidate }
            isProved = true
        }
        return isProved ? .freshen : .none
    }

    private static func isDecimal(_ text: ArraySlice<UInt8>, equalTo number: Int64) -> Bool {
        guard !text.isEmpty, text.count <= 19, text.allSatisfy(Octet.isDigit) else { return false }
        return text.reduce(UInt64(0)) { $0 * 10 + UInt64($1 - 48) } == UInt64(bitPattern: number)
    }

    /// The value of a field that came on exactly one line: two ETags or two dates are none.
    private static func single(_ fields: FieldSection, _ name: FieldName) -> ArraySlice<UInt8>? {
        var value: ArraySlice<UInt8>?
        for line in fields.lines where line.name == name {
            if value != nil { return nil }
            value = fields.value(line)
        }
        return value
    }
}

/// What an answer to HEAD does to the stored response (RFC 9111 4.3.5).
public enum HeadUpdate: Sendable, Equatable {
    /// It is the same representation: ``Validation/freshen(stored:from:)``.
    case freshen
    /// It is another one: the stored response counts as stale.
    case invalidate
    case none
}
