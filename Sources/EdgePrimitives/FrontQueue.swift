/// A queue that takes from its front in constant time, whatever is behind; an empty one has no storage.
public struct FrontQueue<Element> {
    /// Those before `head` were taken and hold nothing any more.
    private var elements: [Element?] = []
    private var head = 0

    public init() {}

    public var count: Int { elements.count - head }
    public var isEmpty: Bool { head == elements.count }

    public var first: Element? { isEmpty ? nil : self[0] }
    public var last: Element? { isEmpty ? nil : self[count - 1] }

    /// The element so far behind the front.
    public subscript(_ position: Int) -> Element {
        get {
            guard position >= 0, let element = elements[head + position] else {
                preconditionFailure("no element there")
            }
            return element
        }
        _modify {
            precondition(position >= 0 && position < count, "no element there")
            yield &elements[head + position]!
        }
    }

    public mutating func append(_ element: Element) { elements.append(element) }

    @discardableResult
    public mutating func popFirst() -> Element? {
        guard !isEmpty else { return nil }
        let element = elements[head]
        elements[head] = nil
        head += 1
        if head == elements.count {
            elements.removeAll(keepingCapacity: head <= 64)
            head = 0
        } else if head >= 32, head * 2 >= elements.count {
            // What moves is fewer than what was taken since this was last done.
            elements.removeFirst(head)
            head = 0
        }
        return element
    }

    public mutating func removeAll() {
        elements = []
        head = 0
    }
}

extension FrontQueue: Sendable where Element: Sendable {}
