#ifndef LAMINA_CCHECKSUM_H
#define LAMINA_CCHECKSUM_H
#include <stddef.h>
#include <stdint.h>

/// CRC-32C (Castagnoli, RFC 3720 B.4) of `length` bytes, continuing from `crc` (0 to begin).
uint32_t lamina_crc32c(uint32_t crc, const void *data, size_t length);

/// CRC-32C of `length` bytes of which the four at `field` count as zero: how every structure that
/// holds its own checksum is summed. `field + 4` must not exceed `length`.
uint32_t lamina_crc32c_without_field(const void *data, size_t length, size_t field);

/// As `lamina_crc32c`, but never with the processor's instruction: for processors without it, and
/// for tests that compare the two.
uint32_t lamina_crc32c_by_table(uint32_t crc, const void *data, size_t length);

#endif
