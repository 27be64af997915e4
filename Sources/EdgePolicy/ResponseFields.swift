import EdgeHTTP
import EdgePrimitives

/// The fields of an origin's response on their way into the store and to a client (RFC 9111 3.1, RFC 9110
/// 7.6).
public enum ResponseFields {
    /// The fields of a response as they are stored.
    ///
    /// Beside the hop-by-hop fields go: Alt-Svc, which would lead clients past the edge (RFC 7838 2), the
    /// tags, what each hit writes anew (Age) or the writer adds itself (Content-Length), Trailer, and the
    /// names in `drop` (a qualified no-cache or private, RFC 9111 5.2.2.4). A Date is added where the
    /// origin sent none (RFC 9110 6.6.1).
    ///
    /// - Parameters:
    ///   - fields: the fields as they were received.
    ///   - drop: further names to leave out, in any case.
    ///   - status: the status of the response.
    ///   - receivedAt: when its head was received.
    public static func forStorage(
        _ fields: FieldSection, drop: [[UInt8]] = [], status: Int, receivedAt: WallTime
    ) -> FieldSection {
        var stored = fields
        HopByHop.strip(&stored)
        stored.removeAll { section, line in
            switch line.name {
            case .age, .contentLength, .trailer: return true
            default: break
            }
            if isForTheEdge(line.name) { return true }
            guard !drop.isEmpty else { return false }
            let name = section.nameBytes(line)
            return drop.contains { Octet.equalIgnoringCase($0, name) }
        }
        addDate(&stored, status: status, receivedAt: receivedAt)
        return stored.compacted()
    }

    /// The fields of a response that is passed on and not stored: as
    /// ``forStorage(_:drop:status:receivedAt:)``, but Age and Trailer stay, and so does Content-Length
    /// where `keepsLength` (the answer to HEAD, which has no content to count).
    public static func forClient(
        _ fields: FieldSection, status: Int, receivedAt: WallTime, keepsLength: Bool = false
    ) -> FieldSection {
        var passed = fields
        HopByHop.strip(&passed)
        passed.removeAll { _, line in
            isForTheEdge(line.name) || (line.name == .contentLength && !keepsLength)
        }
        addDate(&passed, status: status, receivedAt: receivedAt)
        return passed.compacted()
    }

    /// Applies the rules' `response` edits. `remove` goes first; a `set` replaces all lines of its name;
    /// `clientCacheControl` replaces Cache-Control and drops Expires and Pragma, which would contradict it.
    /// Fields that frame the message are out of an edit's reach.
    public static func apply(
        set: [(name: [UInt8], value: [UInt8])], remove: [[UInt8]], clientCacheControl: [UInt8]? = nil,
        to fields: inout FieldSection
    ) {
        for name in remove where !isFraming(name) { fields.remove(named: name) }
        for (name, value) in set where !isFraming(name) {
            fields.remove(named: name)
            fields.append(name: name, value: value)
        }
        guard let clientCacheControl else { return }
        fields.removeAll { _, line in
            line.name == .cacheControl || line.name == .expires || line.name == .pragma
        }
        fields.append(.cacheControl, clientCacheControl)
    }

    private static func isFraming(_ name: [UInt8]) -> Bool {
        let known = FieldName.recognise(name)
        return known == .contentLength || HopByHop.isHopByHop(known)
    }

    private static func isForTheEdge(_ name: FieldName) -> Bool {
        switch name {
        case .altSvc, .cacheTag, .surrogateControl, .surrogateKey: true
        default: false
        }
    }

    private static func addDate(_ fields: inout FieldSection, status: Int, receivedAt: WallTime) {
        // An interim response needs none.
        guard status >= 200, !fields.contains(.date) else { return }
        fields.append(.date, HTTPDate.format(receivedAt.seconds))
    }
}
