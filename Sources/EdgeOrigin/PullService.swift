import EdgePrimitives
import Synchronization

/// Origin pulls: takes requests from any thread, answers each through its sink from the pull thread.
public final class PullService: Sendable {
    private let loop: PullLoop

    /// - Parameter siteHosts: by an origin's name, a host that it knows: it is checked under that.
    public convenience init(
        configuration: [String: OriginConfiguration], siteHosts: [String: String] = [:]
    ) {
        self.init(configuration: configuration, siteHosts: siteHosts, resolver: .system)
    }

    package init(
        configuration: [String: OriginConfiguration], siteHosts: [String: String] = [:],
        resolver: NameResolver
    ) {
        loop = PullLoop(configuration: configuration, siteHosts: siteHosts, resolver: resolver)
    }

    /// Starts the pull thread.
    public func start() { loop.start() }

    /// Fails what is under way and ends the thread.
    public func shutdown() { loop.stop() }

    /// Takes new origins; pulls under way go on as they began.
    public func reload(_ configuration: [String: OriginConfiguration], siteHosts: [String: String] = [:]) {
        loop.enqueue(.reload(configuration, siteHosts: siteHosts))
    }

    /// Begins a pull.
    @discardableResult
    public func pull(_ request: PullRequest, sink: any PullSink) -> PullHandle {
        loop.pull(request, sink: sink)
    }

    /// A line for every server of every origin.
    public func snapshot() -> [OriginSnapshot] { loop.snapshot() }

    /// How long the pulls of every origin take, by its name.
    public func timings() -> [(origin: String, timings: PullTimings)] { loop.timings() }
}
