// CRC-32C (Castagnoli), the checksum of the records on disk.
#pragma once

#include <stddef.h>
#include <stdint.h>

// The CRC-32C of `count` bytes, continuing from `crc`, the checksum of what came before them (0 at the start).
// Uses the processor's instruction where it has one. Safe from every thread. `bytes` may be NULL when `count`
// is 0.
uint32_t edge_crc32c(uint32_t crc, const void *bytes, size_t count);
// The same by table (slicing by 8), which is what edge_crc32c does on processors without the instruction.
uint32_t edge_crc32c_by_table(uint32_t crc, const void *bytes, size_t count);
// 1 when edge_crc32c uses the processor's instruction, else 0.
int edge_crc32c_is_hardware(void);
