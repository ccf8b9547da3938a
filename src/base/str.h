/* str.h - borrowed slices of text, and the few questions asked of them. */
#ifndef KW_BASE_STR_H
#define KW_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct kw_str {
    const char *p; /* not NUL-terminated; may be NULL when n is 0 */
    size_t n;
} kw_str;

#define KW_STR(literal) ((kw_str){ (literal), sizeof(literal) - 1 })
kw_str kw_str_of(const char *nul_terminated);
bool kw_str_eq(kw_str a, kw_str b);
bool kw_str_is(kw_str a, const char *nul_terminated);
bool kw_str_starts(kw_str a, const char *prefix);
bool kw_str_ends(kw_str a, const char *suffix);
const char *kw_str_find(kw_str a, const char *part); /* where it first stands; "" does nowhere */
bool kw_str_same_word(const char *a,
                      const char *b); /* whatever the case of their letters (ASCII) */
/* What a counted word ends in: 1 tensor, 2 tensors. */
static inline const char *kw_s(uint64_t n) { return n == 1 ? "" : "s"; }
/* Strict decimal: the whole slice, no spaces; false on anything else or overflow. */
bool kw_str_i64(kw_str a, int64_t *out);
bool kw_str_f64(kw_str a, double *out);

/* Case-insensitive edit distance (a swap of neighbours counts 1), cut off at `limit` + 1. */
int kw_str_distance(kw_str a, kw_str b, int limit);
/* The index of the name nearest to `word`, or -1 when none is near enough to suggest. */
int kw_str_nearest(kw_str word, const char *const *names, int n_names);

#endif
