import Foundation
import Testing

/// One case of the tables in `fixtures/conformance`: a site, and steps of request, origin answer and
/// expectation.
struct ConformanceCase: Decodable, Sendable, CustomTestStringConvertible {
    /// Unique over all files; names the case in a failure.
    let id: String
    /// The rule that the case is about, such as `RFC 9111 section 4.2.1`.
    let rfc: String
    let title: String
    let site: SiteOptions?
    let steps: [Step]

    var testDescription: String { "\(id): \(title) (\(rfc))" }
}

extension ConformanceCase {
    struct Step: Decodable, Sendable {
        let note: String?
        /// Only where no Age, Date or Expires can stand in for time that passes.
        let pauseMilliseconds: Int?
        let request: Request?
        /// What the origin answers; a step without it expects that the origin is not asked.
        let origin: OriginAnswers?
        /// Whether the pull happens behind the answer: it is then waited for, and not part of it.
        let behind: Bool?
        /// What the last request to the origin looks like.
        let originRequest: OriginRequestExpectation?
        let expect: Expectation
    }

    struct Request: Decodable, Sendable {
        let method: String?
        let target: String?
        let version: String?
        /// `Name: value` lines.
        let fields: [String]?
        let body: String?
        /// False: no Host is added.
        let host: Bool?
    }

    /// One answer of the origin, or a list of them for as many requests.
    struct OriginAnswers: Decodable, Sendable {
        let all: [OriginAnswer]

        init(from decoder: any Decoder) throws {
            if let list = try? decoder.singleValueContainer().decode([OriginAnswer].self) {
                all = list
            } else {
                all = [try OriginAnswer(from: decoder)]
            }
        }
    }

    /// The answer of the origin: `"down"` (it refuses connections), `"reset"` (it resets the connection when
    /// the request has come), `"close"` (it ends the connection without a byte), or a response.
    enum OriginAnswer: Decodable, Sendable {
        case down
        case reset
        case close
        case response(OriginResponse)

        init(from decoder: any Decoder) throws {
            guard let word = try? decoder.singleValueContainer().decode(String.self) else {
                self = .response(try OriginResponse(from: decoder))
                return
            }
            switch word {
            case "down": self = .down
            case "reset": self = .reset
            case "close": self = .close
            default:
                throw DecodingError.dataCorrupted(
                    .init(codingPath: decoder.codingPath, debugDescription: "no origin answer: \(word)"))
            }
        }
    }

    struct OriginResponse: Decodable, Sendable {
        enum Framing: String, Decodable, Sendable {
            case length, chunked, close
        }

        let status: Int?
        let version: String?
        let fields: [String]?
        let body: String?
        let framing: Framing?
        let trailers: [String]?
        /// Sent before the response.
        let interims: [Interim]?
    }

    struct Interim: Decodable, Sendable {
        let status: Int
        let fields: [String]?
    }

    struct OriginRequestExpectation: Decodable, Sendable {
        let method: String?
        let target: String?
        let fields: [String: FieldMatcher]?
        let body: String?
    }

    struct Expectation: Decodable, Sendable {
        let status: Int
        let body: String?
        let fields: [String: FieldMatcher]?
        let trailers: [String: FieldMatcher]?
        /// Parameters that our member of Cache-Status has (`hit`, `fwd=stale`), or with `!` has not.
        let cacheStatus: [String]?
        /// The error type of Proxy-Status; the answer is the node's own.
        let proxyStatus: String?
        /// The statuses of the 1xx responses before it.
        let interims: [Int]?
    }
}

extension ConformanceCase {
    /// Every case of every file, by id.
    static let all: [ConformanceCase] = {
        do {
            return try load()
        } catch {
            preconditionFailure("the conformance fixtures cannot be read: \(error)")
        }
    }()

    private static func load() throws -> [ConformanceCase] {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("fixtures/conformance")
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        return try files.filter { $0.pathExtension == "json" }.sorted { $0.path < $1.path }.flatMap {
            try JSONDecoder().decode([ConformanceCase].self, from: Data(contentsOf: $0))
        }
    }
}
