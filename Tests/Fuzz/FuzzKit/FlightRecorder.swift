import Glibc

/// What each thread had in hand last, in a file that outlives a crash.
///
/// A slot is the length in eight bytes, then the bytes themselves.
// Sendable because every slot has one writer; nobody reads it while it is written.
public final class FlightRecorder: @unchecked Sendable {
    public static let slotBytes = 64 * 1024
    private let memory: UnsafeMutableRawPointer
    private let slots: Int
    private let path: String

    public init(path: String, slots: Int) throws {
        let descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0, ftruncate(descriptor, slots * Self.slotBytes) == 0,
            let memory = mmap(nil, slots * Self.slotBytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
            memory != MAP_FAILED
        else { throw FuzzFailure("\(path): \(String(cString: strerror(errno)))") }
        close(descriptor)
        self.memory = memory
        self.slots = slots
        self.path = path
    }

    deinit { munmap(memory, slots * Self.slotBytes) }

    func note(_ bytes: [UInt8], slot: Int) {
        let start = memory + (slot % slots) * Self.slotBytes
        let count = min(bytes.count, Self.slotBytes - 8)
        start.storeBytes(of: UInt64(count), as: UInt64.self)
        bytes.withUnsafeBytes { source in
            if let base = source.baseAddress { (start + 8).copyMemory(from: base, byteCount: count) }
        }
    }

    /// The run ended well: nobody needs it.
    public func remove() { unlink(path) }
}

/// What the fuzzer found, or why it cannot go on.
public struct FuzzFailure: Error, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }

    /// With the bytes that did it, as a literal.
    init(_ what: String, _ bytes: [UInt8]) {
        var text = ""
        for byte in bytes.prefix(4_000) {
            switch byte {
            case 13: text += "\\r"
            case 10: text += "\\n"
            case 34, 92: text += "\\" + String(UnicodeScalar(byte))
            case 32..<127: text += String(UnicodeScalar(byte))
            default: text += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }
        let rest = bytes.count > 4_000 ? " and \(bytes.count - 4_000) bytes more" : ""
        description = "\(what): \"\(text)\"\(rest)"
    }
}
