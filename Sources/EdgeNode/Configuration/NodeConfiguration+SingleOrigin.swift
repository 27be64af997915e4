import EdgeOrigin

extension NodeConfiguration {
    /// A node in front of one origin that serves every host: what `rockpool serve --origin URL` comes to.
    ///
    /// - Parameter url: The base URL of the origin, checked by the caller.
    public static func forSingleOrigin(url: String) -> NodeConfiguration {
        var configuration = NodeConfiguration()
        configuration.origins = ["main": OriginConfiguration(urls: [url])]
        configuration.sites = [SiteConfiguration(hosts: ["*"], origin: "main")]
        return configuration
    }
}
