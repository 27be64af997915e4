import EdgePrimitives
import Testing

struct FrontQueueTests {
    @Test func `elements leave in the order they came in, however the two are mixed`() {
        var queue = FrontQueue<Int>()
        var generator = SeededGenerator(seed: 7)
        var next = 0
        var expected = 0
        for _ in 0..<2_000 {
            if Int.random(in: 0..<100, using: &generator) < 52 {
                queue.append(next)
                next += 1
            } else if let taken = queue.popFirst() {
                #expect(taken == expected)
                expected += 1
            } else {
                #expect(next == expected)
            }
            #expect(queue.count == next - expected)
            #expect(queue.isEmpty == (next == expected))
        }
        #expect(queue.first == (queue.isEmpty ? nil : expected))
        #expect(queue.last == (queue.isEmpty ? nil : next - 1))
        for position in 0..<queue.count { #expect(queue[position] == expected + position) }
        queue.removeAll()
        #expect(queue.popFirst() == nil)
    }

    @Test func `an element that was taken is held no longer`() {
        final class Object {}
        var queue = FrontQueue<Object>()
        weak var taken: Object?
        do {
            let object = Object()
            taken = object
            queue.append(object)
            queue.append(Object())
        }
        #expect(taken != nil)
        queue.popFirst()
        #expect(taken == nil)
    }

    @Test func `elements are changed in their place`() {
        var queue = FrontQueue<[Int]>()
        queue.append([])
        queue.append([1])
        queue.popFirst()
        queue[0].append(2)
        #expect(queue.first == [1, 2])
    }
}
