import EdgeHTTP
import EdgePolicy

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
    func edit(_ fields: inout FieldSection) {
        guard !responseEdits.isEmpty else { return }
        ResponseFields.apply(
            set: responseEdits.set, remove: responseEdits.remove,
            clientCacheControl: responseEdits.clientCacheControl, to: &fields)
    }
}
