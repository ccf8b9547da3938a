/* pattern.h - regular expressions that no matcher was written for: pattern_pcre2.c runs them, pattern_absent.c refuses them.
 *
 * A kw_pattern is shared (immutable). What is found is what Oniguruma finds, which the Hugging Face library uses: leftmost, the
 * first alternative that fits, and an empty match only where the one before did not end. Matching has limits: a
 * pattern that backtracks without end is an error after a while (KW_ELIMIT), never a hang. */
#ifndef KW_TEXT_PATTERN_H
#define KW_TEXT_PATTERN_H

#include "base/base.h"

typedef struct kw_pattern kw_pattern;
/* KW_EUNSUPPORTED names a pattern that cannot be run. Close with kw_pattern_free. */
kw_status kw_pattern_new(kw_str regex, kw_pattern **out);
void kw_pattern_free(kw_pattern *p); /* NULL is fine */

/* A walk through the matches in one text, which is borrowed until the end of it. */
typedef struct kw_pattern_walk {
    const kw_pattern *pattern;
    kw_str text;     /* malformed bytes are control characters in it */
    char *own;       /* its bytes, where it is a copy */
    size_t at;       /* where to look next */
    size_t last_end; /* of the match before; SIZE_MAX: there was none */
    uint64_t until_ns;
    struct pcre2_real_match_data_8 *found;
    struct pcre2_real_match_context_8 *limits;
} kw_pattern_walk;
kw_status kw_pattern_begin(kw_pattern_walk *w, const kw_pattern *p, kw_str text);
/* *start = *end = SIZE_MAX: there are no more. */
kw_status kw_pattern_next(kw_pattern_walk *w, size_t *start, size_t *end);
void kw_pattern_end(kw_pattern_walk *w);

/* pattern_syntax.c: Oniguruma's language to PCRE2's. */
kw_status kw_pattern_translate(kw_str regex, kw_buf *out);

#endif
