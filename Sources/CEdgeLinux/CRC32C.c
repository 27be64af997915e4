// CRC-32C by instruction (SSE4.2, ARMv8 CRC) or by table, chosen once when the program is loaded.
//
// The instruction takes three cycles and one can start in every cycle, so that one chain of them leaves two
// thirds of the unit idle. Long inputs are therefore cut into three streams of equal length that run side by
// side. A CRC is linear: the checksum of "A then B" is that of A, moved over as many zero bytes as B has, xor
// that of B begun from zero. Moving over a fixed number of zero bytes is a multiplication by a constant
// modulo the polynomial, done with four tables of 256 words, one for each byte of the checksum.
//
// Words here are reflected: bit 31 is the coefficient of x^0.
#include "edge_crc32c.h"

#include <string.h>

#if defined(__x86_64__)
#define CRC_TARGET __attribute__((target("sse4.2")))
#elif defined(__aarch64__) && defined(__linux__)
#define CRC_TARGET __attribute__((target("crc")))
#include <sys/auxv.h>
#endif

typedef uint32_t crc_function(uint32_t state, const unsigned char *bytes, size_t count);

static const uint32_t polynomial = 0x82f63b78;

// --- by table ---

static uint32_t slices[8][256];

static void fill_slices(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t word = byte;
        for (int bit = 0; bit < 8; bit++) word = (word >> 1) ^ (polynomial & (0 - (word & 1)));
        slices[0][byte] = word;
    }
    for (int slice = 1; slice < 8; slice++) {
        for (int byte = 0; byte < 256; byte++) {
            uint32_t word = slices[slice - 1][byte];
            slices[slice][byte] = (word >> 8) ^ slices[0][word & 0xff];
        }
    }
}

static uint32_t by_table(uint32_t state, const unsigned char *bytes, size_t count) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    for (; count >= 8; bytes += 8, count -= 8) {
        uint32_t low, high;
        memcpy(&low, bytes, 4);
        memcpy(&high, bytes + 4, 4);
        low ^= state;
        state = slices[7][low & 0xff] ^ slices[6][(low >> 8) & 0xff] ^ slices[5][(low >> 16) & 0xff] ^
                slices[4][low >> 24] ^ slices[3][high & 0xff] ^ slices[2][(high >> 8) & 0xff] ^
                slices[1][(high >> 16) & 0xff] ^ slices[0][high >> 24];
    }
#endif
    for (; count > 0; bytes++, count--) state = (state >> 8) ^ slices[0][(state ^ *bytes) & 0xff];
    return state;
}

// --- by instruction ---

#ifdef CRC_TARGET

// Bytes of each of the three streams: long ones for bodies, short ones for their rest and for small records.
enum { long_stream = 2048, short_stream = 256 };

static uint32_t over_long[4][256], over_short[4][256];

// a * b modulo the polynomial.
static uint32_t multiply(uint32_t a, uint32_t b) {
    uint32_t product = 0;
    for (uint32_t bit = 0x80000000u; bit != 0; bit >>= 1) {
        if (a & bit) product ^= b;
        b = (b >> 1) ^ (polynomial & (0 - (b & 1)));
    }
    return product;
}

// Fills the tables that move a checksum over `count` zero bytes, that is, multiply it by x^(8 * count).
static void fill_shift(uint32_t table[4][256], size_t count) {
    uint32_t factor = 0x80000000u;  // 1
    uint32_t square = 0x00800000u;  // x^8, then x^16, x^32 and so on
    for (size_t left = count; left > 0; left >>= 1) {
        if (left & 1) factor = multiply(factor, square);
        square = multiply(square, square);
    }
    for (int byte = 0; byte < 4; byte++) {
        table[byte][0] = 0;
        for (int bit = 0; bit < 8; bit++) {
            uint32_t power = multiply(factor, (uint32_t)1 << (8 * byte + bit));
            for (int below = 0; below < 1 << bit; below++)
                table[byte][(1 << bit) + below] = table[byte][below] ^ power;
        }
    }
}

static inline uint32_t shift(uint32_t table[4][256], uint32_t state) {
    return table[0][state & 0xff] ^ table[1][(state >> 8) & 0xff] ^ table[2][(state >> 16) & 0xff] ^
           table[3][state >> 24];
}

static inline uint64_t load(const unsigned char *bytes) {
    uint64_t word;
    memcpy(&word, bytes, 8);
    return word;
}

#if defined(__x86_64__)
#define CRC_WORD(state, word) __builtin_ia32_crc32di(state, word)
#define CRC_BYTE(state, byte) __builtin_ia32_crc32qi(state, byte)
static int has_instruction(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2") != 0;
}
#else
#define CRC_WORD(state, word) __builtin_arm_crc32cd((uint32_t)(state), word)
#define CRC_BYTE(state, byte) __builtin_arm_crc32cb((uint32_t)(state), byte)
static int has_instruction(void) { return (getauxval(AT_HWCAP) & (1ul << 7)) != 0; }  // HWCAP_CRC32
#endif

CRC_TARGET static inline uint32_t streams(
    uint32_t state, const unsigned char *bytes, size_t length, uint32_t table[4][256]) {
    uint64_t first = state, second = 0, third = 0;
    for (const unsigned char *end = bytes + length; bytes < end; bytes += 8) {
        first = CRC_WORD(first, load(bytes));
        second = CRC_WORD(second, load(bytes + length));
        third = CRC_WORD(third, load(bytes + 2 * length));
    }
    uint32_t two = shift(table, (uint32_t)first) ^ (uint32_t)second;
    return shift(table, two) ^ (uint32_t)third;
}

CRC_TARGET static uint32_t by_instruction(uint32_t state, const unsigned char *bytes, size_t count) {
    for (; count > 0 && ((uintptr_t)bytes & 7) != 0; bytes++, count--) state = CRC_BYTE(state, *bytes);
    for (; count >= 3 * long_stream; bytes += 3 * long_stream, count -= 3 * long_stream)
        state = streams(state, bytes, long_stream, over_long);
    for (; count >= 3 * short_stream; bytes += 3 * short_stream, count -= 3 * short_stream)
        state = streams(state, bytes, short_stream, over_short);
    uint64_t wide = state;
    for (; count >= 8; bytes += 8, count -= 8) wide = CRC_WORD(wide, load(bytes));
    state = (uint32_t)wide;
    for (; count > 0; bytes++, count--) state = CRC_BYTE(state, *bytes);
    return state;
}

#endif

// --- the choice ---

static crc_function *update = by_table;

// Before `main`, so that no call needs a lock or a check. Nothing computes a checksum earlier than that.
__attribute__((constructor)) static void choose(void) {
    fill_slices();
#ifdef CRC_TARGET
    if (has_instruction()) {
        fill_shift(over_long, long_stream);
        fill_shift(over_short, short_stream);
        update = by_instruction;
    }
#endif
}

uint32_t edge_crc32c(uint32_t crc, const void *bytes, size_t count) { return ~update(~crc, bytes, count); }

uint32_t edge_crc32c_by_table(uint32_t crc, const void *bytes, size_t count) {
    return ~by_table(~crc, bytes, count);
}

int edge_crc32c_is_hardware(void) { return update != by_table; }
