/// What became of a reload that was done.
public struct ReloadReport: Sendable, Equatable {
    /// Keys of the file, such as `cache.directory`, whose new values count from the next start on.
    public var waitingForRestart: [String]

    public init(waitingForRestart: [String] = []) { self.waitingForRestart = waitingForRestart }

    /// The answer of `POST /reload`.
    struct Document: Encodable {
        let reloaded = true
        let waitingForRestart: [String]
    }

    var document: Document { Document(waitingForRestart: waitingForRestart) }
}
