/* str.c - borrowed slices of text: comparing, numbers, and "did you mean".
 *
 * The edit distance keeps three rows of its table on the stack, so names are limited to LONGEST
 * bytes; longer ones count as unlike, which for a suggestion is good enough. */
#include "base/str.h"
#include "base/decimal.h"
#include <string.h>

enum { LONGEST = 127 };

kw_str kw_str_of(const char *nul_terminated)
{
    return (kw_str){ nul_terminated, strlen(nul_terminated) };
}

bool kw_str_eq(kw_str a, kw_str b) { return a.n == b.n && (!a.n || memcmp(a.p, b.p, a.n) == 0); }

bool kw_str_is(kw_str a, const char *nul_terminated)
{
    return kw_str_eq(a, kw_str_of(nul_terminated));
}

bool kw_str_starts(kw_str a, const char *prefix)
{
    kw_str b = kw_str_of(prefix);
    return a.n >= b.n && kw_str_eq((kw_str){ a.p, b.n }, b);
}

bool kw_str_ends(kw_str a, const char *suffix)
{
    kw_str b = kw_str_of(suffix);
    return a.n >= b.n && (!b.n || kw_str_eq((kw_str){ a.p + (a.n - b.n), b.n }, b));
}

const char *kw_str_find(kw_str a, const char *part)
{
    kw_str b = kw_str_of(part);
    for (size_t i = 0; b.n && i + b.n <= a.n; i++)
        if (memcmp(a.p + i, b.p, b.n) == 0) return a.p + i;
    return NULL;
}

bool kw_str_i64(kw_str a, int64_t *out)
{
    bool negative = a.n && a.p[0] == '-';
    size_t i = negative;
    if (i == a.n) return false;
    int64_t v = 0; /* kept negative: that side reaches one further */
    for (; i < a.n; i++) {
        if (a.p[i] < '0' || a.p[i] > '9') return false;
        int digit = a.p[i] - '0';
        if (v < (INT64_MIN + digit) / 10) return false;
        v = v * 10 - digit;
    }
    if (!negative && v == INT64_MIN) return false;
    *out = negative ? v : -v;
    return true;
}

bool kw_str_f64(kw_str a, double *out) { return kw_decimal_read(a, out); }

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

bool kw_str_same_word(const char *a, const char *b)
{
    while (*a && lower(*a) == lower(*b)) a++, b++;
    return !*a && !*b;
}

static int smaller(int a, int b) { return a < b ? a : b; }

/* One cell of the table: a[i-1] against b[j-1], from the rows for i-2, i-1 and i. */
static int cell(kw_str a, kw_str b, size_t i, size_t j, int rows[3][LONGEST + 1])
{
    const int *before = rows[(i + 1) % 3], *above = rows[(i + 2) % 3], *here = rows[i % 3];
    char x = lower(a.p[i - 1]), y = lower(b.p[j - 1]);
    int best = smaller(above[j] + 1, here[j - 1] + 1);
    best = smaller(best, above[j - 1] + (x != y));
    bool swapped = i > 1 && j > 1 && x == lower(b.p[j - 2]) && lower(a.p[i - 2]) == y;
    return swapped ? smaller(best, before[j - 2] + 1) : best;
}

int kw_str_distance(kw_str a, kw_str b, int limit)
{
    int rows[3][LONGEST + 1];
    size_t gap = a.n > b.n ? a.n - b.n : b.n - a.n;
    if (a.n > LONGEST || b.n > LONGEST || (int)gap > limit) return limit + 1;
    for (size_t j = 0; j <= b.n; j++) rows[0][j] = (int)j;
    for (size_t i = 1; i <= a.n; i++) {
        rows[i % 3][0] = (int)i;
        for (size_t j = 1; j <= b.n; j++) rows[i % 3][j] = cell(a, b, i, j, rows);
    }
    return smaller(rows[a.n % 3][b.n], limit + 1);
}

int kw_str_nearest(kw_str word, const char *const *names, int n_names)
{
    int limit = word.n < 24 ? (int)word.n / 3 : 8, nearest = -1;
    for (int i = 0; i < n_names; i++) {
        int distance = kw_str_distance(word, kw_str_of(names[i]), limit);
        if (distance > limit) continue;
        nearest = i;
        limit = distance - 1; /* the first of equally near names stays */
        if (limit < 0) break;
    }
    return nearest;
}
