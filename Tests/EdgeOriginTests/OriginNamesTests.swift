import EdgePrimitives
import Testing

@testable import EdgeOrigin

private func at(_ milliseconds: Int64) -> MonotonicTime { MonotonicTime(nanoseconds: 0) + milliseconds }

/// When names are looked up, and which addresses hold.
struct OriginNamesTests {
    private static func following(_ found: [String]? = nil) -> OriginNames {
        var names = OriginNames()
        names.follow(["a.test"])
        guard let found else { return names }
        _ = names.takeDue(inTrouble: [], now: at(0))
        _ = names.found(found, of: "a.test")
        return names
    }

    private func expectDue(
        _ expected: [String], at time: Int64, _ names: inout OriginNames,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let due = names.takeDue(inTrouble: [], now: at(time))
        #expect(due == expected, sourceLocation: sourceLocation)
    }

    private func expectChange(
        _ expected: Bool, _ found: [String]?, _ names: inout OriginNames,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let isChanged = names.found(found, of: "a.test").isNew
        #expect(isChanged == expected, sourceLocation: sourceLocation)
    }

    private static func addresses(_ names: OriginNames) -> [String]? {
        guard case .known(let addresses, _) = names.standing("a.test", now: at(0)) else { return nil }
        return addresses
    }

    @Test func `a name is looked up at once, then every ten seconds, one look-up at a time`() {
        var names = Self.following()
        expectDue(["a.test"], at: 0, &names)
        expectDue([], at: 60_000, &names)
        #expect(names.standing("a.test", now: at(0)) == .unknown)
        expectChange(true, ["192.0.2.1"], &names)
        #expect(names.nextDue(inTrouble: []) == at(10_000))
        expectDue([], at: 9_999, &names)
        expectDue(["a.test"], at: 10_000, &names)
    }

    @Test func `it is looked up every second while something fails, and soon where somebody asks`() {
        var names = Self.following(["192.0.2.1"])
        #expect(names.nextDue(inTrouble: ["a.test"]) == at(1_000))
        #expect(names.nextDue(inTrouble: ["b.test"]) == at(10_000))
        names.want("a.test")
        #expect(names.nextDue(inTrouble: []) == at(1_000))
        expectDue(["a.test"], at: 1_000, &names)
        _ = names.found(["192.0.2.1"], of: "a.test")
        #expect(names.nextDue(inTrouble: []) == at(11_000))
    }

    @Test func `a name that is not found any more keeps its addresses`() {
        var names = Self.following(["192.0.2.1"])
        expectChange(false, nil, &names)
        expectChange(false, [], &names)
        #expect(Self.addresses(names) == ["192.0.2.1"])
    }

    @Test func `a name that was never found says so for a second`() {
        var names = Self.following()
        _ = names.takeDue(inTrouble: [], now: at(0))
        expectChange(false, nil, &names)
        #expect(names.standing("a.test", now: at(999)) == .notFound)
        #expect(names.standing("a.test", now: at(1_000)) == .unknown)
        expectDue(["a.test"], at: 1_000, &names)
    }

    @Test func `the same addresses in another order are no change`() {
        var names = Self.following(["192.0.2.1", "192.0.2.2"])
        expectChange(false, ["192.0.2.2", "192.0.2.1"], &names)
        expectChange(true, ["192.0.2.2"], &names)
    }

    @Test func `an address that fails is the last to be tried from then on`() {
        var names = Self.following(["192.0.2.1", "192.0.2.2", "2001:db8::1"])
        guard case .known(_, let number) = names.standing("a.test", now: at(0)) else { return }
        names.turn("a.test", number: number)
        #expect(Self.addresses(names) == ["192.0.2.2", "2001:db8::1", "192.0.2.1"])
        // Who failed with the old order says nothing of the new one.
        names.turn("a.test", number: number)
        #expect(Self.addresses(names) == ["192.0.2.2", "2001:db8::1", "192.0.2.1"])
    }

    @Test func `a name that comes back is not taken for what it was`() {
        var names = Self.following(["192.0.2.1"])
        let before = names.standing("a.test", now: at(0))
        names.follow([])
        names.follow(["a.test"])
        #expect(names.standing("a.test", now: at(0)) == .unknown)
        _ = names.found(["192.0.2.1"], of: "a.test")
        #expect(names.standing("a.test", now: at(0)) != before)
    }

    @Test func `the system finds addresses, and none of a name that cannot be`() {
        #expect(NameResolver.system.addresses("localhost")?.contains("127.0.0.1") == true)
        #expect(NameResolver.system.addresses(String(repeating: "a", count: 300)) == nil)
    }

    @Test func `an address has left when two answers in a row agree on it`() {
        var names = OriginNames()
        names.follow(["a.test"])
        #expect(names.found(["192.0.2.1"], of: "a.test") == .init(isNew: true))
        #expect(names.found(["192.0.2.2"], of: "a.test") == .init(isNew: true))
        #expect(names.current("a.test") == ["192.0.2.1", "192.0.2.2"])
        #expect(names.found(["192.0.2.2"], of: "a.test") == .init(hasDepartures: true))
        #expect(names.current("a.test") == ["192.0.2.2"])
        #expect(names.found(["192.0.2.2"], of: "a.test") == .init())
    }

    @Test func `a name with a few of many addresses in each answer loses none`() {
        var names = OriginNames()
        names.follow(["a.test"])
        for number in 0..<100 {
            let change = names.found(["192.0.2.\(number)", "192.0.2.\(number + 1)"], of: "a.test")
            #expect(change == .init(isNew: true))
        }
        #expect(names.current("a.test").count == 101)
    }

    @Test func `what is remembered of a name's addresses is bounded`() {
        var names = OriginNames()
        names.follow(["a.test"])
        for number in 0..<5_000 { _ = names.found(["192.0.\(number / 250).\(number % 250)"], of: "a.test") }
        #expect(names.current("a.test").count <= OriginNames.maxRecent + OriginNames.maxAddresses)
        let many = (0..<60).map { "192.0.2.\($0)" }
        _ = names.found(many, of: "a.test")
        #expect(names.found(many, of: "a.test").isNew == false)
    }
}
