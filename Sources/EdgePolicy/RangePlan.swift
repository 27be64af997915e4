import EdgeHTTP

/// How a request with Range is answered from a complete stored response (RFC 9110 14, 15.3.7).
public enum RangePlan: Sendable, Equatable {
    /// 200 with the whole content.
    case whole
    /// 206 with one range.
    case single(Range<Int64>)
    /// 206 with multipart/byteranges, in this order.
    case multiple([Range<Int64>])
    /// 416.
    case unsatisfiable

    /// The plan for `request` against a stored response of `length` bytes. Range counts for GET and 200
    /// alone; on more lines than one it is malformed; If-Range may switch it off.
    public init(request: FieldSection, method: Method, status: Int, stored: FieldSection, length: Int64) {
        guard method == .get, status == 200, let range = request.first(.range),
            request.lines.count(where: { $0.name == .range }) == 1
        else {
            self = .whole
            return
        }
        let holds = Preconditions.ifRangeHolds(request: request, stored: stored)
        self.init(range: range, ifRangeHolds: holds, length: length)
    }

    /// The plan for one Range value, nil where the request has none.
    public init(range: ArraySlice<UInt8>?, ifRangeHolds: Bool, length: Int64) {
        guard let range, ifRangeHolds, case .ranges(let specs) = RangeSpecifier.parse(range) else {
            self = .whole
            return
        }
        switch ByteRangeSelection.resolve(specs, length: length) {
        case .whole: self = .whole
        case .unsatisfiable: self = .unsatisfiable
        case .ranges(let ranges): self = ranges.count == 1 ? .single(ranges[0]) : .multiple(ranges)
        }
    }

    // MARK: Fields (RFC 9110 14.4)

    /// Appends the value of Content-Range for a range of a content of `length` bytes.
    public static func appendContentRange(_ range: Range<Int64>, length: Int64, to output: inout [UInt8]) {
        precondition(!range.isEmpty && range.upperBound <= length, "a range outside the content")
        output.append(contentsOf: "bytes ".utf8)
        output.appendDecimal(range.lowerBound)
        output.append(UInt8(ascii: "-"))
        output.appendDecimal(range.upperBound - 1)
        output.append(UInt8(ascii: "/"))
        output.appendDecimal(length)
    }

    /// Appends the value of Content-Range for a 416.
    public static func appendUnsatisfiedRange(length: Int64, to output: inout [UInt8]) {
        output.append(contentsOf: "bytes */".utf8)
        output.appendDecimal(length)
    }

    // MARK: multipart/byteranges (RFC 9110 14.6)

    /// Appends the value of Content-Type for a multipart answer.
    public static func appendMultipartType(boundary: [UInt8], to output: inout [UInt8]) {
        output.append(contentsOf: "multipart/byteranges; boundary=".utf8)
        output.append(contentsOf: boundary)
    }

    /// Appends what stands before a part: the delimiter, the part's fields and the blank line.
    public static func appendPartHead(
        _ range: Range<Int64>, length: Int64, contentType: ArraySlice<UInt8>?, boundary: [UInt8],
        isFirst: Bool,
        to output: inout [UInt8]
    ) {
        output.append(contentsOf: (isFirst ? "--" : "\r\n--").utf8)
        output.append(contentsOf: boundary)
        output.append(contentsOf: "\r\n".utf8)
        if let contentType {
            output.append(contentsOf: "Content-Type: ".utf8)
            output.append(contentsOf: contentType)
            output.append(contentsOf: "\r\n".utf8)
        }
        output.append(contentsOf: "Content-Range: ".utf8)
        appendContentRange(range, length: length, to: &output)
        output.append(contentsOf: "\r\n\r\n".utf8)
    }

    /// Appends what stands after the last part.
    public static func appendMultipartEnd(boundary: [UInt8], to output: inout [UInt8]) {
        output.append(contentsOf: "\r\n--".utf8)
        output.append(contentsOf: boundary)
        output.append(contentsOf: "--\r\n".utf8)
    }

    /// The length of the whole multipart content: heads, parts and end.
    public static func multipartLength(
        _ ranges: [Range<Int64>], length: Int64, contentType: ArraySlice<UInt8>?, boundary: [UInt8]
    ) -> Int64 {
        var text: [UInt8] = []
        var total: Int64 = 0
        for (index, range) in ranges.enumerated() {
            appendPartHead(
                range, length: length, contentType: contentType, boundary: boundary, isFirst: index == 0,
                to: &text)
            total += range.upperBound - range.lowerBound
        }
        appendMultipartEnd(boundary: boundary, to: &text)
        return total + Int64(text.count)
    }
}
