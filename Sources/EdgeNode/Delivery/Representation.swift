import EdgeHTTP
import EdgePolicy
import NIOCore

/// What a client gets of one response, before it is known whether that is the whole, ranges of it or none: the same
/// for a stored response and for one that is on its way.
struct Representation {
    /// What is asked of it.
    enum Shape {
        case whole
        case notModified
        case single(Range<Int64>)
        case multiple([Range<Int64>])
        case unsatisfiable

        /// The bytes of a body of `length` that an answer of this shape needs, in the order in which it needs them.
        func needs(of length: Int64) -> [Range<Int64>] {
            switch self {
            case .whole: length > 0 ? [0..<length] : []
            case .single(let range): [range]
            case .multiple(let ranges): ranges
            case .notModified, .unsatisfiable: []
            }
        }
    }

    /// End-to-end fields, not yet edited by the rules.
    let fields: FieldSection
    /// Set-Cookie lines of this answer alone, beside `fields`.
    let cookies: FieldSection?
    let status: Int
    let length: Int64
    /// The Age field; nil where none is sent.
    let ageSeconds: Int64?
    let cacheStatus: CacheStatus
    let source: Delivery.Source

    /// How `request` is answered from a response with these fields (RFC 9110 13.2.2).
    static func shape(for request: ExchangeRequest, status: Int, fields: FieldSection, length: Int64) -> Shape
    {
        let asked = request.head.fields
        if Preconditions.hasConditions(asked),
            Preconditions.evaluate(
                request: asked, method: request.head.method, status: status, stored: fields) == .notModified
        {
            return .notModified
        }
        guard request.head.names.contains(.range) else { return .whole }
        let plan = RangePlan(
            request: asked, method: request.head.method, status: status, stored: fields, length: length)
        switch plan {
        case .whole: return .whole
        case .single(let range): return .single(range)
        case .multiple(let ranges): return .multiple(ranges)
        case .unsatisfiable: return .unsatisfiable
        }
    }
}

/// Answers with a part of a representation.
extension Exchange {
    func send(_ shape: Representation.Shape, of representation: Representation) {
        switch shape {
        case .whole: sendWhole(representation)
        case .notModified: sendNotModified(representation)
        case .single(let range): sendRange(range, of: representation)
        case .multiple(let ranges): sendRanges(ranges, of: representation)
        case .unsatisfiable: sendUnsatisfiable(representation)
        }
    }

    private func head(_ status: Int, _ fields: FieldSection, _ representation: Representation) -> HeadWriter {
        var writer = HeadWriter(status: status)
        writer.append(fields)
        if let cookies = representation.cookies { writer.append(cookies) }
        if let age = representation.ageSeconds, !request.rules.ownsLifetime {
            writer.append(.age, decimal: Int(age))
        }
        writer.append(representation.cacheStatus)
        return writer
    }

    private func editedFields(_ representation: Representation) -> FieldSection {
        var fields = representation.fields
        request.rules.edit(&fields, now: context.wallNow())
        return fields
    }

    private func begin(
        _ writer: HeadWriter, status: Int, _ representation: Representation, _ segments: [Delivery.Segment]
    ) {
        let isHead = request.head.method == .head
        let delivery = Delivery(source: representation.source, segments: isHead ? [] : segments)
        start(writer, status: status, delivery)
    }

    private func sendWhole(_ representation: Representation) {
        var writer = head(representation.status, editedFields(representation), representation)
        if representation.status != 204 { writer.append(.contentLength, decimal: Int(representation.length)) }
        begin(writer, status: representation.status, representation, [.span(0..<representation.length)])
    }

    private func sendRange(_ range: Range<Int64>, of representation: Representation) {
        var writer = head(206, editedFields(representation), representation)
        var contentRange: [UInt8] = []
        RangePlan.appendContentRange(range, length: representation.length, to: &contentRange)
        writer.append(.contentRange, contentRange)
        writer.append(.contentLength, decimal: range.count)
        begin(writer, status: 206, representation, [.span(range)])
    }

    private func sendRanges(_ ranges: [Range<Int64>], of representation: Representation) {
        var generator = SystemRandomNumberGenerator()
        let boundary = Array(
            ("rockpool" + String(generator.next(), radix: 16) + String(generator.next(), radix: 16)).utf8)
        var fields = editedFields(representation)
        let type = representation.fields.first(.contentType)
        var segments: [Delivery.Segment] = []
        var total = 0
        for (index, range) in ranges.enumerated() {
            var part: [UInt8] = []
            RangePlan.appendPartHead(
                range, length: representation.length, contentType: type, boundary: boundary,
                isFirst: index == 0, to: &part)
            segments.append(.literal(ByteBuffer(bytes: part)))
            segments.append(.span(range))
            total += part.count + range.count
        }
        var last: [UInt8] = []
        RangePlan.appendMultipartEnd(boundary: boundary, to: &last)
        segments.append(.literal(ByteBuffer(bytes: last)))
        total += last.count
        fields.remove(.contentType)
        var multipartType: [UInt8] = []
        RangePlan.appendMultipartType(boundary: boundary, to: &multipartType)
        fields.append(.contentType, multipartType)
        var writer = head(206, fields, representation)
        writer.append(.contentLength, decimal: total)
        begin(writer, status: 206, representation, segments)
    }

    private func sendUnsatisfiable(_ representation: Representation) {
        var writer = HeadWriter(status: 416)
        if let date = editedFields(representation).first(.date) { writer.append(.date, date) }
        var contentRange: [UInt8] = []
        RangePlan.appendUnsatisfiedRange(length: representation.length, to: &contentRange)
        writer.append(.contentRange, contentRange)
        writer.append(representation.cacheStatus)
        writer.append(.contentLength, decimal: 0)
        begin(writer, status: 416, representation, [])
    }

    /// RFC 9110 15.4.5: the fields that a 304 repeats.
    private func sendNotModified(_ representation: Representation) {
        let repeated = FieldNameSet(
            .cacheControl, .contentLocation, .date, .etag, .expires, .vary, .lastModified, .cdnCacheControl)
        var fields = editedFields(representation)
        fields.removeAll { _, line in !repeated.contains(line.name) }
        begin(head(304, fields, representation), status: 304, representation, [])
    }
}
