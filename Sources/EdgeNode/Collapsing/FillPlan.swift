import EdgeHTTP
import EdgeOrigin
import EdgePolicy
import EdgePrimitives
import EdgeStore
import Synchronization

/// What a fill pulls and what it may do with the answer; fixed when the fill begins.
struct FillPlan: Sendable {
    enum Kind: Sendable {
        /// GET of a cacheable target: the response is stored where it may be.
        case cacheable
        /// Nothing is stored. A HEAD may freshen, an unsafe method invalidates.
        case pass
    }

    var kind: Kind
    var key: Digest128
    var keyText: [UInt8]
    /// The leader's fields as they are sent, but for conditions: they select the variant.
    var requestFields: FieldSection
    var traits: RequestTraits
    var isHead: Bool
    var rules: CachingRules
    var origin: String
    /// Where the log of purges stood when the pull was planned: a later purge covers what it brings.
    var position: PurgePosition
    /// The stored response that this pull validates, or that may be served stale should it fail.
    var stored: StoredResponse?
    /// The range that the pull asks for; nil where it asks for the whole.
    var ask: RangeAsk?
    /// Whether the pull carries the validators of `stored`.
    var isConditional = false
    var pull: PullRequest
    /// The same pull without conditions, for a 304 that selects another response.
    var unconditionalFields: FieldSection?
    /// Whether the origin gets credentials with the pull: its answer may be one visitor's.
    var hasCredentials: Bool { pull.fields.contains(.cookie) || pull.fields.contains(.authorization) }
    /// Whether the pull carries a condition, ours or the client's, that a 304 could answer (RFC 9110 15.4.5).
    var asksCondition: Bool { pull.fields.contains(.ifNoneMatch) || pull.fields.contains(.ifModifiedSince) }
    /// Whether the response may be stored for later GETs although this is a POST (RFC 9110 9.3.3).
    var mayStorePost: (@Sendable (ResponseHead) -> Bool)?
    /// Which keys a successful unsafe request invalidates.
    var invalidates: (@Sendable (ResponseHead) -> [Digest128])?
    /// Of the configuration that it was made by.
    var configurationNumber: UInt64 = 0
}

/// The head of a fill's response and what the rules make of it.
final class FillHead: Sendable {
    let response: ResponseHead
    /// What clients get: end-to-end fields without Content-Length. Of a storable response, what is stored.
    let clientFields: FieldSection
    /// What the client gets that asked: also the fields that a qualified no-cache or private keeps from reuse.
    let leaderFields: FieldSection
    /// Bytes of the body that this pull brings, where that is known.
    let contentLength: Int64?
    /// What a 206 holds of the representation; nil for any other response.
    let part: PartialContent?
    let hasBody: Bool
    /// What makes it storable; nil where it is not.
    let metadata: StoredMetadata?
    /// Why it is not storable.
    let refusal: Reason?
    /// Whether a follower may have it without validation of its own (RFC 9111 4, 5.2.2.4).
    let isReusable: Bool
    /// Whether followers that send no credentials share it although it is not stored: an answer that all of them would
    /// get, one after the other.
    let isShared: Bool
    let secondaryKey: SecondaryKey?
    let initialAgeSeconds: Int64
    private let readTags = Mutex<[[UInt8]]?>(nil)

    /// The surrogate keys, read once they are asked for.
    var tags: [[UInt8]] {
        readTags.withLock { known in
            if let known { return known }
            let tags = SurrogateKey.tags(response.fields)
            known = tags
            return tags
        }
    }

    init(
        response: ResponseHead, clientFields: FieldSection, leaderFields: FieldSection? = nil,
        contentLength: Int64?, part: PartialContent? = nil, hasBody: Bool,
        metadata: StoredMetadata?, refusal: Reason?, isReusable: Bool, isShared: Bool = false,
        secondaryKey: SecondaryKey?
    ) {
        self.response = response
        self.clientFields = clientFields
        self.leaderFields = leaderFields ?? clientFields
        self.contentLength = contentLength
        self.part = part
        self.hasBody = hasBody
        self.metadata = metadata
        self.refusal = refusal
        self.isReusable = isReusable
        self.isShared = isShared
        self.secondaryKey = secondaryKey
        initialAgeSeconds = (metadata?.correctedInitialAgeMilliseconds ?? 0) / 1000
    }
}

/// A fill that ends in a stored response and not in a body of its own.
enum FillAnswer: Sendable {
    /// 304: the stored response was freshened. `cookies`: the Set-Cookie lines that came with it. `isForAll`: it may
    /// still be stored; otherwise it is the answer to the one request that brought the 304.
    case revalidated(StoredResponse, cookies: FieldSection?, isForAll: Bool)
    /// The pull failed or brought an error, and stale is allowed.
    case stale(StoredResponse, Reason, forwardStatus: Int?)
}
