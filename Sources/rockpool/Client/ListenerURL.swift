/// The URL of a listener as an operator gives it: `http://127.0.0.1:8081`, or `127.0.0.1:8081` as `serve` takes it.
enum ListenerURL {
    /// - Returns: the URL without a slash at its end; nil where `given` is something else.
    static func read(_ given: String) -> String? {
        var url = given
        while url.hasSuffix("/") { url.removeLast() }
        if !url.contains("://"), let colon = url.lastIndex(of: ":"),
            UInt16(url[url.index(after: colon)...]) != nil
        {
            url = "http://" + url
        }
        let lower = url.lowercased()
        guard lower.hasPrefix("http://") || lower.hasPrefix("https://"),
            !url.unicodeScalars.contains(where: { $0.value <= 0x20 || $0 == "?" || $0 == "#" || $0 == "@" })
        else { return nil }
        return url
    }
}
