import Hummingbird
import Logging

/// The router with what all answers have in common: problems for errors, 404 and 405 by the table of routes, and no
/// body for HEAD.
struct AdminResponder: HTTPResponder {
    typealias Context = AdminContext
    private let router: RouterResponder<AdminContext>
    /// The methods of each path.
    private let methods: [String: [String]]

    init(_ router: Router<AdminContext>) {
        var methods: [String: [String]] = [:]
        for route in router.routes {
            let path = "\(route.path)"
            methods[path.hasPrefix("/") ? path : "/" + path, default: []].append(route.method.rawValue)
        }
        for (path, known) in methods where known.contains("GET") { methods[path] = known + ["HEAD"] }
        self.methods = methods
        self.router = router.buildResponder()
    }

    func respond(to request: Request, context: Context) async throws -> Response {
        var response = await answer(request, context)
        if !response.headers.contains(.cacheControl) { response.headers[.cacheControl] = "no-store" }
        return request.method == .head ? response.createHeadResponse() : response
    }

    private func answer(_ request: Request, _ context: Context) async -> Response {
        guard let known = methods[request.uri.path] else {
            return Problem(404, "there is nothing at this path; GET /openapi.json describes what is")
                .response()
        }
        guard known.contains(request.method.rawValue) else {
            var problem = Problem(405, "\(known.joined(separator: " and ")) only")
            problem.allow = known.joined(separator: ", ")
            return problem.response()
        }
        do {
            return try await router.respond(to: request, context: context)
        } catch let problem as Problem {
            return problem.response()
        } catch {
            context.logger.error("\(request.method) \(request.uri.path) failed: \(error)")
            return Problem(500, "this should not happen; the program's log says more").response()
        }
    }
}
