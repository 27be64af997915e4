import Synchronization

/// How many copies of descriptors bodies on their way from the disk may hold. Who gets none reads the bytes
/// instead.
final class RegionAllowance: Sendable {
    private let left: Atomic<Int>

    init(_ count: Int = .max) { left = Atomic(count) }

    /// Changes the allowance by so much; what is held beyond it comes back by itself.
    func add(_ count: Int) { left.wrappingAdd(count, ordering: .relaxed) }

    func take() -> Bool {
        if left.wrappingSubtract(1, ordering: .relaxed).oldValue > 0 { return true }
        give()
        return false
    }

    func give() { left.wrappingAdd(1, ordering: .relaxed) }
}
