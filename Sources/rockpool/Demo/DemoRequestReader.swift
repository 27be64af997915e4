import NIOHTTP1

/// Puts the parts of a request together as far as the demo needs them: its head, once it is over.
struct DemoRequestReader {
    private var head: HTTPRequestHead?

    /// The head of the request that `part` ends; nil while it goes on.
    mutating func read(_ part: HTTPServerRequestPart) -> HTTPRequestHead? {
        switch part {
        case .head(let head): self.head = head
        case .body: break
        case .end:
            defer { head = nil }
            return head
        }
        return nil
    }
}
