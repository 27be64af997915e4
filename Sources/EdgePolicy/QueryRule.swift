/// How the query of a target enters the cache key. Where the answer may be kept, the origin is asked with the query of
/// the key, since it could otherwise answer by what the key leaves out; elsewhere the query goes on untouched.
public enum QueryRule: Sendable, Equatable {
    /// The whole query, as it came.
    case all
    /// No query.
    case ignore
    /// Only the parameters of these names, in the order they came. A name may end in `*`.
    case keep([String])
    /// All but the parameters of these names (a name may end in `*`), sorted by their bytes if `sort`.
    case drop([String], sort: Bool)
}
