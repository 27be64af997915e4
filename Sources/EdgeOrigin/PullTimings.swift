import EdgePrimitives

/// How long the pulls of one origin take, from the request for a pull, so with the wait for one of the origin's
/// connections and with retries.
public final class PullTimings: Sendable {
    /// To the head of the answer.
    public let firstByte = LatencyHistogram()
    /// To the last byte; pulls that failed are not among them.
    public let whole = LatencyHistogram()
}
