/// A set of rules by their positions, in four words.
struct RuleSet: Hashable, Sendable {
    static let capacity = 256

    private var first: UInt64 = 0
    private var second: UInt64 = 0
    private var third: UInt64 = 0
    private var fourth: UInt64 = 0

    mutating func insert(_ index: Int) {
        let bit = UInt64(1) << UInt64(index & 63)
        switch index >> 6 {
        case 0: first |= bit
        case 1: second |= bit
        case 2: third |= bit
        case 3: fourth |= bit
        default: preconditionFailure("rule \(index) is out of bounds")
        }
    }

    func contains(_ index: Int) -> Bool {
        let bit = UInt64(1) << UInt64(index & 63)
        switch index >> 6 {
        case 0: return first & bit != 0
        case 1: return second & bit != 0
        case 2: return third & bit != 0
        case 3: return fourth & bit != 0
        default: return false
        }
    }
}
