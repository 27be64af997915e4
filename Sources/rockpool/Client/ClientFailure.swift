import ArgumentParser
import Foundation

/// Why a client subcommand cannot do what it was asked, each with the exit code that scripts see.
enum ClientFailure: Error, CustomStringConvertible {
    /// The node answered and said no, or said what cannot be understood. The answer's body where it is JSON.
    case refused(String, answer: Data? = nil)
    /// Nothing answers at the node's address, or not in time.
    case unreachable(String)
    /// There is nothing to ask: a wrong address.
    case wrongUsage(String)
    /// The admin token is missing or wrong.
    case unauthorized(String)

    var description: String {
        switch self {
        case .refused(let text, _), .unreachable(let text), .wrongUsage(let text), .unauthorized(let text):
            text
        }
    }

    /// The same with more to say at its end.
    func with(_ more: String) -> ClientFailure {
        switch self {
        case .refused(let text, let answer): .refused(text + more, answer: answer)
        case .unreachable(let text): .unreachable(text + more)
        case .wrongUsage(let text): .wrongUsage(text + more)
        case .unauthorized(let text): .unauthorized(text + more)
        }
    }

    var exitCode: ExitCode {
        switch self {
        case .refused: ExitCode(1)
        case .unreachable: ExitCode(2)
        case .wrongUsage: ExitCode(64)
        case .unauthorized: ExitCode(77)
        }
    }

    /// What `--help` says about the codes.
    static let exitCodes = """
        Exit codes of the client subcommands (purge, explain, status, top, warm):
          0   done
          1   the node refused, or something failed (warm: at least one URL)
          2   the node cannot be reached
          64  wrong usage
          77  the admin token is missing or wrong
        """
}
