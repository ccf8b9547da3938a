/* unicode.c - looks characters up in the generated tables.
 *
 * A property is a sorted list of the places where it changes, so a lookup is one binary search of
 * ten steps; ASCII, which is most of most text, has a table of its own. Hangul syllables are not
 * in the tables because they compose by arithmetic. */
#include "text/unicode.h"

enum {
    HANGUL_FIRST = 0xAC00,
    HANGUL_LAST = 0xD7A3,
    LEAD = 0x1100,
    VOWEL = 0x1161,
    TRAIL = 0x11A7, /* one before the first: index 0 means no trailing consonant */
    N_LEAD = 19,
    N_VOWEL = 21,
    N_TRAIL = 28
};

#define L KW_CP_LETTER
#define N KW_CP_NUMBER
#define S KW_CP_SPACE
/* clang-format off */
static const unsigned char ascii[128] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, S, S, S, S, S, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    S, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, N, N, N, N, N, N, N, N, N, N, 0, 0, 0, 0, 0, 0,
    0, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, 0, 0, 0, 0, 0,
    0, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, 0, 0, 0, 0, 0,
};
/* clang-format on */
#undef L
#undef N
#undef S

/* The value of the last change that is not above cp. */
static unsigned look_up(const uint32_t *changes, int n, uint32_t cp)
{
    int low = 0, high = n; /* changes[low] <= cp < changes[high] */
    while (high - low > 1) {
        int mid = (low + high) / 2;
        if (changes[mid] >> 8 <= cp) low = mid;
        else high = mid;
    }
    return changes[low] & 0xFF;
}

unsigned kw_unicode_class(uint32_t cp)
{
    return cp < 128 ? ascii[cp] : look_up(kw_unicode_classes, kw_unicode_n_classes, cp);
}

unsigned kw_unicode_combining(uint32_t cp)
{
    return cp < 0x300 ? 0 : look_up(kw_unicode_ccc, kw_unicode_n_ccc, cp);
}

kw_char kw_unicode_char(const char *p, size_t n)
{
    kw_char c = { .cp = (unsigned char)*p, .len = 1 };
    if (c.cp >= 128) c.len = kw_utf8_decode(p, n, &c.cp, NULL);
    c.class = kw_unicode_class(c.cp);
    return c;
}

bool kw_unicode_split(uint32_t cp, uint32_t *first, uint32_t *second)
{
    if (cp >= HANGUL_FIRST && cp <= HANGUL_LAST) {
        uint32_t i = cp - HANGUL_FIRST, trail = i % N_TRAIL;
        *first = trail ? cp - trail : LEAD + i / (N_VOWEL * N_TRAIL);
        *second = trail ? TRAIL + trail : VOWEL + i / N_TRAIL % N_VOWEL;
        return true;
    }
    int low = 0, high = kw_unicode_n_decompositions;
    while (low < high) {
        int mid = (low + high) / 2;
        if (kw_unicode_decompositions[mid].whole < cp) low = mid + 1;
        else high = mid;
    }
    const kw_decomposition *d = &kw_unicode_decompositions[low];
    if (low == kw_unicode_n_decompositions || d->whole != cp) return false;
    *first = d->first;
    *second = d->second;
    return true;
}

static uint32_t join_hangul(uint32_t first, uint32_t second)
{
    uint32_t lead = first - LEAD, vowel = second - VOWEL, trail = second - TRAIL;
    if (lead < N_LEAD && vowel < N_VOWEL) return HANGUL_FIRST + (lead * N_VOWEL + vowel) * N_TRAIL;
    bool is_open =
        first >= HANGUL_FIRST && first <= HANGUL_LAST && (first - HANGUL_FIRST) % N_TRAIL == 0;
    return is_open && trail > 0 && trail < N_TRAIL ? first + trail : 0;
}

uint32_t kw_unicode_join(uint32_t first, uint32_t second)
{
    uint32_t hangul = join_hangul(first, second);
    uint64_t wanted = (uint64_t)first << 32 | second;
    int low = 0, high = kw_unicode_n_compositions;
    if (hangul) return hangul;
    while (low < high) {
        int mid = (low + high) / 2;
        const kw_decomposition *d = &kw_unicode_decompositions[kw_unicode_compositions[mid]];
        uint64_t found = (uint64_t)d->first << 32 | d->second;
        if (found == wanted) return d->whole;
        if (found < wanted) low = mid + 1;
        else high = mid;
    }
    return 0;
}
