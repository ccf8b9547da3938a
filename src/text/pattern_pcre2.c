/* pattern_pcre2.c - patterns run by PCRE2, compiled to machine code where that is allowed.
 *
 * Malformed bytes become U+001A first, one each, as the matchers of pretok.c see them: neither letter nor space. The text is
 * well-formed then, and PCRE2 need not look at all of it for each match.
 *
 * Limits: steps and memory from one start (LIMIT_STEPS, LIMIT_KIB), and time for a text, looked at each time that WINDOW starts
 * were tried. Both are far above what a pattern of a tokenizer takes. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pattern.h"
#include <pcre2.h>
#include <string.h>

enum {
    LIMIT_STEPS = 2000000,
    LIMIT_KIB = 128 << 10,
    WINDOW = 1024, /* bytes */
    MAX_WINDOW = 16384,
    BASE_MS = 10000,   /* a text may take this long, */
    NS_PER_BYTE = 5000 /* and as much for each byte */
};

struct kw_pattern {
    pcre2_general_context *memory;
    pcre2_code *code;
    kw_str regex; /* for messages */
};

static void *take(PCRE2_SIZE n, void *unused)
{
    (void)unused;
    return kw_malloc(n, KW_PAY_TEXT);
}

static void give(void *block, void *unused)
{
    (void)unused;
    kw_free(block);
}

static kw_status compile(kw_pattern *p, kw_str translated)
{
    char why[120];
    int code = 0;
    PCRE2_SIZE at = 0;
    pcre2_compile_context *c = pcre2_compile_context_create(p->memory);
    if (!c) return KW_ENOMEM;
    pcre2_set_newline(c, PCRE2_NEWLINE_LF);
    pcre2_set_parens_nest_limit(c, 100);
    p->code = pcre2_compile((PCRE2_SPTR)translated.p, translated.n,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C |
                                PCRE2_USE_OFFSET_LIMIT,
                            &code, &at, c);
    pcre2_compile_context_free(c);
    if (p->code) {
        pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE); /* without it, matching is only slower */
        return KW_OK;
    }
    if (code == PCRE2_ERROR_NOMEMORY || code == 121) return KW_ENOMEM;
    pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
    return kw_fail(KW_EUNSUPPORTED, "the pattern \"%.*s\" cannot be run\nwhy: %s", (int)p->regex.n,
                   p->regex.p, why);
}

kw_status kw_pattern_new(kw_str regex, kw_pattern **out)
{
    enum { MOST = 32768, SHOWN = 200 };
    *out = NULL;
    if (regex.n > MOST)
        return kw_fail(KW_EUNSUPPORTED, "a pattern of %zu bytes, at most %d are run", regex.n,
                       MOST);
    if (!kw_utf8_valid(regex.p, regex.n, NULL))
        return kw_fail(KW_EFORMAT, "a pattern that is not UTF-8");
    kw_buf translated = KW_BUF(16 * MOST, KW_PAY_TEXT);
    kw_pattern *p = kw_calloc(1, sizeof *p + SHOWN, KW_PAY_TEXT);
    kw_status st = p ? kw_pattern_translate(regex, &translated) : KW_ENOMEM;
    if (!st) {
        p->regex = (kw_str){ (char *)(p + 1), regex.n < SHOWN ? regex.n : SHOWN };
        memcpy(p + 1, regex.p, p->regex.n);
        p->memory = pcre2_general_context_create(take, give, NULL);
        st = p->memory ? compile(p, (kw_str){ kw_buf_text(&translated), translated.len })
                       : KW_ENOMEM;
    }
    kw_buf_free(&translated);
    if (st) kw_pattern_free(p);
    else *out = p;
    return st;
}

void kw_pattern_free(kw_pattern *p)
{
    if (!p) return;
    pcre2_code_free(p->code);
    pcre2_general_context_free(p->memory);
    kw_free(p);
}

static kw_status make_clean(kw_pattern_walk *w, kw_str text)
{
    w->own = kw_malloc(text.n, KW_PAY_TEXT);
    if (!w->own) return KW_ENOMEM;
    memcpy(w->own, text.p, text.n);
    for (size_t at = 0; at < text.n;) {
        uint32_t cp;
        bool ok;
        size_t n = kw_utf8_decode(text.p + at, text.n - at, &cp, &ok);
        if (!ok) w->own[at] = 0x1A;
        at += n;
    }
    w->text.p = w->own;
    return KW_OK;
}

kw_status kw_pattern_begin(kw_pattern_walk *w, const kw_pattern *p, kw_str text)
{
    *w = (kw_pattern_walk){ .pattern = p, .text = text, .last_end = SIZE_MAX };
    w->until_ns = kw_now_ns() + (uint64_t)BASE_MS * 1000000 + (uint64_t)text.n * NS_PER_BYTE;
    w->found = pcre2_match_data_create(1, p->memory);
    w->limits = pcre2_match_context_create(p->memory);
    if (!w->found || !w->limits) return KW_ENOMEM;
    pcre2_set_match_limit(w->limits, LIMIT_STEPS);
    pcre2_set_heap_limit(w->limits, LIMIT_KIB);
    return kw_utf8_valid(text.p, text.n, NULL) ? KW_OK : make_clean(w, text);
}

void kw_pattern_end(kw_pattern_walk *w)
{
    pcre2_match_data_free(w->found);
    pcre2_match_context_free(w->limits);
    kw_free(w->own);
}

static kw_status too_much(const kw_pattern_walk *w, const char *what)
{
    kw_str r = w->pattern->regex;
    return kw_fail(KW_ELIMIT,
                   "the pattern \"%.*s\" takes too %s at byte %zu of a text of %zu\n"
                   "why: a pattern that tries more and more ways to match is stopped",
                   (int)r.n, r.p, what, w->at, w->text.n);
}

/* One look: at starts up to `limit`. The machine code has little room on the stack; what needs more is run without it. */
static int look(kw_pattern_walk *w, size_t limit)
{
    PCRE2_SPTR text = (PCRE2_SPTR)w->text.p;
    pcre2_set_offset_limit(w->limits, limit);
    int rc = pcre2_match(w->pattern->code, text, w->text.n, w->at, PCRE2_NO_UTF_CHECK, w->found,
                         w->limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(w->pattern->code, text, w->text.n, w->at,
                         PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, w->found, w->limits);
    return rc;
}

static size_t next_char(kw_str s, size_t at)
{
    for (at++; at < s.n && ((unsigned char)s.p[at] & 0xC0) == 0x80;) at++;
    return at;
}

/* The match at or behind w->at, as PCRE2 has it. */
static kw_status search(kw_pattern_walk *w, bool *found)
{
    *found = false;
    for (size_t window = WINDOW; w->at <= w->text.n;) {
        size_t limit = w->text.n - w->at < window ? w->text.n : w->at + window;
        int rc = look(w, limit);
        if (rc >= 0) {
            *found = true;
            return KW_OK;
        }
        if (rc == PCRE2_ERROR_NOMEMORY) return KW_ENOMEM;
        if (rc == PCRE2_ERROR_MATCHLIMIT) return too_much(w, "many steps");
        if (rc == PCRE2_ERROR_HEAPLIMIT) return too_much(w, "much memory");
        if (rc != PCRE2_ERROR_NOMATCH)
            return kw_fail(KW_EFORMAT, "PCRE2 fails with %d at byte %zu of a text", rc, w->at);
        if (kw_now_ns() > w->until_ns) return too_much(w, "long");
        w->at = limit < w->text.n ? next_char(w->text, limit) : w->text.n + 1;
        if (window < MAX_WINDOW) window *= 2;
    }
    return KW_OK;
}

kw_status kw_pattern_next(kw_pattern_walk *w, size_t *start, size_t *end)
{
    *start = *end = SIZE_MAX;
    for (bool found = true; found;) {
        kw_status st = search(w, &found);
        if (st || !found) return st;
        const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(w->found);
        if (ends[0] == ends[1] && ends[1] == w->last_end) { /* an empty one where the last ended */
            w->at = w->at < w->text.n ? next_char(w->text, w->at) : w->text.n + 1;
            continue;
        }
        *start = ends[0];
        *end = w->at = w->last_end = ends[1];
        if (kw_now_ns() > w->until_ns) return too_much(w, "long");
        return KW_OK;
    }
    return KW_OK;
}
