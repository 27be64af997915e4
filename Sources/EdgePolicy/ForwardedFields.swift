import EdgeHTTP

/// The fields that the origin gets for a client's request (RFC 9110 7.6).
///
/// Written once and from one place: Host, the hop-by-hop rules, Via, CDN-Loop, and the fields that say who
/// the client is. On a cacheable pull, fields by which origins are known to choose another page, and which
/// no cache key holds, are dropped: one client could otherwise choose what all the others get.
public enum ForwardedFields {
    /// The request's fields as they go to the origin.
    public static func rewriteRequest(head: RequestHead, context: ForwardContext) -> FieldSection {
        var client = head.fields
        HopByHop.strip(&client)
        CountedLists.trim(&client, method: head.method)
        var fields = FieldSection()
        fields.bytes.reserveCapacity(client.bytes.count + 512)
        fields.lines.reserveCapacity(client.lines.count + 8)
        fields.append(.host, context.host)
        for line in client.lines where !isDropped(client, line, context) {
            fields.append(name: client.nameBytes(line), value: client.value(line))
        }
        appendPath(of: head, client, context, to: &fields)
        for (name, value) in context.conditions {
            fields.remove(name)
            fields.append(name, value)
        }
        for name in context.remove { fields.remove(named: name) }
        for (name, value) in context.set + context.originFields {
            fields.remove(named: name)
            fields.append(name: name, value: value)
        }
        return fields
    }

    /// Adds fields of the pull's own to what ``rewriteRequest(head:context:)`` made without them; an edit of the
    /// rules goes before them.
    public static func add(
        _ conditions: [(FieldName, [UInt8])], to fields: inout FieldSection, context: ForwardContext
    ) {
        for (name, value) in conditions {
            let isEdited =
                context.remove.contains { FieldName.recognise($0) == name }
                || context.set.contains { FieldName.recognise($0.name) == name }
            guard !isEdited else { continue }
            fields.remove(name)
            fields.append(name, value)
        }
    }

    /// Whether this request has been here before: our own id is a member of CDN-Loop (RFC 8586 2). Other
    /// ids are none of our business, or a node behind a node could not work.
    public static func isLoop(head: RequestHead, nodeID: [UInt8]) -> Bool {
        for line in head.fields.lines where line.name == .cdnLoop {
            var isFound = false
            forEachMember(head.fields.value(line)) { member in
                let id = member.prefix { $0 != Octet.semicolon }
                if Octet.trim(id).elementsEqual(nodeID) { isFound = true }
            }
            if isFound { return true }
        }
        return false
    }

    // MARK: What goes no further

    private static func isDropped(
        _ fields: FieldSection, _ line: FieldLine, _ context: ForwardContext
    ) -> Bool {
        if isAlwaysRewritten(line.name) { return true }
        if line.name != .other, !context.reserved.isEmpty,
            context.reserved.contains(plain(fields.nameBytes(line)))
        {
            return true
        }
        switch line.name {
        case .cookie where context.cookies == .strip:
            return true
        case .range, .ifRange:
            return context.isCacheable || context.isHead
        case .ifModifiedSince, .ifNoneMatch:
            // The cache pulls the whole for everybody. A HEAD brings nothing that others get, and its 304 nothing
            // at all.
            return context.isCacheable && !(context.isHead && context.forwarding == .all)
        case .ifMatch, .ifUnmodifiedSince, .contentLength:
            // A GET's content is in no key.
            return context.isCacheable
        case .other:
            return isDropped(fields.nameBytes(line), context)
        default:
            return context.isCacheable && !context.forwarding.passes(line.name)
        }
    }

    /// Whether what a client sends under a known name never passes as it is.
    static func isAlwaysRewritten(_ name: FieldName) -> Bool {
        switch name {
        case .host, .via, .cdnLoop, .expect, .trailer, .forwarded, .xForwardedFor, .xForwardedHost,
            .xForwardedProto:
            true
        default: false
        }
    }

    private static func isDropped(_ name: ArraySlice<UInt8>, _ context: ForwardContext) -> Bool {
        let plain = plain(name)
        if isTwin(name, of: plain) || context.reserved.contains(plain) { return true }
        // A twin of what the configuration names, unless it names the twin itself.
        if name.contains(UInt8(ascii: "_")), context.forwarding.lists(plain),
            !context.forwarding.lists(name.map(Octet.lower))
        {
            return true
        }
        if plain.starts(with: forwardedPrefix) { return context.isCacheable || !context.trusted }
        switch UnkeyedFields.family(of: plain) {
        case .never, .address: return true
        case .vendor where context.hasSignedQuery: return false
        case .target, .method, .inner, .vendor:
            // Who names it in `forward` knows what its origin does with it.
            return context.isCacheable && !context.forwarding.lists(plain)
        case .passes, nil: return context.isCacheable && !context.forwarding.passes(plain)
        }
    }

    private static let forwardedPrefix = Array("x-forwarded-".utf8)

    /// A field name as gateways see it that hand fields on as environment variables: they make no difference between
    /// `-` and `_`, so that `X_Forwarded_For` or `Content_Length` would get past every rule for the real name.
    public static func plain(_ name: some Sequence<UInt8>) -> [UInt8] {
        name.map { $0 == UInt8(ascii: "_") ? UInt8(ascii: "-") : Octet.lower($0) }
    }

    /// Whether `name` is a known one to such gateways, and to nobody else.
    private static func isTwin(_ name: ArraySlice<UInt8>, of plain: [UInt8]) -> Bool {
        name.contains(UInt8(ascii: "_")) && FieldName.recognise(plain) != .other
    }

    /// Whether a field of that name reaches the origin of a cacheable pull as it came, as far as the node decides by
    /// itself: what rules and the site say is ``TouchedFields``.
    ///
    /// - Parameter name: in lower case.
    static func isTouched(_ name: [UInt8]) -> Bool {
        let known = FieldName.recognise(name)
        if known != .other {
            return isAlwaysRewritten(known) || HopByHop.isHopByHop(known) || neverSelecting.contains(known)
        }
        let plain = plain(name)
        return isTwin(name[...], of: plain) || plain.starts(with: forwardedPrefix)
            || UnkeyedFields.family(of: plain) != nil
    }

    /// The pull's own business: it asks for whole representations, or ranges of its choice, under its conditions.
    private static let neverSelecting = FieldNameSet(
        .range, .ifRange, .ifMatch, .ifNoneMatch, .ifModifiedSince, .ifUnmodifiedSince, .contentLength)

    /// Whether a client's field of that name can pass at all; the node writes or drops all others.
    public static func canPass(_ name: some Sequence<UInt8>) -> Bool {
        let plain = plain(name)
        let known = FieldName.recognise(plain)
        if isAlwaysRewritten(known) || HopByHop.isHopByHop(known) || neverSelecting.contains(known) {
            return false
        }
        switch UnkeyedFields.family(of: plain) {
        case .never, .address: return false
        default: return !plain.starts(with: forwardedPrefix)
        }
    }

    /// Whether the request carries a field that a cacheable pull would not have: its answer may be of another kind
    /// than the one that others would get.
    public static func hasUnkeyed(_ head: RequestHead) -> Bool {
        head.fields.lines.contains { line in
            guard line.name == .other else {
                return line.name == .forwarded || line.name == .xForwardedHost
                    || line.name == .xForwardedProto
            }
            let plain = plain(head.fields.nameBytes(line))
            if plain.starts(with: forwardedPrefix) { return true }
            switch UnkeyedFields.family(of: plain) {
            case .target, .method, .inner, .vendor, .never, .address: return true
            case .passes, nil: return false
            }
        }
    }

    // MARK: What is written anew

    private static func appendPath(
        of head: RequestHead, _ client: FieldSection, _ context: ForwardContext, to fields: inout FieldSection
    ) {
        let scheme = Array(
            UnsafeBufferPointer(start: context.scheme.utf8Start, count: context.scheme.utf8CodeUnitCount))
        let authority = context.authority ?? head.authority.map(Array.init) ?? context.host
        let isExtended = context.trusted

        appendExtended(.xForwardedFor, client, context.clientAddress, isExtended, to: &fields)
        fields.append(.xForwardedProto, scheme)
        // No key holds a proxy's X-Forwarded-Host: it may not shape what is stored.
        let host = isExtended && !context.isCacheable ? client.first(.xForwardedHost).map(Array.init) : nil
        fields.append(.xForwardedHost, host ?? authority)
        let element = forwardedElement(context.clientAddress, authority, scheme)
        appendExtended(.forwarded, client, element, isExtended && !context.isCacheable, to: &fields)
        if let name = context.clientAddressField { fields.append(name: name, value: context.clientAddress) }

        appendExtended(.via, client, Array((viaVersion(head) + " rockpool").utf8), true, to: &fields)
        appendExtended(.cdnLoop, client, context.nodeID, true, to: &fields)
    }

    private static func viaVersion(_ head: RequestHead) -> String {
        switch head.minorVersion {
        case 0: "1.0"
        case 1: "1.1"
        default: "2.0"
        }
    }

    private static func appendExtended(
        _ name: FieldName, _ client: FieldSection, _ member: [UInt8], _ isExtended: Bool,
        to fields: inout FieldSection
    ) {
        var value = isExtended ? client.combined(name) ?? [] : []
        if !value.isEmpty { value.append(contentsOf: [Octet.comma, Octet.space]) }
        fields.append(name, value + member)
    }

    /// A forwarded-element (RFC 7239 4): `for=192.0.2.1;host=www.example;proto=https`.
    private static func forwardedElement(_ address: [UInt8], _ host: [UInt8], _ scheme: [UInt8]) -> [UInt8] {
        var element = Array("for=".utf8)
        // An IPv6 address stands in brackets, and then in quotes (RFC 7239 6).
        appendParameter(address.contains(Octet.colon) ? [91] + address + [93] : address, to: &element)
        element.append(contentsOf: ";host=".utf8)
        appendParameter(host, to: &element)
        element.append(contentsOf: ";proto=".utf8)
        element.append(contentsOf: scheme)
        return element
    }

    private static func appendParameter(_ value: [UInt8], to output: inout [UInt8]) {
        if !value.isEmpty, value.allSatisfy(Octet.isToken) {
            output.append(contentsOf: value)
            return
        }
        output.append(Octet.quote)
        for byte in value {
            if byte == Octet.quote || byte == Octet.backslash { output.append(Octet.backslash) }
            output.append(byte)
        }
        output.append(Octet.quote)
    }

    /// Calls `body` for each member of a list; commas inside quoted strings separate nothing.
    private static func forEachMember(_ list: ArraySlice<UInt8>, _ body: (ArraySlice<UInt8>) -> Void) {
        var start = list.startIndex
        var isQuoted = false
        var isEscaped = false
        for index in list.indices {
            let byte = list[index]
            if isEscaped {
                isEscaped = false
            } else if isQuoted, byte == Octet.backslash {
                isEscaped = true
            } else if byte == Octet.quote {
                isQuoted.toggle()
            } else if byte == Octet.comma, !isQuoted {
                body(list[start..<index])
                start = index + 1
            }
        }
        body(list[start...])
    }
}
