import Foundation

/// Asks a node's admin API over libcurl, within a deadline.
struct AdminClient {
    private static let deadlineMilliseconds = 5_000
    /// A purge is on disk before it is answered.
    private static let postDeadlineMilliseconds = 30_000

    let base: String
    let token: String?

    /// Where the token lies when nobody says: what `serve` wrote to the default cache directory, and what a
    /// package made.
    static let tokenPlaces = ["./rockpool-cache/admin.token", "/etc/rockpool/admin.token"]

    /// - Parameters:
    ///   - admin: the admin listener's URL; without one `ROCKPOOL_ADMIN`, else http://127.0.0.1:8081.
    ///   - tokenFile: the file with the token; without one `ROCKPOOL_ADMIN_TOKEN`, else the first of ``tokenPlaces``
    ///     that can be read.
    init(admin: String?, tokenFile: String?) throws(ClientFailure) {
        let environment = ProcessInfo.processInfo.environment
        let given = admin ?? environment["ROCKPOOL_ADMIN"] ?? "http://127.0.0.1:8081"
        guard let url = ListenerURL.read(given) else {
            throw .wrongUsage(
                "\(Printable.text(given)): the admin listener's URL looks like http://127.0.0.1:8081")
        }
        base = url
        token = try Self.token(
            tokenFile: tokenFile, environment: environment["ROCKPOOL_ADMIN_TOKEN"], places: Self.tokenPlaces)
        if let token, !token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) {
            throw .unauthorized(
                "the admin token (\(tokenFile.map(Printable.text) ?? "ROCKPOOL_ADMIN_TOKEN")) is not one word of ASCII"
            )
        }
    }

    /// The token that counts: the one in the file that was named, of the environment, or of the first place
    /// that has one.
    static func token(
        tokenFile: String?, environment: String?, places: [String]
    ) throws(ClientFailure) -> String? {
        guard let tokenFile else {
            return environment ?? places.lazy.compactMap { token(in: $0) }.first
        }
        guard let text = token(in: tokenFile) else {
            throw .unauthorized("token file \(Printable.text(tokenFile)): cannot be read")
        }
        return text
    }

    /// The token in a file; nil where it cannot be read.
    static func token(in path: String) -> String? {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// GET of `path`; the body of a 2xx.
    func get(_ path: String) throws -> Data { try transfer(path).perform() }

    /// POST of a JSON text to `path`; the body of a 2xx.
    func post(_ path: String, json: String) throws -> Data {
        try AdminTransfer(
            base: base, path: path, token: token, json: json,
            deadlineMilliseconds: Self.postDeadlineMilliseconds
        ).perform()
    }

    /// A GET of `path` that was not started.
    func transfer(_ path: String) throws -> AdminTransfer {
        try AdminTransfer(
            base: base, path: path, token: token, json: nil, deadlineMilliseconds: Self.deadlineMilliseconds)
    }

    /// A query of `names` and values in this order, with everything but unreserved characters percent-encoded.
    static func query(_ parameters: [(name: String, value: String)]) -> String {
        parameters.map { "\($0.name)=\(encoded($0.value))" }.joined(separator: "&")
    }

    private static func encoded(_ text: String) -> String {
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: "~"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default: result += String(format: "%%%02X", byte)
            }
        }
        return result
    }
}
