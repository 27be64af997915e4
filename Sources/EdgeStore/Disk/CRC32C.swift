import CEdgeLinux

/// CRC-32C (Castagnoli), the checksum of everything on disk.
///
/// Reflected, beginning and ending with all bits inverted, so that "123456789" gives 0xE3069283. By the
/// processor's instruction where it has one (SSE4.2, ARMv8 CRC), else by table.
public enum CRC32C {
    /// The checksum of `bytes`, continuing from the checksum of what came before them.
    public static func checksum(_ bytes: UnsafeRawBufferPointer, continuing crc: UInt32 = 0) -> UInt32 {
        edge_crc32c(crc, bytes.baseAddress, bytes.count)
    }

    /// The checksum of `bytes`, continuing from the checksum of what came before them.
    public static func checksum(_ bytes: [UInt8], continuing crc: UInt32 = 0) -> UInt32 {
        bytes.withUnsafeBytes { checksum($0, continuing: crc) }
    }

    /// Always by table, for comparing.
    static func checksumByTable(_ bytes: UnsafeRawBufferPointer, continuing crc: UInt32 = 0) -> UInt32 {
        edge_crc32c_by_table(crc, bytes.baseAddress, bytes.count)
    }

    /// Whether `checksum` uses the processor's instruction.
    static var isHardware: Bool { edge_crc32c_is_hardware() != 0 }
}
