/* utf8.c - bytes to code points and back, strictly.
 *
 * A lead byte fixes the length and the range of the second byte; that range alone shuts out
 * overlong forms, surrogates and everything above U+10FFFF. One table says it all. Decoding never
 * consumes more than one byte of what is malformed, so a reader resynchronises by itself.
 *
 *   lead     second   bytes
 *   00..7F            1
 *   C2..DF   80..BF   2
 *   E0       A0..BF   3        (80..9F would be overlong)
 *   ED       80..9F   3        (A0..BF would be a surrogate)
 *   F0       90..BF   4
 *   F4       80..8F   4        (90..BF would pass U+10FFFF) */
#include "base/utf8.h"
#include <string.h>

typedef struct lead {
    uint8_t n_bytes;
    uint8_t low, high; /* allowed second bytes */
} lead;

static const lead leads[] = {
    { 0, 0, 0 },       { 2, 0x80, 0xBF }, { 3, 0xA0, 0xBF }, { 3, 0x80, 0xBF },
    { 3, 0x80, 0x9F }, { 4, 0x90, 0xBF }, { 4, 0x80, 0xBF }, { 4, 0x80, 0x8F },
};

static const uint8_t lead_of[64] = {
    /* C0..FF -> a row of leads, 0: no lead */
    0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, /* C0 */
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, /* D0 */
    2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 3, 3, /* E0 */
    5, 6, 6, 6, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* F0 */
};

static const lead *find_lead(uint8_t byte)
{
    return byte < 0xC0 ? &leads[0] : &leads[lead_of[byte - 0xC0]];
}

/* How many of the n bytes at p begin a well-formed character of kind l: 1..l->n_bytes. */
static size_t well_formed(const lead *l, const uint8_t *p, size_t n)
{
    if (n < 2 || p[1] < l->low || p[1] > l->high) return 1;
    size_t i = 2;
    while (i < l->n_bytes && i < n && (p[i] & 0xC0) == 0x80) i++;
    return i;
}

size_t kw_utf8_decode(const char *p, size_t n, uint32_t *cp, bool *ok)
{
    const uint8_t *b = (const uint8_t *)p;
    if (ok) *ok = true;
    *cp = b[0];
    if (b[0] < 0x80) return 1;
    const lead *l = find_lead(b[0]);
    if (!l->n_bytes || well_formed(l, b, n) < l->n_bytes) {
        if (ok) *ok = false;
        *cp = KW_UTF8_BAD;
        return 1;
    }
    uint32_t c = b[0] & (0x7Fu >> l->n_bytes);
    for (size_t i = 1; i < l->n_bytes; i++) c = c << 6 | (b[i] & 0x3F);
    *cp = c;
    return l->n_bytes;
}

size_t kw_utf8_encode(uint32_t cp, char out[4])
{
    if (cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF)) cp = KW_UTF8_BAD;
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    size_t n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, cp >>= 6) out[i] = (char)(0x80 | (cp & 0x3F));
    out[0] = (char)((0xF00u >> n & 0xF0) | cp);
    return n;
}

size_t kw_utf8_skip_ascii(const char *p, size_t n, size_t i) /* eight at a time */
{
    for (uint64_t eight; n - i >= 8; i += 8) {
        memcpy(&eight, p + i, 8);
        if (eight & UINT64_C(0x8080808080808080)) break;
    }
    while (i < n && (unsigned char)p[i] < 0x80) i++;
    return i;
}

bool kw_utf8_valid(const char *p, size_t n, size_t *bad_at)
{
    for (size_t i = kw_utf8_skip_ascii(p, n, 0); i < n; i = kw_utf8_skip_ascii(p, n, i)) {
        uint32_t cp;
        bool ok;
        size_t used = kw_utf8_decode(p + i, n - i, &cp, &ok);
        if (!ok) {
            if (bad_at) *bad_at = i;
            return false;
        }
        i += used;
    }
    return true;
}

size_t kw_utf8_incomplete_tail(const char *p, size_t n)
{
    for (size_t tail = 1; tail <= 3 && tail <= n; tail++) {
        const uint8_t *b = (const uint8_t *)p + n - tail;
        if ((b[0] & 0xC0) == 0x80) continue; /* a continuation: its lead is further left */
        const lead *l = find_lead(b[0]);
        return tail < l->n_bytes && well_formed(l, b, tail) == tail ? tail : 0;
    }
    return 0;
}
