/* utf8.h - bytes to code points and back, strict: no overlongs, no surrogates, up to U+10FFFF. */
#ifndef KW_BASE_UTF8_H
#define KW_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KW_UTF8_BAD = 0xFFFD };

/* Decodes one code point at p (n > 0 bytes left). Returns the bytes used (1..4); a malformed byte
 * gives *cp = KW_UTF8_BAD, *ok = false (ok may be NULL) and uses 1 byte. */
size_t kw_utf8_decode(const char *p, size_t n, uint32_t *cp, bool *ok);
/* Writes cp as 1..4 bytes, returns how many. */
size_t kw_utf8_encode(uint32_t cp, char out[4]);
/* The first byte at or after i that is not ASCII, or n. */
size_t kw_utf8_skip_ascii(const char *p, size_t n, size_t i);
bool kw_utf8_valid(const char *p, size_t n, size_t *bad_at); /* bad_at may be NULL */
/* How many bytes at the end of p[0..n) belong to a character that is not complete yet (0..3). */
size_t kw_utf8_incomplete_tail(const char *p, size_t n);

#endif
