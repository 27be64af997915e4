import EdgeHTTP

/// Requests that sign their fields. Without one of them, or with another value, the origin refuses the signature; and
/// what was answered to the holder of a key is nobody else's.
public enum RequestSignature {
    /// Whether `head` has a Signature-Input (RFC 9421 4.1), or an Authorization whose scheme signs fields.
    public static func isPresent(in head: RequestHead) -> Bool {
        if head.names.contains(.signatureInput) { return true }
        guard head.names.contains(.authorization) else { return false }
        for line in head.fields.lines
        where line.name == .authorization && signs(head.fields.value(line)) {
            return true
        }
        return false
    }

    /// Whether a query holds a signature that covers fields: S3 and Cloud Storage refuse a presigned URL whose
    /// vendor fields are not those that were signed.
    static func isPresent(inQuery query: ArraySlice<UInt8>) -> Bool {
        var start = query.startIndex
        while start < query.endIndex {
            let end = query[start...].firstIndex(of: UInt8(ascii: "&")) ?? query.endIndex
            let parameter = query[start..<end]
            for name in queryNames
            where parameter.count > name.count && parameter[start + name.count] == Octet.equals
                && Octet.equalIgnoringCase(parameter.prefix(name.count), name)
            {
                return true
            }
            start = min(end + 1, query.endIndex)
        }
        return false
    }

    /// The schemes of Amazon (AWS, AWS4-…), Azure (SharedKey, SharedKeyLite), Google (GOOG1, GOOG4-…), the Signature
    /// scheme before RFC 9421, and the many that have HMAC in their name (EG1-HMAC-SHA256, TC3-HMAC-SHA256). Allocates
    /// nothing: each hit with an Authorization asks.
    private static func signs(_ authorization: ArraySlice<UInt8>) -> Bool {
        var end = authorization.startIndex
        while end < authorization.endIndex, !Octet.isWhitespace(authorization[end]) { end += 1 }
        let scheme = authorization[..<end]
        for name in whole where scheme.count == name.count && begins(scheme, with: name) { return true }
        for name in starts where begins(scheme, with: name) { return true }
        // HMAC as a whole word between hyphens.
        var start = scheme.startIndex
        while start < end {
            var stop = start
            while stop < end, scheme[stop] != UInt8(ascii: "-") { stop += 1 }
            if stop - start == hmac.count, begins(scheme[start..<stop], with: hmac) { return true }
            start = stop + 1
        }
        return false
    }

    private static func begins(_ text: ArraySlice<UInt8>, with name: [UInt8]) -> Bool {
        guard text.count >= name.count else { return false }
        for offset in 0..<name.count where Octet.lower(text[text.startIndex + offset]) != name[offset] {
            return false
        }
        return true
    }

    private static let whole: [[UInt8]] = ["aws", "goog1", "signature", "oss", "obs", "cos"].map {
        Array($0.utf8)
    }
    /// The last is Tencent's, which has no scheme.
    private static let starts: [[UInt8]] = ["aws4-", "sharedkey", "goog4-", "oss4-", "q-sign-algorithm="].map
    {
        Array($0.utf8)
    }
    private static let hmac = Array("hmac".utf8)
    private static let queryNames: [[UInt8]] = ["x-amz-signature", "x-goog-signature"].map { Array($0.utf8) }
}
