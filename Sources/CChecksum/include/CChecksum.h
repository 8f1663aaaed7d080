#ifndef LAMINA_CCHECKSUM_H
#define LAMINA_CCHECKSUM_H
#include <stddef.h>
#include <stdint.h>

/// CRC-32C (Castagnoli, RFC 3720 B.4) of `length` bytes, continuing from `crc` (0 to begin).
uint32_t lamina_crc32c(uint32_t crc, const void *data, size_t length);

#endif
