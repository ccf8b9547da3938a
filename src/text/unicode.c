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

#define U KW_CP_LETTER | KW_CP_UPPER
#define L KW_CP_LETTER | KW_CP_LOWER
#define N KW_CP_NUMBER
#define S KW_CP_SPACE
#define P KW_CP_PUNCTUATION
#define Y KW_CP_SYMBOL
/* clang-format off */
const unsigned char kw_unicode_ascii[128] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, S, S, S, S, S, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    S, P, P, P, Y, P, P, P, P, P, P, Y, P, P, P, P, N, N, N, N, N, N, N, N, N, N, P, P, Y, Y, Y, P,
    P, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, P, P, P, Y, P,
    Y, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, P, Y, P, Y, 0,
};
/* clang-format on */
#undef U
#undef L
#undef N
#undef S
#undef P
#undef Y

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
    return cp < 128 ? kw_unicode_ascii[cp] : look_up(kw_unicode_classes, kw_unicode_n_classes, cp);
}

unsigned kw_unicode_combining(uint32_t cp)
{
    return cp < 0x300 ? 0 : look_up(kw_unicode_ccc, kw_unicode_n_ccc, cp);
}

unsigned kw_unicode_trait(uint32_t cp)
{
    return look_up(kw_unicode_traits, kw_unicode_n_traits, cp);
}

size_t kw_unicode_grapheme(kw_str text, size_t at)
{
    bool is_simple = at + 1 < text.n && text.p[at] >= ' ' && text.p[at] < 0x7f;
    if (is_simple && (signed char)text.p[at + 1] >= 0) return at + 1;
    bool is_open = true; /* only what may stand before a base was seen */
    size_t start = at;
    while (at < text.n) {
        uint32_t cp;
        size_t len = kw_utf8_decode(text.p + at, text.n - at, &cp, NULL);
        unsigned join = kw_unicode_trait(cp) & KW_CP_JOINS;
        if (join == KW_JOIN_CONTROL) {
            if (at > start) return at;
            bool is_pair = cp == '\r' && at + 1 < text.n && text.p[at + 1] == '\n';
            return at + len + is_pair;
        }
        if (join != KW_JOIN_EXTEND && !is_open) return at;
        is_open = join == KW_JOIN_PREPEND;
        at += len;
    }
    return at;
}

uint32_t kw_unicode_to_lower(uint32_t cp, uint32_t *mark)
{
    *mark = cp == 0x130 ? 0x307 : 0;
    if (cp < 128) return cp >= 'A' && cp <= 'Z' ? cp + 32 : cp;
    int low = 0, high = kw_unicode_n_lower;
    while (low < high) {
        int mid = (low + high) / 2;
        if (kw_unicode_lower[mid].upper < cp) low = mid + 1;
        else high = mid;
    }
    bool found = low < kw_unicode_n_lower && kw_unicode_lower[low].upper == cp;
    return found ? kw_unicode_lower[low].lower : cp;
}

size_t kw_unicode_compat(uint32_t cp, const uint32_t **form)
{
    int low = 0, high = kw_unicode_n_compatible;
    while (low < high) {
        int mid = (low + high) / 2;
        if (kw_unicode_compatible[mid].whole < cp) low = mid + 1;
        else high = mid;
    }
    if (low == kw_unicode_n_compatible || kw_unicode_compatible[low].whole != cp) return 0;
    *form = kw_unicode_compatible_pool + kw_unicode_compatible[low].at;
    return kw_unicode_compatible[low].n;
}

kw_char kw_unicode_wide_char(const char *p, size_t n)
{
    kw_char c = { 0 };
    c.len = kw_utf8_decode(p, n, &c.cp, NULL);
    c.class = kw_unicode_class(c.cp);
    return c;
}

size_t kw_unicode_back(kw_str text, size_t at)
{
    size_t i = at - 1;
    while (i && at - i < 4 && ((unsigned char)text.p[i] & 0xC0) == 0x80) i--;
    return i + kw_unicode_char(text.p + i, text.n - i).len == at ? i : at - 1;
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
