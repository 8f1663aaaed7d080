#include "CDigest.h"

#include <openssl/evp.h>

// `lamina_sha256` is libcrypto's context under a name of our own, so that no header of libcrypto
// has to be found by the compiler of Swift.
static EVP_MD_CTX *context(lamina_sha256 *digest) { return (EVP_MD_CTX *)digest; }

lamina_sha256 *lamina_sha256_create(void) {
  EVP_MD_CTX *made = EVP_MD_CTX_new();
  if (made != NULL && EVP_DigestInit_ex(made, EVP_sha256(), NULL) != 1) {
    EVP_MD_CTX_free(made);
    made = NULL;
  }
  return (lamina_sha256 *)made;
}

int lamina_sha256_update(lamina_sha256 *digest, const void *bytes, size_t length) {
  return EVP_DigestUpdate(context(digest), bytes, length) == 1 ? 0 : -1;
}

int lamina_sha256_finish(lamina_sha256 *digest, uint8_t *result) {
  unsigned int length = 0;
  if (EVP_DigestFinal_ex(context(digest), result, &length) != 1) return -1;
  return length == 32 ? 0 : -1;
}

void lamina_sha256_destroy(lamina_sha256 *digest) { EVP_MD_CTX_free(context(digest)); }
