/* hash.c - XXH64, as its specification has it.
 *
 * Four lanes take 32 bytes a turn; what is left goes in by 8, 4 and 1 byte; a last mix spreads every bit. Little endian, so
 * that a file means the same everywhere. */
#include "base/hash.h"
#include <string.h>

static const uint64_t prime1 = UINT64_C(0x9E3779B185EBCA87), prime2 = UINT64_C(0xC2B2AE3D27D4EB4F),
                      prime3 = UINT64_C(0x165667B19E3779F9), prime4 = UINT64_C(0x85EBCA77C2B2AE63),
                      prime5 = UINT64_C(0x27D4EB2F165667C5);

static uint64_t rotate_left(uint64_t x, int n) { return x << n | x >> (64 - n); }

static uint64_t word_at(const unsigned char *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

static uint64_t half_at(const unsigned char *p)
{
    uint32_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

static uint64_t take(uint64_t lane, uint64_t word)
{
    return rotate_left(lane + word * prime2, 31) * prime1;
}

static uint64_t join(uint64_t h, uint64_t lane) { return (h ^ take(0, lane)) * prime1 + prime4; }

/* All whole stripes of 32 bytes; *p moves behind them. */
static uint64_t stripes(const unsigned char **p, const unsigned char *end, uint64_t seed)
{
    uint64_t a = seed + prime1 + prime2, b = seed + prime2, c = seed, d = seed - prime1;
    const unsigned char *at = *p;
    for (; end - at >= 32; at += 32) {
        a = take(a, word_at(at));
        b = take(b, word_at(at + 8));
        c = take(c, word_at(at + 16));
        d = take(d, word_at(at + 24));
    }
    *p = at;
    uint64_t h = rotate_left(a, 1) + rotate_left(b, 7) + rotate_left(c, 12) + rotate_left(d, 18);
    return join(join(join(join(h, a), b), c), d);
}

static uint64_t mixed(uint64_t h)
{
    h = (h ^ h >> 33) * prime2;
    h = (h ^ h >> 29) * prime3;
    return h ^ h >> 32;
}

uint64_t kw_hash64(const void *data, size_t len, uint64_t seed)
{
    const unsigned char *p = data;
    if (!len) return mixed(seed + prime5);
    const unsigned char *end = p + len;
    uint64_t h = len >= 32 ? stripes(&p, end, seed) : seed + prime5;
    h += len;
    for (; end - p >= 8; p += 8) h = rotate_left(h ^ take(0, word_at(p)), 27) * prime1 + prime4;
    if (end - p >= 4) {
        h = rotate_left(h ^ half_at(p) * prime1, 23) * prime2 + prime3;
        p += 4;
    }
    for (; p < end; p++) h = rotate_left(h ^ *p * prime5, 11) * prime1;
    return mixed(h);
}
