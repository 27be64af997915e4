import EdgePrimitives
import HTTPTypes
import Hummingbird
import NIOCore

/// The page at the admin listener's `/`, and the style sheet and the script that it loads.
///
/// They hold no data, so that they come without a token; the page asks for one and shows what the API gives it.
enum DashboardPage {
    /// Nothing from another host, nothing inline: a URL that gets itself into the page stays text.
    static let contentSecurityPolicy = """
        default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
        form-action 'none'; base-uri 'none'; frame-ancestors 'none'
        """

    /// One file as it is sent.
    private struct Part: Sendable {
        let fields: HTTPFields
        let body: ByteBuffer

        init(_ bytes: [UInt8], contentType: String) {
            body = ByteBuffer(bytes: bytes)
            // The seed is no secret here: an entity tag only has to differ where the bytes do.
            let digest = DigestSeed(first: 0, second: 0).digest(bytes)
            var fields: HTTPFields = [
                .contentType: contentType,
                .contentSecurityPolicy: DashboardPage.contentSecurityPolicy,
                .xContentTypeOptions: "nosniff",
                .cacheControl: "no-cache",
                .eTag: "\"\(digest.hexadecimal)\"",
            ]
            if let name = HTTPField.Name("Referrer-Policy") { fields[name] = "no-referrer" }
            self.fields = fields
        }

        /// The file, or 304 where the client has it (RFC 9110 13.1.2).
        func response(to request: Request) -> Response {
            let known = request.headers[.ifNoneMatch].map { field in
                field == "*" || field.split(separator: ",").contains { Self.isTag($0, fields[.eTag]) }
            }
            guard known != true else {
                var kept = fields
                kept[.contentType] = nil
                return Response(status: .notModified, headers: kept)
            }
            return Response(status: .ok, headers: fields, body: .init(byteBuffer: body))
        }

        /// The weak comparison of RFC 9110 8.8.3.2.
        private static func isTag(_ listed: Substring, _ own: String?) -> Bool {
            let tag = listed.drop { $0 == " " || $0 == "\t" }.prefix { $0 != " " && $0 != "\t" }
            return (tag.hasPrefix("W/") ? tag.dropFirst(2) : tag) == own ?? ""
        }
    }

    /// Adds `/`, `/dashboard.css` and `/dashboard.js` to `router`, for everybody.
    static func addRoutes<Context: RequestContext>(to router: Router<Context>) {
        let page = Part(PackageResources.page_html, contentType: "text/html; charset=utf-8")
        let style = Part(PackageResources.dashboard_css, contentType: "text/css; charset=utf-8")
        let script = Part(PackageResources.dashboard_js, contentType: "text/javascript; charset=utf-8")
        router.get("/") { request, _ in page.response(to: request) }
        router.get("/dashboard.css") { request, _ in style.response(to: request) }
        router.get("/dashboard.js") { request, _ in script.response(to: request) }
    }
}
