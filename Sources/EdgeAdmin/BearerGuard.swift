import EdgePrimitives
import Hummingbird
import Logging

/// 401 without the token (RFC 6750 3); 429, and late, for who guesses.
struct BearerGuard: RouterMiddleware {
    typealias Context = AdminContext
    let token: CurrentToken
    let guesses: GuessLimiter
    /// How long a network that guesses too much waits for each answer.
    let delay: Duration
    let logger: Logger

    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        guard let presented = Self.credentials(request.headers[.authorization].map { [$0] } ?? []) else {
            throw Problem(401, "a bearer token is needed")
        }
        // Compared first: the right token works whatever others of the same network try.
        guard !token.matches(presented) else { return try await next(request, context) }
        guard let refusal = guesses.note(context.client.network, at: SystemClock.monotonic()) else {
            throw Problem(401, "the bearer token is wrong")
        }
        if refusal.isFirst {
            logger.notice(
                "more than \(GuessLimiter.allowed) wrong tokens in a minute: client=\(context.client.text)")
        }
        // No thread waits, only the answer: so many guesses a second are made as there are connections, not
        // more.
        try? await Task.sleep(for: delay)
        var problem = Problem(429, "too many wrong tokens")
        problem.retryAfterSeconds = refusal.retryAfterSeconds
        throw problem
    }

    /// What stands after the scheme, whose case does not matter (RFC 9110 11.1).
    static func credentials(_ lines: [String]) -> String? {
        guard lines.count == 1, let field = lines.first, let space = field.firstIndex(of: " "),
            field[..<space].lowercased() == "bearer"
        else {
            return nil
        }
        let credentials = field[space...].drop { $0 == " " }
        return credentials.isEmpty ? nil : String(credentials)
    }
}
