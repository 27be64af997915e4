import Foundation

/// An error body of the admin API (RFC 9457).
struct ProblemDocument: Decodable {
    var title: String?
    var status: Int?
    var detail: String?
    /// The field of the request that is at fault.
    var field: String?

    /// What went wrong, in one line.
    ///
    /// - Parameters:
    ///   - status: the answer's status code.
    ///   - body: the answer's body, a problem document or plain text.
    static func text(status: Int, body: Data) -> String {
        guard let problem = try? JSONDecoder().decode(ProblemDocument.self, from: body),
            let said = problem.detail ?? problem.title
        else {
            let plain = String(decoding: body.prefix(300), as: UTF8.self).trimmingCharacters(
                in: .whitespacesAndNewlines)
            return plain.isEmpty ? "status \(status)" : "status \(status): \(Printable.text(plain))"
        }
        let title = problem.title.map { " \(Printable.text($0))" } ?? ""
        let place = problem.field.map { " (field `\(Printable.text($0))`)" } ?? ""
        return "\(status)\(problem.detail == nil ? "" : title): \(Printable.text(said))\(place)"
    }
}
