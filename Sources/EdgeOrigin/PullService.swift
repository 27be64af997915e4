import EdgePrimitives
import Synchronization

/// Origin pulls: takes requests from any thread, answers each through its sink from the pull thread.
public final class PullService: Sendable {
    private let loop: PullLoop

    public init(configuration: [String: OriginConfiguration]) {
        loop = PullLoop(configuration: configuration)
    }

    /// Starts the pull thread.
    public func start() { loop.start() }

    /// Fails what is under way and ends the thread.
    public func shutdown() { loop.stop() }

    /// Takes new origins; pulls under way go on as they began.
    public func reload(_ configuration: [String: OriginConfiguration]) { loop.reload(configuration) }

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
