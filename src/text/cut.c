/* cut.c - cuts normalized text into the pieces within which a model works: a list of steps, each cutting the pieces of
 * the one before.
 *
 * A rule says where matches are; what lies between two of them is a gap. The behaviour says which of both become
 * pieces: matches and gaps by themselves, gaps alone, matches joined to a neighbour, and so on. */
#include "text/internal.h"
#include "text/unicode.h"
#include <string.h>

typedef struct stage {
    kw_encoder *e;
    int step;
    bool is_first; /* its text is the begin of all text */
    kw_ids *out;
} stage;

static kw_status run(stage s, kw_str text);

/* A text and how far it was looked at. */
typedef struct finder {
    const kw_cut *c;
    kw_str text;
    kw_pattern_walk walk; /* KW_CUT_PATTERN */
    size_t start, end;    /* its next match; end 0: not looked for */
} finder;

static size_t match_at(const kw_cut *c, kw_str text, size_t at)
{
    unsigned char first = (unsigned char)text.p[at];
    if (first < 128 && !c->begins[first]) return at;
    if (c->kind == KW_CUT_RULE) return kw_rule_match(c->rule, text, at);
    bool hit = c->literal.n && c->literal.n <= text.n - at &&
               memcmp(text.p + at, c->literal.p, c->literal.n) == 0;
    return hit ? at + c->literal.n : at;
}

typedef struct span {
    size_t end;
    bool is_match;
} span;

/* A pattern's match may be empty: it is a match between two gaps. */
static kw_status next_of_pattern(finder *f, size_t at, span *out)
{
    bool is_known = f->end != 0;
    kw_status st = is_known ? KW_OK : kw_pattern_next(&f->walk, &f->start, &f->end);
    if (f->start > at) {
        *out = (span){ f->start < f->text.n ? f->start : f->text.n, f->c->invert };
        return st;
    }
    *out = (span){ f->end, !f->c->invert };
    f->end = 0;
    return st;
}

/* What begins at `at`: a match, or the gap before the next one. */
static kw_status next_span(finder *f, size_t at, span *out)
{
    const kw_cut *c = f->c;
    if (c->kind == KW_CUT_PATTERN) return next_of_pattern(f, at, out);
    size_t end = match_at(c, f->text, at);
    *out = (span){ end, !c->invert };
    if (end > at) return KW_OK;
    while (end < f->text.n && match_at(c, f->text, end) == end)
        end += kw_unicode_char(f->text.p + end, f->text.n - end).len;
    *out = (span){ end, c->invert };
    return KW_OK;
}

static kw_status piece(stage s, kw_str text, size_t from, size_t to)
{
    if (from == to) return KW_OK;
    s.step++;
    s.is_first = s.is_first && from == 0;
    return run(s, (kw_str){ text.p + from, to - from });
}

static kw_status cut_by(stage s, finder *f)
{
    const kw_cut *c = f->c;
    kw_str text = f->text;
    kw_status st = KW_OK;
    span now = { 0, false };
    bool was_match = false;
    size_t from = 0; /* where the piece that is not finished begins */
    for (size_t at = 0; at < text.n && !st;) {
        st = next_span(f, at, &now);
        if (st) return st;
        bool joins = c->behavior == KW_CONTIGUOUS      ? now.is_match == was_match
                     : c->behavior == KW_WITH_PREVIOUS ? now.is_match && !was_match
                     : c->behavior == KW_WITH_NEXT     ? !now.is_match && was_match
                                                       : false;
        bool is_dropped = c->behavior == KW_REMOVED && was_match;
        if (!joins || at == 0) {
            if (!is_dropped) st = piece(s, text, from, at);
            from = at;
        }
        was_match = now.is_match;
        at = now.end;
    }
    return st || (c->behavior == KW_REMOVED && was_match) ? st : piece(s, text, from, text.n);
}

static kw_status cut(stage s, const kw_cut *c, kw_str text)
{
    finder f = { .c = c, .text = text };
    if (c->kind != KW_CUT_PATTERN) return cut_by(s, &f);
    kw_status st = kw_pattern_begin(&f.walk, c->pattern, text);
    if (!st) st = cut_by(s, &f);
    kw_pattern_end(&f.walk);
    return st;
}

/* Blanks become the replacement, and one is put in front; pieces begin at each. */
static kw_status metaspace(stage s, const kw_cut *c, kw_str text)
{
    kw_buf b = KW_BUF(kw_text_most(text.n), KW_PAY_TEXT);
    bool prepends =
        c->prepend == KW_PREPEND_ALWAYS || (c->prepend == KW_PREPEND_FIRST && s.is_first);
    bool has_one = text.p[0] == ' ' ||
                   (c->literal.n <= text.n && memcmp(text.p, c->literal.p, c->literal.n) == 0);
    if (prepends && !has_one) kw_buf_bytes(&b, c->literal.p, c->literal.n);
    kw_put_replaced(&b, text, KW_STR(" "), c->literal);
    kw_str spaced = { b.data, b.len };
    kw_status st = b.status;
    if (!st) st = c->is_whole ? piece(s, spaced, 0, spaced.n) : cut(s, c, spaced);
    kw_buf_free(&b);
    return st;
}

static kw_status prefix_space(stage s, kw_str text)
{
    if (text.p[0] == ' ') return piece(s, text, 0, text.n);
    kw_buf b = KW_BUF(kw_text_most(text.n), KW_PAY_TEXT);
    kw_buf_byte(&b, ' ');
    kw_buf_bytes(&b, text.p, text.n);
    kw_status st = b.status ? b.status : piece(s, (kw_str){ b.data, b.len }, 0, b.len);
    kw_buf_free(&b);
    return st;
}

static kw_status run(stage s, kw_str text)
{
    const kw_tokenizer *t = s.e->t;
    if (s.step == t->n_cuts) return kw_words_encode(s.e, text, s.out);
    const kw_cut *c = &t->cuts[s.step];
    if (c->kind == KW_CUT_METASPACE) return metaspace(s, c, text);
    if (c->kind == KW_CUT_PREFIX_SPACE) return prefix_space(s, text);
    return cut(s, c, text);
}

kw_status kw_cut_encode(kw_encoder *e, kw_str text, bool is_first, kw_ids *out)
{
    if (text.n == 0) return KW_OK;
    return run((stage){ e, 0, is_first, out }, text);
}

kw_status kw_tokenizer_add_cut(kw_tokenizer *t, kw_cut step)
{
    if (t->n_cuts == KW_MAX_CUTS)
        return kw_fail(KW_EUNSUPPORTED, "more than %d pre-tokenizers in a row", KW_MAX_CUTS);
    for (int i = 0; i < 128; i++)
        step.begins[i] = step.kind == KW_CUT_RULE ? kw_rule_begins(step.rule, (char)i)
                                                  : step.literal.n && step.literal.p[0] == (char)i;
    t->cuts[t->n_cuts++] = step;
    return KW_OK;
}

kw_status kw_tokenizer_add_cut_at(kw_tokenizer *t, kw_str regex, kw_cut step)
{
    step.rule = kw_rule_of_pattern(regex);
    step.kind = step.rule ? KW_CUT_RULE : KW_CUT_PATTERN;
    kw_status st = step.rule ? KW_OK : kw_pattern_new(regex, &step.pattern);
    if (!st) st = kw_tokenizer_add_cut(t, step);
    if (st) kw_pattern_free(step.pattern);
    return st;
}
