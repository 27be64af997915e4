import EdgeHTTP

/// The fields of a request that may reach the origin with another value than they came with, or not at all, beyond
/// those that the node treats so by itself (``VaryRule/isTouched(by:nominates:)``).
public struct TouchedFields: Sendable, Equatable {
    public private(set) var known = FieldNameSet()
    /// Whether all names that are not known may be among them.
    public private(set) var others = false
    /// Those that are not known, in the form of ``ForwardedFields/plain(_:)``.
    private var named: [[UInt8]] = []

    /// None.
    public init() {}

    /// What a site and its rules touch.
    ///
    /// - Parameter reserved: the names that only the configuration brings to the origin, or keeps from it.
    public init(cookies: CachingRules.Cookies, reserved: [[UInt8]], forwarding: FieldForwarding) {
        if cookies == .strip { known.insert(.cookie) }
        for name in reserved {
            let field = FieldName.recognise(name)
            if field == .other { named.append(ForwardedFields.plain(name)) } else { known.insert(field) }
        }
        guard forwarding != .all else { return }
        others = true
        for name in FieldName.allCases where name != .other && !forwarding.passes(name) { known.insert(name) }
    }

    /// Whether one of `names`, in lower case, is among those that are not known.
    func touchesOne(of names: [[UInt8]]) -> Bool {
        guard !named.isEmpty else { return false }
        for name in names {
            for touched in named where touched.count == name.count {
                var isSame = true
                for index in 0..<name.count
                where (name[index] == UInt8(ascii: "_") ? UInt8(ascii: "-") : name[index]) != touched[index] {
                    isSame = false
                    break
                }
                if isSame { return true }
            }
        }
        return false
    }
}
