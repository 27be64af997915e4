import EdgeNode

extension QueryParameters {
    /// The absolute URL in question, which is not optional.
    func url() throws -> String {
        guard let url = try one("url") else { throw Problem.badRequest("`url` is missing", field: "url") }
        try ScopeText.checkURL(url, "url")
        return url
    }
}

extension ExplainQuestion {
    private static let maxHeaders = 64

    init(_ parameters: QueryParameters) throws {
        let method = try parameters.one("method") ?? "GET"
        guard ["GET", "HEAD"].contains(method) else {
            throw Problem.badRequest("`method` is GET or HEAD", field: "method")
        }
        let originDown = try parameters.one("originDown") ?? "false"
        guard ["true", "false"].contains(originDown) else {
            throw Problem.badRequest("`originDown` is true or false", field: "originDown")
        }
        let headers = parameters.all("header")
        guard headers.count <= Self.maxHeaders else {
            throw Problem.badRequest("more than \(Self.maxHeaders) of `header`", field: "header")
        }
        self.init(
            url: try parameters.url(), method: method, headers: try headers.map(Self.header),
            originDown: originDown == "true")
    }

    private static func header(_ line: String) throws -> (name: String, value: String) {
        guard let colon = line.firstIndex(of: ":") else {
            throw Problem.badRequest("`header` has no colon: it is `Name: value`", field: "header")
        }
        let name = line[..<colon]
        guard !name.isEmpty, name.utf8.allSatisfy({ $0.isToken }) else {
            throw Problem.badRequest("`header` has no field name before its colon", field: "header")
        }
        let value = line[line.index(after: colon)...].drop { $0 == " " }
        return (String(name), String(value.reversed().drop { $0 == " " }.reversed()))
    }
}

extension UInt8 {
    /// Whether it may stand in a token (RFC 9110 5.6.2).
    fileprivate var isToken: Bool {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(self)
        }
    }
}
