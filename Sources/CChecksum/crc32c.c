#include "CChecksum.h"
#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

static uint32_t table[8][256];
static int has_sse42;

// Runs before main, so that no lock is needed on the hot path.
__attribute__((constructor)) static void fill_tables(void) {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ 0x82F63B78u : c >> 1;
    table[0][i] = c;
  }
  for (uint32_t i = 0; i < 256; i++)
    for (int k = 1; k < 8; k++) table[k][i] = (table[k - 1][i] >> 8) ^ table[0][table[k - 1][i] & 255];
#if defined(__x86_64__)
  __builtin_cpu_init();
  has_sse42 = __builtin_cpu_supports("sse4.2");
#endif
}

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
__attribute__((target("sse4.2"))) static uint32_t crc_by_instruction(uint32_t crc, const uint8_t *p,
                                                                     size_t n) {
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

uint32_t lamina_crc32c(uint32_t crc, const void *data, size_t length) {
  uint32_t c = ~crc;
#if defined(__x86_64__)
  if (has_sse42) return ~crc_by_instruction(c, data, length);
#endif
  return ~crc_by_table(c, data, length);
}
