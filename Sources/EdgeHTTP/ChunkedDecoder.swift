/// Decodes a chunked body (RFC 9112 7.1) incrementally: bytes in, spans of content out.
///
/// As strict as the head's parser: sizes are hexadecimal digits alone, every line ends in CRLF, extensions are
/// read over (RFC 9112 7.1.1) within their limit, trailers are checked like any field.
public struct ChunkedDecoder: Sendable {
    private enum State: Sendable {
        case size(digits: Int, value: UInt64)
        case extensions
        case sizeLineFeed
        case content(remaining: UInt64)
        case contentReturn
        case contentLineFeed
        case trailer
        case done
    }

    public enum Event: Equatable, Sendable {
        /// Content, at these offsets of the input.
        case content(Range<Int>)
        /// The body is over; so many bytes of the input belonged to it.
        case end(consumed: Int)
        /// All input was read and the body goes on.
        case needMore
        case malformed
    }

    private var state = State.size(digits: 0, value: 0)
    private var pendingValue: UInt64 = 0
    /// Bytes of extensions that no content has made up for.
    private var extensionBytes = 0
    private var trailerBytes: [UInt8] = []

    /// The trailer section, once the body is over.
    public private(set) var trailers = FieldSection()

    public init() {}

    /// Reads on from `offset` of `input`; call again with the returned offset until it says ``Event/needMore``.
    public mutating func next(_ input: UnsafeRawBufferPointer, from offset: inout Int) -> Event {
        while offset < input.count {
            let byte = input[offset]
            switch state {
            case .size(let digits, let value):
                guard readSize(byte, digits, value) else { return .malformed }
                offset += 1
            case .extensions:
                extensionBytes += 1
                guard extensionBytes <= 4096, Octet.isFieldValue(byte) || byte == Octet.cr else {
                    return .malformed
                }
                if byte == Octet.cr { state = .sizeLineFeed }
                offset += 1
            case .sizeLineFeed:
                guard byte == Octet.lf else { return .malformed }
                offset += 1
                // Extensions are bounded by the content they come with (RFC 9112 7.1.1): signed uploads carry one with
                // every chunk, a flood carries little else.
                extensionBytes -= Int(min(UInt64(extensionBytes), pendingValue))
                state = pendingValue == 0 ? .trailer : .content(remaining: pendingValue)
            case .content(let remaining):
                let available = min(UInt64(input.count - offset), remaining)
                let range = offset..<(offset + Int(available))
                offset = range.upperBound
                state = remaining == available ? .contentReturn : .content(remaining: remaining - available)
                return .content(range)
            case .contentReturn:
                guard byte == Octet.cr else { return .malformed }
                offset += 1
                state = .contentLineFeed
            case .contentLineFeed:
                guard byte == Octet.lf else { return .malformed }
                offset += 1
                state = .size(digits: 0, value: 0)
            case .trailer:
                offset += 1
                trailerBytes.append(byte)
                guard trailerBytes.count <= 16_384 else { return .malformed }
                if byte == Octet.lf, let over = readTrailerLine() {
                    guard over else { return .malformed }
                    state = .done
                    return .end(consumed: offset)
                }
            case .done:
                return .end(consumed: offset)
            }
        }
        return .needMore
    }

    private mutating func readSize(_ byte: UInt8, _ digits: Int, _ value: UInt64) -> Bool {
        if let digit = Octet.hexValue(byte) {
            guard digits < 15 else { return false }
            state = .size(digits: digits + 1, value: value << 4 | UInt64(digit))
            return true
        }
        guard digits > 0 else { return false }
        pendingValue = value
        switch byte {
        case Octet.cr: state = .sizeLineFeed
        case Octet.semicolon: state = .extensions
        default: return false
        }
        return true
    }

    /// True: the section is over; false: it is malformed; nil: it goes on.
    private mutating func readTrailerLine() -> Bool? {
        let count = trailerBytes.count
        guard count >= 2, trailerBytes[count - 2] == Octet.cr else { return false }
        if count == 2 {
            trailerBytes.removeAll(keepingCapacity: true)
            return true
        }
        let line = trailerBytes[0..<(count - 2)]
        trailerBytes.removeAll(keepingCapacity: true)
        guard let colon = line.firstIndex(of: Octet.colon), colon > line.startIndex, trailers.count < 64
        else {
            return false
        }
        let name = line[line.startIndex..<colon]
        let value = Octet.trim(line[(colon + 1)...])
        guard name.allSatisfy(Octet.isToken), value.allSatisfy(Octet.isFieldValue) else { return false }
        trailers.append(name: name, value: value)
        return nil
    }
}
