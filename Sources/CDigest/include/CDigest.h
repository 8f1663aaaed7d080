#ifndef LAMINA_CDIGEST_H
#define LAMINA_CDIGEST_H
#include <stddef.h>
#include <stdint.h>

/// A SHA-256 (FIPS 180-4) in the making, by libcrypto.
typedef struct lamina_sha256 lamina_sha256;

/// Begins a digest; NULL if there is no memory, or libcrypto was set up without SHA-256.
lamina_sha256 *lamina_sha256_create(void);

/// Goes on with `length` bytes. 0 on success.
int lamina_sha256_update(lamina_sha256 *digest, const void *bytes, size_t length);

/// Ends the digest: writes its 32 bytes. Nothing may follow but `lamina_sha256_destroy`. 0 on
/// success.
int lamina_sha256_finish(lamina_sha256 *digest, uint8_t *result);

/// Frees the digest, ended or not.
void lamina_sha256_destroy(lamina_sha256 *digest);

#endif
