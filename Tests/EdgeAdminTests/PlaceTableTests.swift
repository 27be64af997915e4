import Testing

@testable import EdgeAdmin

/// Who goes when more come than there are places.
@Suite struct PlaceTableTests {
    private static func full(_ places: Int, kept: Int) -> PlaceTable<Int> {
        var table = PlaceTable<Int>(places: places, kept: kept)
        for id in 0..<places - kept { #expect(table.arrive(id) == nil) }
        return table
    }

    @Test func `the stranger goes who has waited longest`() {
        var table = Self.full(8, kept: 2)
        #expect(table.arrive(100) == 0)
        #expect(table.arrive(101) == 1)
        // Who was answered has not waited long.
        table.note(2)
        #expect(table.arrive(102) == 3)
        #expect(table.count == 6)
    }

    @Test func `who has just come is not the one to go, however many come`() {
        var table = Self.full(8, kept: 2)
        // As those who guess do: a request, and a long wait for its answer.
        for id in 0..<6 { table.note(id) }
        for id in 100..<200 {
            let leaving = table.arrive(id)
            #expect(leaving.map { id - $0 >= 6 } == true)
        }
    }

    @Test func `who showed the token has places that strangers never take`() {
        var table = Self.full(8, kept: 2)
        for id in 100..<102 {
            _ = table.arrive(id)
            table.trust(id)
        }
        // One stranger went for the first, and there is a place for one more.
        #expect(table.count == 7)
        #expect(table.arrive(200) == nil)
        for id in 300..<400 {
            let leaving = table.arrive(id)
            #expect(leaving.map { $0 != 100 && $0 != 101 } == true)
            #expect(table.count == 8)
        }
        table.leave(100)
        #expect(table.count == 7)
        table.trust(100)
        table.note(100)
        #expect(table.count == 7)
    }

    @Test func `where all showed the token the one that has waited longest goes`() {
        var table = PlaceTable<Int>(places: 4, kept: 1)
        for id in 0..<4 {
            _ = table.arrive(id)
            table.trust(id)
        }
        #expect(table.count == 4)
        #expect(table.arrive(10) == 0)
        #expect(table.arrive(11) == 10)
    }
}
