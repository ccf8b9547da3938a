/* normalize.c - brings text into the form that a vocabulary was made for: a list of steps, one after the other.
 *
 * Steps write from one of two buffers into the other; what would change nothing is not done. */
#include "text/internal.h"
#include "text/unicode.h"
#include <string.h>

typedef struct job {
    const kw_tokenizer *t;
    const kw_norm *step;
    kw_str text;
    bool is_first; /* nothing stands before this text */
} job;

static kw_status to_form(const job *j, kw_buf *out)
{
    return kw_unicode_normalize(j->text, (kw_unicode_form)j->step->form, out);
}

static void put_lower(uint32_t cp, kw_buf *out)
{
    uint32_t mark;
    kw_buf_codepoint(out, kw_unicode_to_lower(cp, &mark));
    if (mark) kw_buf_codepoint(out, mark);
}

/* What becomes of ASCII, n bytes; how many are left. */
typedef size_t (*ascii_fn)(const char *from, size_t n, char *to);

static size_t keep_ascii(const char *from, size_t n, char *to)
{
    memcpy(to, from, n);
    return n;
}

static size_t lower_ascii(const char *from, size_t n, char *to)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (char)(from[i] | (from[i] >= 'A' && from[i] <= 'Z' ? 32 : 0));
    return n;
}

/* Control characters go, white space is a blank. */
static size_t clean_ascii(const char *from, size_t n, char *to)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        char c = from[i];
        bool is_blank = c == '\t' || c == '\n' || c == '\r';
        to[kept] = is_blank ? ' ' : c;
        kept += is_blank || (c >= ' ' && c != 0x7f);
    }
    return kept;
}

/* Calls `use` for each character, `ascii` for runs of those; malformed bytes are kept. */
static kw_status each(const job *j, ascii_fn ascii,
                      void (*use)(const kw_norm *step, uint32_t cp, kw_buf *out), kw_buf *out)
{
    for (size_t at = 0; at < j->text.n;) {
        uint32_t cp;
        bool ok;
        size_t run = kw_utf8_skip_ascii(j->text.p, j->text.n, at) - at;
        char *room = run ? kw_buf_reserve(out, run) : NULL;
        if (run && !room) return out->status;
        if (room) out->len += ascii(j->text.p + at, run, room);
        at += run;
        if (run) continue;
        size_t len = kw_utf8_decode(j->text.p + at, j->text.n - at, &cp, &ok);
        if (ok) use(j->step, cp, out);
        else kw_buf_byte(out, j->text.p[at]);
        at += len;
    }
    return out->status;
}

static void lower_char(const kw_norm *step, uint32_t cp, kw_buf *out)
{
    (void)step;
    put_lower(cp, out);
}

static kw_status to_lower(const job *j, kw_buf *out)
{
    return each(j, lower_ascii, lower_char, out);
}

static void strip_char(const kw_norm *step, uint32_t cp, kw_buf *out)
{
    bool is_accent =
        cp >= 0x300 && (kw_unicode_trait(cp) & (step->form ? KW_CP_BERT_ACCENT : KW_CP_ACCENT));
    if (!is_accent) kw_buf_codepoint(out, cp);
}

static kw_status strip_accents(const job *j, kw_buf *out)
{
    return each(j, keep_ascii, strip_char, out);
}

static bool is_ideograph(uint32_t c)
{
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
           (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
           (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

static void clean_char(const kw_norm *step, uint32_t cp, kw_buf *out)
{
    (void)step;
    if (kw_unicode_trait(cp) & KW_CP_BERT_CONTROL) return;
    if (kw_is_space(cp)) kw_buf_byte(out, ' ');
    else kw_buf_codepoint(out, cp);
}

static kw_status bert_clean(const job *j, kw_buf *out)
{
    return each(j, clean_ascii, clean_char, out);
}

static void space_char(const kw_norm *step, uint32_t cp, kw_buf *out)
{
    (void)step;
    bool alone = is_ideograph(cp);
    if (alone) kw_buf_byte(out, ' ');
    kw_buf_codepoint(out, cp);
    if (alone) kw_buf_byte(out, ' ');
}

static kw_status space_ideographs(const job *j, kw_buf *out)
{
    return each(j, keep_ascii, space_char, out);
}

static kw_status replace_found(const job *j, kw_buf *out)
{
    kw_pattern_walk w;
    kw_str s = j->text, to = j->step->to;
    kw_status st = kw_pattern_begin(&w, j->step->pattern, s);
    for (size_t at = 0, start = 0, end = 0; !st && start < SIZE_MAX; at = end) {
        st = kw_pattern_next(&w, &start, &end);
        if (st) break;
        kw_buf_bytes(out, s.p + at, (start < s.n ? start : s.n) - at);
        if (start < SIZE_MAX) kw_buf_bytes(out, to.p, to.n);
    }
    kw_pattern_end(&w);
    return st ? st : out->status;
}

void kw_put_replaced(kw_buf *out, kw_str s, kw_str from, kw_str to)
{
    size_t done = 0, at = 0;
    while (from.n && at < s.n) {
        const char *hit = memchr(s.p + at, from.p[0], s.n - at);
        if (!hit) break;
        at = (size_t)(hit - s.p);
        bool is_hit = from.n <= s.n - at && memcmp(hit, from.p, from.n) == 0;
        if (is_hit) {
            kw_buf_bytes(out, s.p + done, at - done);
            kw_buf_bytes(out, to.p, to.n);
            done = at + from.n;
        }
        at += is_hit ? from.n : 1;
    }
    kw_buf_bytes(out, s.p + done, s.n - done);
}

static kw_status replace(const job *j, kw_buf *out)
{
    kw_str from = j->step->from, to = j->step->to, s = j->text;
    if (j->step->pattern) return s.n ? replace_found(j, out) : KW_OK;
    kw_put_replaced(out, s, from, to);
    return out->status;
}

/* Runs of white space (form 0) or of two or more blanks (form 1) become `to`. */
static kw_status collapse(const job *j, kw_buf *out)
{
    kw_str s = j->text;
    bool only_blanks = j->step->form == 1;
    for (size_t at = 0, end; at < s.n; at = end) {
        size_t n = 0;
        for (end = at; end < s.n; n++) {
            kw_char c = kw_unicode_char(s.p + end, s.n - end);
            if (only_blanks ? c.cp != ' ' : !(c.class & KW_CP_SPACE)) break;
            end += c.len;
        }
        if (n > (size_t)only_blanks) kw_buf_bytes(out, j->step->to.p, j->step->to.n);
        else {
            if (n == 0) end += kw_unicode_char(s.p + at, s.n - at).len;
            kw_buf_bytes(out, s.p + at, end - at);
        }
    }
    return out->status;
}

static kw_status prepend(const job *j, kw_buf *out)
{
    if (j->text.n) kw_buf_bytes(out, j->step->to.p, j->step->to.n);
    kw_buf_bytes(out, j->text.p, j->text.n);
    return out->status;
}

static kw_status strip(const job *j, kw_buf *out)
{
    kw_str s = j->text;
    while ((j->step->form & 1) && s.n) {
        kw_char c = kw_unicode_char(s.p, s.n);
        if (!(c.class & KW_CP_SPACE)) break;
        s.p += c.len;
        s.n -= c.len;
    }
    while ((j->step->form & 2) && s.n) {
        size_t start = s.n - 1;
        while (start && s.n - start < 4 && ((unsigned char)s.p[start] & 0xC0) == 0x80) start--;
        if (!(kw_unicode_char(s.p + start, s.n - start).class & KW_CP_SPACE)) break;
        s.n = start;
    }
    kw_buf_bytes(out, s.p, s.n);
    return out->status;
}

static kw_status map_chars(const job *j, kw_buf *out)
{
    return kw_charsmap_apply(&j->t->charsmap, j->text, out);
}

/* The state of SentencePiece's own way. */
typedef struct spaced {
    kw_buf *out;
    const char *space; /* what stands for one */
    size_t width;
    bool squeezes, after_space;
} spaced;

static void put_spaced(spaced *s, kw_str text)
{
    char *to = kw_buf_reserve(s->out, text.n * s->width);
    if (!to) return;
    char *begin = to;
    for (size_t i = 0; i < text.n; i++) {
        bool is_space = text.p[i] == ' ';
        if (is_space && s->after_space && s->squeezes) continue;
        s->after_space = is_space;
        if (is_space) memcpy(to, s->space, s->width);
        else *to = text.p[i];
        to += is_space ? s->width : 1;
    }
    s->out->len += (size_t)(to - begin);
}

/* Its map, perhaps no blanks at the ends and no two together, a blank in front, "▁" for each. */
static kw_status sentencepiece(const job *j, kw_buf *out)
{
    const kw_tokenizer *t = j->t;
    spaced s = { out, t->space, strlen(t->space), j->step->form, j->step->form };
    bool needs_prefix = t->add_prefix_space && j->is_first;
    for (size_t at = 0; at < j->text.n && !out->status;) {
        kw_str form, rest = { j->text.p + at, j->text.n - at };
        at += kw_charsmap_longest(&t->charsmap, rest, &form);
        for (; needs_prefix && s.squeezes && form.n && form.p[0] == ' '; form.n--) form.p++;
        if (needs_prefix && form.n) {
            kw_buf_bytes(out, s.space, s.width);
            needs_prefix = false;
        }
        put_spaced(&s, form);
    }
    while (s.squeezes && out->len >= s.width &&
           memcmp(out->data + out->len - s.width, s.space, s.width) == 0)
        out->len -= s.width;
    return out->status;
}

static kw_status (*const steps[])(const job *, kw_buf *) = {
    [KW_NORM_FORM] = to_form,
    [KW_NORM_LOWER] = to_lower,
    [KW_NORM_ACCENTS] = strip_accents,
    [KW_NORM_BERT_CLEAN] = bert_clean,
    [KW_NORM_IDEOGRAPHS] = space_ideographs,
    [KW_NORM_REPLACE] = replace,
    [KW_NORM_COLLAPSE] = collapse,
    [KW_NORM_PREPEND] = prepend,
    [KW_NORM_STRIP] = strip,
    [KW_NORM_CHARSMAP] = map_chars,
    [KW_NORM_SENTENCEPIECE] = sentencepiece,
};

kw_status kw_tokenizer_add_norm(kw_tokenizer *t, kw_norm step)
{
    if (t->n_norms == KW_MAX_NORMS)
        return kw_fail(KW_EUNSUPPORTED, "more than %d normalizers in a row", KW_MAX_NORMS);
    t->norms[t->n_norms++] = step;
    return KW_OK;
}

kw_status kw_normalize(const kw_tokenizer *t, kw_str text, bool is_first, kw_buf bufs[2],
                       kw_str *out)
{
    int to = 0;
    for (int i = 0; i < t->n_norms; i++) {
        const kw_norm *step = &t->norms[i];
        if (step->kind == KW_NORM_FORM && step->form == KW_NFC && kw_unicode_is_plain(text))
            continue;
        kw_buf_clear(&bufs[to]);
        kw_status st = steps[step->kind](&(job){ t, step, text, is_first }, &bufs[to]);
        if (st) return st;
        text = (kw_str){ kw_buf_text(&bufs[to]), bufs[to].len };
        to = !to;
    }
    *out = text;
    return KW_OK;
}
