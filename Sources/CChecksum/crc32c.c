#include "CChecksum.h"
#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

static uint32_t table[8][256];

static uint32_t crc_by_table(uint32_t c, const uint8_t *p, size_t n) {
  for (; n >= 8; p += 8, n -= 8) {
    uint64_t v;
    memcpy(&v, p, 8);
    v ^= c;
    c = table[7][v & 255] ^ table[6][v >> 8 & 255] ^ table[5][v >> 16 & 255] ^
        table[4][v >> 24 & 255] ^ table[3][v >> 32 & 255] ^ table[2][v >> 40 & 255] ^
        table[1][v >> 48 & 255] ^ table[0][v >> 56];
  }
  for (; n > 0; p++, n--) c = c >> 8 ^ table[0][(c ^ *p) & 255];
  return c;
}

#if defined(__x86_64__)
// The instruction takes three cycles but starts one a cycle, so three neighbouring stretches are
// summed at once. Summing n more zero bytes is linear in the register, so a table for each length
// moves one stretch's sum past the next.
//
// 3 × 1344 bytes is a node without its header; what is left over takes the short stretches.
enum { LONG_STRETCH = 1344, SHORT_STRETCH = 168 };

static int has_sse42;
static uint32_t past_long[4][256];
static uint32_t past_short[4][256];

static void fill_shift(uint32_t shift[4][256], size_t length) {
  static const uint8_t zeros[LONG_STRETCH];
  for (int k = 0; k < 4; k++) {
    for (int bit = 0; bit < 8; bit++)
      shift[k][1 << bit] = crc_by_table(1u << (8 * k + bit), zeros, length);
    for (int i = 1; i < 256; i++)
      if (i & (i - 1)) shift[k][i] = shift[k][i & (i - 1)] ^ shift[k][i & -i];
  }
}

static uint32_t moved(uint32_t shift[4][256], uint32_t c) {
  return shift[0][c & 255] ^ shift[1][c >> 8 & 255] ^ shift[2][c >> 16 & 255] ^ shift[3][c >> 24];
}

__attribute__((target("sse4.2"))) static inline uint32_t three_stretches(uint32_t crc,
                                                                         const uint8_t *p,
                                                                         size_t stretch,
                                                                         uint32_t shift[4][256]) {
  uint64_t a = crc, b = 0, c = 0;
  for (size_t i = 0; i < stretch; i += 8) {
    uint64_t u, v, w;
    memcpy(&u, p + i, 8);
    memcpy(&v, p + stretch + i, 8);
    memcpy(&w, p + 2 * stretch + i, 8);
    a = _mm_crc32_u64(a, u);
    b = _mm_crc32_u64(b, v);
    c = _mm_crc32_u64(c, w);
  }
  uint32_t ab = moved(shift, (uint32_t)a) ^ (uint32_t)b;
  return moved(shift, ab) ^ (uint32_t)c;
}

__attribute__((target("sse4.2"))) static uint32_t crc_by_instruction(uint32_t crc, const uint8_t *p,
                                                                     size_t n) {
  for (; n >= 3 * LONG_STRETCH; p += 3 * LONG_STRETCH, n -= 3 * LONG_STRETCH)
    crc = three_stretches(crc, p, LONG_STRETCH, past_long);
  for (; n >= 3 * SHORT_STRETCH; p += 3 * SHORT_STRETCH, n -= 3 * SHORT_STRETCH)
    crc = three_stretches(crc, p, SHORT_STRETCH, past_short);
  uint64_t c = crc;
  for (; n >= 8; p += 8, n -= 8) {
    uint64_t v;
    memcpy(&v, p, 8);
    c = _mm_crc32_u64(c, v);
  }
  uint32_t r = (uint32_t)c;
  for (; n > 0; p++, n--) r = _mm_crc32_u8(r, *p);
  return r;
}
#endif

// Runs before main, so that no lock is needed on the hot path.
__attribute__((constructor)) static void fill_tables(void) {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ 0x82F63B78u : c >> 1;
    table[0][i] = c;
  }
  for (uint32_t i = 0; i < 256; i++)
    for (int k = 1; k < 8; k++)
      table[k][i] = (table[k - 1][i] >> 8) ^ table[0][table[k - 1][i] & 255];
#if defined(__x86_64__)
  fill_shift(past_long, LONG_STRETCH);
  fill_shift(past_short, SHORT_STRETCH);
  __builtin_cpu_init();
  has_sse42 = __builtin_cpu_supports("sse4.2");
#endif
}

uint32_t lamina_crc32c(uint32_t crc, const void *data, size_t length) {
#if defined(__x86_64__)
  if (has_sse42) return ~crc_by_instruction(~crc, data, length);
#endif
  return ~crc_by_table(~crc, data, length);
}

uint32_t lamina_crc32c_without_field(const void *data, size_t length, size_t field) {
  static const uint8_t zeros[4];
  const uint8_t *p = data;
  uint32_t crc = lamina_crc32c(0, p, field);
  crc = lamina_crc32c(crc, zeros, sizeof zeros);
  return lamina_crc32c(crc, p + field + 4, length - field - 4);
}

uint32_t lamina_crc32c_by_table(uint32_t crc, const void *data, size_t length) {
  return ~crc_by_table(~crc, data, length);
}
