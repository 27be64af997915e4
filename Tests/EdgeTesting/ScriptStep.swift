/// One thing that a ``ScriptedServer`` does to answer a request.
public enum ScriptStep: Sendable {
    /// Writes exactly these bytes.
    case send([UInt8])
    /// Goes on when the test opens the gate.
    case wait(Gate)
    /// Opens a gate that the test waits on.
    case reach(Watched<Bool>)
    /// Reads the rest of the request, where the server leaves that to its scripts.
    case readBody
    /// Ends the connection in order.
    case close
    /// Ends the writing side and waits for the peer to close.
    case halfClose
    /// Ends the connection with a RST.
    case reset
    /// Says nothing more; waits for the peer to close.
    case hang

    public static func text(_ text: String) -> ScriptStep { .send(Array(text.utf8)) }

    /// A response with Content-Length.
    public static func response(
        _ status: Int = 200, _ fields: [String] = [], body: String = "", reason: String = "Because"
    ) -> ScriptStep {
        var head = "HTTP/1.1 \(status) \(reason)\r\n"
        for field in fields { head += field + "\r\n" }
        if status != 204, status != 304, status >= 200 { head += "Content-Length: \(body.utf8.count)\r\n" }
        return .text(head + "\r\n" + (status == 204 || status == 304 ? "" : body))
    }

    /// A response head with the field lines as they are given.
    public static func head(_ status: Int, _ fields: [String]) -> ScriptStep {
        .text("HTTP/1.1 \(status) Because\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n")
    }

    /// One chunk.
    public static func chunk(_ text: String) -> ScriptStep {
        .text(String(text.utf8.count, radix: 16) + "\r\n" + text + "\r\n")
    }
}
