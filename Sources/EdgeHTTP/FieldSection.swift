/// One field line of a section: where its name and value lie in the section's bytes.
public struct FieldLine: Sendable {
    public let name: FieldName
    @usableFromInline let nameStart: UInt32
    @usableFromInline let nameLength: UInt32
    @usableFromInline let valueStart: UInt32
    @usableFromInline let valueLength: UInt32

    @inlinable
    public init(name: FieldName, nameRange: Range<Int>, valueRange: Range<Int>) {
        self.name = name
        nameStart = UInt32(truncatingIfNeeded: nameRange.lowerBound)
        nameLength = UInt32(truncatingIfNeeded: nameRange.count)
        valueStart = UInt32(truncatingIfNeeded: valueRange.lowerBound)
        valueLength = UInt32(truncatingIfNeeded: valueRange.count)
    }

    @inlinable
    public var nameRange: Range<Int> { Int(nameStart)..<Int(nameStart + nameLength) }

    @inlinable
    public var valueRange: Range<Int> { Int(valueStart)..<Int(valueStart + valueLength) }
}

/// A field section (RFC 9110 5): field lines in the order they came, names in the case they came, values without
/// surrounding white space. All text lies in one array of bytes, so that a section costs two allocations and a
/// reused one none.
public struct FieldSection: Sendable {
    /// The bytes that the lines point into. They may hold more than the lines (a request head holds its request line).
    public var bytes: [UInt8]
    public var lines: [FieldLine]

    public init() {
        bytes = []
        lines = []
    }

    /// A section from literal names and values, in order.
    public init(_ fields: [(String, String)]) {
        self.init()
        for (name, value) in fields { append(name: Array(name.utf8), value: Array(value.utf8)) }
    }

    public var isEmpty: Bool { lines.isEmpty }
    public var count: Int { lines.count }

    @inlinable
    public func nameBytes(_ line: FieldLine) -> ArraySlice<UInt8> { bytes[line.nameRange] }

    @inlinable
    public func value(_ line: FieldLine) -> ArraySlice<UInt8> { bytes[line.valueRange] }

    /// The value of the first line of that name.
    @inlinable
    public func first(_ name: FieldName) -> ArraySlice<UInt8>? {
        for line in lines where line.name == name { return bytes[line.valueRange] }
        return nil
    }

    /// The values of all lines of that name, in order.
    public func all(_ name: FieldName) -> [ArraySlice<UInt8>] {
        var values: [ArraySlice<UInt8>] = []
        for line in lines where line.name == name { values.append(bytes[line.valueRange]) }
        return values
    }

    /// The values of all lines whose name is `name` in any case.
    public func all(named name: some Collection<UInt8>) -> [ArraySlice<UInt8>] {
        var values: [ArraySlice<UInt8>] = []
        for line in lines where Octet.equalIgnoringCase(bytes[line.nameRange], name) {
            values.append(bytes[line.valueRange])
        }
        return values
    }

    @inlinable
    public func contains(_ name: FieldName) -> Bool {
        for line in lines where line.name == name { return true }
        return false
    }

    /// The lines of that name joined with ", " (RFC 9110 5.3), or nil where there is none.
    public func combined(_ name: FieldName) -> [UInt8]? {
        var joined: [UInt8]?
        for line in lines where line.name == name {
            if joined == nil {
                joined = Array(bytes[line.valueRange])
            } else {
                joined?.append(contentsOf: [Octet.comma, Octet.space])
                joined?.append(contentsOf: bytes[line.valueRange])
            }
        }
        return joined
    }

    /// Appends a field line. The caller answers for the octets: nothing that came from outside reaches this
    /// without having passed a parser.
    public mutating func append(name: some Collection<UInt8>, value: some Collection<UInt8>) {
        let nameStart = bytes.count
        bytes.append(contentsOf: name)
        let valueStart = bytes.count
        bytes.append(contentsOf: value)
        let known = bytes.withUnsafeBufferPointer {
            FieldName.recognise(UnsafeBufferPointer(rebasing: $0[nameStart..<valueStart]))
        }
        lines.append(
            FieldLine(name: known, nameRange: nameStart..<valueStart, valueRange: valueStart..<bytes.count))
    }

    public mutating func append(_ name: FieldName, _ value: some Collection<UInt8>) {
        let wireName = UnsafeBufferPointer(
            start: name.wireName.utf8Start, count: name.wireName.utf8CodeUnitCount)
        append(name: wireName, value: value)
    }

    public mutating func append(_ name: FieldName, _ value: String) {
        append(name, Array(value.utf8))
    }

    public mutating func remove(_ name: FieldName) {
        lines.removeAll { $0.name == name }
    }

    /// Removes every line whose name is `name` in any case.
    public mutating func remove(named name: some Collection<UInt8>) {
        let bytes = bytes
        lines.removeAll { Octet.equalIgnoringCase(bytes[$0.nameRange], name) }
    }

    public mutating func removeAll(where discard: (FieldSection, FieldLine) -> Bool) {
        let before = self
        lines.removeAll { discard(before, $0) }
    }

    /// Empties the section and keeps its memory for the next one.
    public mutating func reset() {
        bytes.removeAll(keepingCapacity: true)
        lines.removeAll(keepingCapacity: true)
    }

    /// A copy whose bytes hold its own lines and nothing else.
    public func compacted() -> FieldSection {
        var copy = FieldSection()
        var size = 0
        for line in lines { size += line.nameRange.count + line.valueRange.count }
        copy.bytes.reserveCapacity(size)
        copy.lines.reserveCapacity(lines.count)
        for line in lines {
            let nameStart = copy.bytes.count
            copy.bytes.append(contentsOf: bytes[line.nameRange])
            let valueStart = copy.bytes.count
            copy.bytes.append(contentsOf: bytes[line.valueRange])
            copy.lines.append(
                FieldLine(
                    name: line.name, nameRange: nameStart..<valueStart,
                    valueRange: valueStart..<copy.bytes.count))
        }
        return copy
    }

    /// Whether both have the same lines in the same order, octet for octet.
    public func isSame(as other: FieldSection) -> Bool {
        var texts: ([UInt8], [UInt8]) = ([], [])
        serialise(into: &texts.0)
        other.serialise(into: &texts.1)
        return texts.0 == texts.1
    }

    /// Appends the section to `output` in HTTP/1.1 form, a line each, without the final blank line.
    public func serialise(into output: inout [UInt8]) {
        for line in lines {
            output.append(contentsOf: bytes[line.nameRange])
            output.append(Octet.colon)
            output.append(Octet.space)
            output.append(contentsOf: bytes[line.valueRange])
            output.append(Octet.cr)
            output.append(Octet.lf)
        }
    }
}
