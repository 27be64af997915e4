import EdgeHTTP

/// Requests that sign their fields. Without one of them, or with another value, the origin refuses the signature; and
/// what was answered to the holder of a key is nobody else's.
public enum RequestSignature {
    /// Whether `head` has a Signature-Input (RFC 9421 4.1), or an Authorization whose scheme signs fields.
    public static func isPresent(in head: RequestHead) -> Bool {
        if head.names.contains(.signatureInput) { return true }
        guard head.names.contains(.authorization) else { return false }
        return head.fields.lines.contains { line in
            line.name == .authorization && signs(head.fields.value(line))
        }
    }

    /// Whether a query holds a signature that covers fields: S3 and Cloud Storage refuse a presigned URL whose
    /// vendor fields are not those that were signed.
    static func isPresent(inQuery query: ArraySlice<UInt8>) -> Bool {
        query.split(separator: UInt8(ascii: "&")).contains { parameter in
            queryNames.contains { name in
                parameter.count > name.count && parameter[parameter.startIndex + name.count] == Octet.equals
                    && Octet.equalIgnoringCase(parameter.prefix(name.count), name)
            }
        }
    }

    /// The schemes of Amazon (AWS, AWS4-…), Azure (SharedKey, SharedKeyLite), Google (GOOG1, GOOG4-…), the Signature
    /// scheme before RFC 9421, and the many that have HMAC in their name (EG1-HMAC-SHA256, TC3-HMAC-SHA256).
    private static func signs(_ authorization: ArraySlice<UInt8>) -> Bool {
        let scheme = authorization.prefix { $0 != Octet.space && $0 != Octet.tab }.map(Octet.lower)
        if whole.contains(scheme) || starts.contains(where: { scheme.starts(with: $0) }) { return true }
        return scheme.split(separator: UInt8(ascii: "-")).contains { $0.elementsEqual("hmac".utf8) }
    }

    private static let whole: [[UInt8]] = ["aws", "goog1", "signature", "oss", "obs", "cos"].map {
        Array($0.utf8)
    }
    private static let starts: [[UInt8]] = ["aws4-", "sharedkey", "goog4-", "oss4-"].map { Array($0.utf8) }
    private static let queryNames: [[UInt8]] = ["x-amz-signature", "x-goog-signature"].map { Array($0.utf8) }
}
