/// What `/explain` says.
struct Explanation: Decodable {
    struct Rule: Decodable {
        /// Absent where no file has the rules.
        var line: Int?
        var path: String?
        /// What the rule decides for this request.
        var sets: [String]?
    }

    struct Outcome: Decodable {
        /// hit, stale, revalidated, miss, pass or error.
        var result: String
        var status: Int?
        /// A word of README's table.
        var reason: String?
        var explanation: String?
        var cacheStatus: String?
        var contactsOrigin: Bool?
    }

    struct Variant: Decodable {
        var status: Int?
        var vary: [String: String]?
        var tiers: [String]?
        var bodyBytes: Int64?
        var storedBytes: Int64?
        var contentType: String?
        var etag: String?
        var lastModified: String?
        var tags: [String]?
        var storedAt: String?
        var ageSeconds: Double?
        var lifetimeSeconds: Double?
        var lifetimeSource: String?
        var fresh: Bool?
        var softPurgedAt: String?
        var pulledAtPosition: String?
    }

    struct Lifetime: Decodable {
        var seconds: Double
        var source: String
        var detail: String?
    }

    var url: String
    var method: String?
    var key: String
    var site: String?
    var rules: [Rule]?
    var originDown: Bool?
    var outcome: Outcome
    var ifOriginDown: Outcome?
    var stored: Variant?
    var variants: [Variant]?
    var lifetime: Lifetime?
    var notes: [String]?
}
