/* search.c - beam search over a session's cache: each living text is a table of pages, forked from the session's.
 *
 * beam.c says which texts live on; here their next rows are computed, all texts in one run as far as its rows allow. A text
 * that continues another one forks its pages, and copies the last of them only where it is not the only one to do so. The
 * session's own pages and text stay. */
#include "run/beam.h"
#include "run/session.h"

typedef struct search {
    kw_session *s;
    kw_beam_search beam;
    kw_pages *pages, *heirs; /* [beams] of the living texts, and of those of the next step */
    kw_eval_part *part;      /* [beams] */
    int32_t *last;           /* [beams] their newest ids */
} search;

static kw_status check(const kw_session *s, const kw_beam_args *a)
{
    if (s->batch) return kw_fail(KW_EINVAL, "the session is in a batch: search before or after");
    if (s->ids.n == 0) return kw_fail(KW_EINVAL, "a search before the first sync");
    if (a->beams < 1 || a->beams > KW_BEAMS_MAX)
        return kw_fail(KW_EINVAL, "%d beams: expected 1 to %d", a->beams, KW_BEAMS_MAX);
    if (!(a->length_penalty >= -100 && a->length_penalty <= 100))
        return kw_fail(KW_EINVAL, "a length penalty of %g: expected -100 to 100",
                       (double)a->length_penalty);
    if (a->min_tokens < 0 || a->no_repeat_ngram < 0)
        return kw_fail(KW_EINVAL, "%s of %d: expected 0 or more",
                       a->min_tokens < 0 ? "min_tokens" : "no_repeat_ngram",
                       a->min_tokens < 0 ? a->min_tokens : a->no_repeat_ngram);
    if (a->max_tokens == 0) return kw_fail(KW_EINVAL, "a search for 0 new ids");
    if (a->n_end_ids && !a->end_ids)
        return kw_fail(KW_EINVAL, "%zu end ids, and none of them given", a->n_end_ids);
    if (a->n_end_ids > KW_BEAMS_MAX)
        return kw_fail(KW_EINVAL, "%zu end ids: expected at most %d", a->n_end_ids, KW_BEAMS_MAX);
    for (size_t i = 0; i < a->n_end_ids; i++)
        if (a->end_ids[i] < 0 || a->end_ids[i] >= s->m->shape.n_vocab)
            return kw_fail(KW_EINVAL, "end id %d: the vocabulary has %d", a->end_ids[i],
                           s->m->shape.n_vocab);
    if (s->ids.n >= (size_t)s->options.ctx)
        return kw_fail(KW_ELIMIT, "no room for a new id: the text has %zu, the context holds %d",
                       s->ids.n, s->options.ctx);
    return KW_OK;
}

static kw_beam_args resolve(const kw_session *s, const kw_beam_args *a)
{
    kw_beam_args all = *a;
    int room = s->options.ctx - (int)s->ids.n;
    if (all.max_tokens < 0 || all.max_tokens > room) all.max_tokens = room;
    if (!all.end_ids) {
        all.end_ids = s->m->end_ids;
        all.n_end_ids = s->sampling.ignore_eos ? 0 : s->m->n_end_ids;
    }
    return all;
}

static kw_status open_search(search *x, kw_session *s, const kw_beam_args *a)
{
    kw_beam_args rules = resolve(s, a);
    size_t n = (size_t)rules.beams;
    x->s = s;
    x->pages = kw_calloc(n, sizeof *x->pages, KW_PAY_SCRATCH);
    x->heirs = kw_calloc(n, sizeof *x->heirs, KW_PAY_SCRATCH);
    x->part = kw_calloc(n, sizeof *x->part, KW_PAY_SCRATCH);
    x->last = kw_calloc(n, sizeof *x->last, KW_PAY_SCRATCH);
    if (!x->pages || !x->heirs || !x->part || !x->last) return KW_ENOMEM;
    kw_status st = kw_beam_open(&rules, &x->beam);
    x->beam.before = s->ids.ids;
    x->beam.n_before = s->ids.n;
    return st ? st : kw_pages_fork(&s->pages, &x->pages[0]);
}

static void drop_pages(const search *x, kw_pages *pages)
{
    for (int i = 0; pages && i < x->beam.rules.beams; i++) kw_pages_cut(&pages[i], 0);
}

static void close_search(search *x)
{
    drop_pages(x, x->pages);
    drop_pages(x, x->heirs);
    kw_free(x->pages);
    kw_free(x->heirs);
    kw_free(x->part);
    kw_free(x->last);
    kw_beam_close(&x->beam);
}

/* Every living text takes over the pages of the one that it continues. */
static kw_status inherit(search *x)
{
    kw_status st = KW_OK;
    for (size_t i = 0; i < x->beam.n_live && !st; i++)
        st = kw_pages_fork(&x->pages[x->beam.live[i].parent], &x->heirs[i]);
    drop_pages(x, x->pages);
    kw_pages *empty = x->pages;
    x->pages = x->heirs;
    x->heirs = empty;
    return st;
}

static kw_status prepare(search *x)
{
    size_t from = x->s->ids.n + x->beam.n - 1;
    kw_status st = KW_OK;
    for (size_t i = 0; i < x->beam.n_live && !st; i++) {
        x->last[i] = x->beam.live[i].id;
        x->part[i] = (kw_eval_part){ .pages = &x->pages[i],
                                     .angles = &x->s->angles,
                                     .memory = x->s->memory,
                                     .ids = &x->last[i],
                                     .from = from,
                                     .n = 1,
                                     .n_out = 1 };
        st = kw_pages_reach(&x->pages[i], from, from + 1);
    }
    return st;
}

/* The rows of all living texts, and what may follow them. */
static kw_status compute(search *x)
{
    size_t n_vocab = (size_t)x->s->m->shape.n_vocab, most = (size_t)x->s->options.batch;
    if (most > KW_MANY_ROWS) most = KW_MANY_ROWS;
    kw_status st = prepare(x);
    for (size_t at = 0; at < x->beam.n_live && !st; at += most) {
        size_t n = x->beam.n_live - at < most ? x->beam.n_live - at : most;
        const float *logits = NULL;
        st = kw_eval_logits(&x->s->eval, x->part + at, n, &logits);
        for (size_t i = 0; i < n && !st; i++)
            st = kw_beam_offer(&x->beam, at + i, logits + i * n_vocab, n_vocab);
    }
    return st;
}

static kw_status begin(search *x)
{
    kw_session *s = x->s;
    size_t n_vocab = (size_t)s->m->shape.n_vocab, row = s->ids.n - 1 - s->window.first;
    return kw_beam_offer(&x->beam, 0, s->window.logits + row * n_vocab, n_vocab);
}

static kw_status loop(search *x)
{
    kw_status st = begin(x);
    while (!st) {
        st = kw_beam_step(&x->beam);
        if (!st) st = kw_session_take_cancel(x->s);
        if (!st) st = inherit(x);
        if (!st) st = compute(x);
    }
    return st == KW_DONE ? KW_OK : st;
}

/* ---- results ---- */

typedef struct results {
    kw_beams seen; /* what the caller has */
    kw_arena arena;
} results;

static kw_status collect(const search *x, kw_beams **out)
{
    results *r = kw_calloc(1, sizeof *r, KW_PAY_TEXT);
    if (!r) return KW_ENOMEM;
    r->arena = KW_ARENA(KW_PAY_TEXT);
    size_t n = x->beam.n_finished;
    kw_hypothesis *at = kw_arena_alloc(&r->arena, n, sizeof *at);
    r->seen = (kw_beams){ at, n };
    *out = &r->seen;
    for (size_t i = 0; at && i < n; i++) {
        const kw_beam_text *t = &x->beam.finished[i];
        int32_t *ids = kw_arena_alloc(&r->arena, t->n, sizeof *ids);
        if (!ids) return KW_ENOMEM;
        kw_beam_ids(&x->beam, t, ids);
        at[i] = (kw_hypothesis){ ids, t->n, t->score };
    }
    return at ? KW_OK : KW_ENOMEM;
}

kw_status kw_session_search(kw_session *s, const kw_beam_args *args, kw_beams **out)
{
    kw_beams *found = NULL;
    kw_status st = check(s, args);
    if (st) return st;
    search x = { 0 };
    st = kw_session_take_cancel(s);
    if (!st) st = kw_session_advance(s, 0);
    if (!st) st = open_search(&x, s, args);
    if (!st) st = loop(&x);
    if (!st) st = collect(&x, &found);
    kw_session_forget(s); /* its logits were overwritten */
    close_search(&x);
    if (st) kw_beams_free(found);
    else *out = found;
    return st;
}

void kw_beams_free(kw_beams *b)
{
    results *r = (results *)(void *)b; /* its first member */
    if (!r) return;
    kw_arena_free(&r->arena);
    kw_free(r);
}
