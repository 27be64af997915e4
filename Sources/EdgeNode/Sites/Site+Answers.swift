import EdgeHTTP
import EdgePolicy
import EdgePrimitives

extension Site {
    /// Stands in for the site that a request's host does not name, until the request is refused.
    static let none = Site(SiteConfiguration(hosts: [], origin: ""), maxResponseBytes: 0)

    /// The first host that is a name and not a pattern.
    var firstName: [UInt8]? {
        hosts.first { !$0.contains("*") }.map { Array($0.utf8) }
    }
}

extension ResolvedRules {
    /// Applies the rules' edits to a response on its way to a client.
    ///
    /// Under `clientCacheControl` the lifetime is ours, and so is the moment at which it begins: the time of sending,
    /// without an Age (RFC 9110 6.6.1).
    func edit(_ fields: inout FieldSection, now: WallTime) {
        guard !responseEdits.isEmpty else { return }
        if ownsLifetime {
            fields.remove(.age)
            fields.remove(.date)
            fields.append(.date, HTTPDate.format(now.seconds))
        }
        ResponseFields.apply(
            set: responseEdits.set, remove: responseEdits.remove,
            clientCacheControl: responseEdits.clientCacheControl, to: &fields)
    }
}
