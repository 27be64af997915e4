import Synchronization

/// The bearer token that counts now: a reload may bring another.
public final class CurrentToken: Sendable {
    private let token: Mutex<AdminToken>

    public init(_ token: AdminToken) { self.token = Mutex(token) }

    /// From the next request on `token` counts, and the one before it no more.
    public func replace(with token: AdminToken) { self.token.withLock { $0 = token } }

    package func matches(_ presented: String) -> Bool { token.withLock { $0 }.matches(presented) }
}
