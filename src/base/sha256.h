/* sha256.h - SHA-256 (FIPS 180-4): the name of a file's contents that nobody can forge. */
#ifndef KW_BASE_SHA256_H
#define KW_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct kw_sha256 {
    uint32_t h[8];
    uint64_t n; /* bytes so far */
    unsigned char block[64];
} kw_sha256;

void kw_sha256_open(kw_sha256 *s);
void kw_sha256_add(kw_sha256 *s, const void *data, size_t len);
void kw_sha256_close(kw_sha256 *s, char hex[65]); /* lower case, NUL-terminated */

#endif
