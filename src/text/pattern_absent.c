/* pattern_absent.c - where PCRE2 is not linked, a pattern without a matcher of its own is refused by name. */
#include "text/pattern.h"

kw_status kw_pattern_new(kw_str regex, kw_pattern **out)
{
    *out = NULL;
    return kw_fail(KW_EUNSUPPORTED,
                   "the pattern \"%.*s\" is not known\n"
                   "why: without it the ids would be wrong, and this build has no PCRE2 to run it\n"
                   "try: a native build with PCRE2 (Debian: libpcre2-dev)",
                   (int)(regex.n < 200 ? regex.n : 200), regex.p ? regex.p : "");
}

void kw_pattern_free(kw_pattern *p) { (void)p; }

kw_status kw_pattern_begin(kw_pattern_walk *w, const kw_pattern *p, kw_str text)
{
    *w = (kw_pattern_walk){ .pattern = p, .text = text };
    return KW_OK;
}

kw_status kw_pattern_next(kw_pattern_walk *w, size_t *start, size_t *end)
{
    (void)w;
    *start = *end = SIZE_MAX;
    return KW_OK;
}

void kw_pattern_end(kw_pattern_walk *w) { (void)w; }
