import EdgeHTTP
import EdgePolicy

/// Writes response heads in HTTP/1.1 form: the one place where the node's own framing fields come from.
struct HeadWriter {
    private(set) var bytes: [UInt8] = []

    init(status: Int, reason: [UInt8] = []) {
        bytes.reserveCapacity(512)
        append("HTTP/1.1 ")
        append(decimal: status)
        bytes.append(Octet.space)
        if reason.isEmpty { append(StatusPhrase.phrase(status)) } else { bytes.append(contentsOf: reason) }
        endLine()
    }

    /// Continues a head that was built before, up to but without its blank line.
    init(continuing prefix: [UInt8]) {
        bytes = prefix
        bytes.reserveCapacity(prefix.count + 160)
    }

    mutating func append(_ text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func append(decimal value: Int) {
        bytes.appendDecimal(Int64(value))
    }

    mutating func endLine() {
        bytes.append(Octet.cr)
        bytes.append(Octet.lf)
    }

    mutating func append(_ fields: FieldSection) {
        fields.serialise(into: &bytes)
    }

    mutating func append(_ name: FieldName, _ value: some Collection<UInt8>) {
        append(name.wireName)
        bytes.append(Octet.colon)
        bytes.append(Octet.space)
        bytes.append(contentsOf: value)
        endLine()
    }

    mutating func append(_ name: FieldName, decimal value: Int) {
        append(name.wireName)
        bytes.append(Octet.colon)
        bytes.append(Octet.space)
        append(decimal: value)
        endLine()
    }

    mutating func append(_ status: CacheStatus) {
        append("Cache-Status: ")
        status.append(to: &bytes)
        endLine()
    }

    /// Ends the head. HTTP/1.0 clients are told when the connection stays, HTTP/1.1 clients when it does not.
    mutating func finish(keepAlive: Bool, minorVersion: Int) {
        if !keepAlive {
            append("Connection: close\r\n")
        } else if minorVersion == 0 {
            append("Connection: keep-alive\r\n")
        }
        endLine()
    }
}
